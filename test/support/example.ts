import { once } from 'node:events'
import type { Test } from 'tap'
import { findPort } from './ports.js'
import { spawnNode, waitForLine } from './server-process.js'

/** The examples are JavaScript, as users will write them. */
export function loadExample (name: string) {
  return import(new URL(`../../example/${name}.mjs`, import.meta.url).href)
}

export interface Example {
  readonly port: number
  /** Where uploads are created. */
  readonly url: string
  /** Asks it to end, and resolves to its code and signal. */
  stop(): Promise<unknown[]>
}

/** Starts an example that is a program, and resolves when it listens. */
export async function startExample (t: Test, name: string, env: Record<string, string> = {}, cwd = '.'): Promise<Example> {
  const port = await findPort(t)
  const child = spawnExample(t, name, { ...env, PORT: String(port) }, cwd)
  let log = ''
  child.stderr!.on('data', data => { log += data })
  const line = await waitForLine(child, /listening at https?:\/\/127/, () => log)
  child.stdout!.resume()
  return {
    port,
    url: `${/https?:\/\/127[^"]+/.exec(line)![0]}/files`,
    stop () {
      const exited = once(child, 'exit')
      child.kill('SIGTERM')
      return exited
    }
  }
}

export function spawnExample (t: Test, name: string, env: Record<string, string>, cwd = '.') {
  const child = spawnNode([new URL(`../../example/${name}.mjs`, import.meta.url).pathname], { env, cwd })
  t.teardown(() => { child.kill('SIGKILL') })
  return child
}
