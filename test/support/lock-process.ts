import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { createInterface } from 'node:readline'
import { fileURLToPath } from 'node:url'
import type { Test } from 'tap'

/** A process that holds locks of a directory as it is told, with so many descriptors at most. See `lock-process.mjs`. */
export async function startProcess (t: Test, directory: string, descriptors?: number) {
  const { NODE_OPTIONS, ...env } = process.env
  const command = [process.execPath, SCRIPT, directory]
  const limit = descriptors === undefined ? [] : ['sh', '-c', `ulimit -n ${descriptors} && exec "$@"`, 'sh']
  const [program, ...args] = [...limit, ...command]
  const child = spawn(program!, args, { env, stdio: ['pipe', 'pipe', 'inherit'] })
  const ended = once(child, 'exit')
  t.teardown(async () => {
    child.kill('SIGKILL')
    await ended
  })
  const heard: string[] = []
  const listeners = new Set<() => void>()
  createInterface(child.stdout).on('line', line => {
    heard.push(line)
    for (const listener of listeners) listener()
  })
  const hear = (line: string) => new Promise<void>(resolve => {
    const listener = () => {
      if (!heard.includes(line)) return
      listeners.delete(listener)
      resolve()
    }
    listeners.add(listener)
    listener()
  })
  await hear('ready')
  return { ended, hear, kill: () => child.kill('SIGKILL'), tell: (line: string) => child.stdin.write(`${line}\n`) }
}

const SCRIPT = fileURLToPath(new URL('lock-process.mjs', import.meta.url))
