import { spawn, type ChildProcess } from 'node:child_process'
import { once } from 'node:events'
import { existsSync, readdirSync, readFileSync, readlinkSync } from 'node:fs'
import { createRequire } from 'node:module'
import { dirname, join } from 'node:path'

/** A server in a process of its own: the built `serve`, with nothing said to it but what a user would say, or an application. */
export class Server {
  readonly #child: ChildProcess
  #port = 0
  #log = ''
  #exit: string | null = null
  /** Resolves when it has ended. */
  readonly exited: Promise<void>

  private constructor (args: readonly string[]) {
    const { NODE_OPTIONS: _, ...env } = process.env
    this.#child = spawn(process.execPath, args, { env, stdio: ['ignore', 'pipe', 'pipe'] })
    this.#child.stderr!.on('data', text => { this.#log = (this.#log + text).slice(0, 20_000) })
    this.exited = once(this.#child, 'exit').then(([code, signal]) => { this.#exit = String(signal ?? code) })
    const kill = () => { this.#child.kill('SIGKILL') }
    process.once('exit', kill)
    this.#child.once('exit', () => process.off('exit', kill))
  }

  /** Speaks tus alone. Resolves when it listens. */
  static start (directory: string, durability: string): Promise<Server> {
    return Server.#start([CLI, 'serve', '--port', '0', '--dir', directory, '--log-level', 'error', '--durability', durability, '--no-ietf'])
  }

  /** An application whose uploads speak both protocols, and that has a route of its own for the draft. Resolves when it listens. */
  static startApplication (directory: string, durability: string): Promise<Server> {
    return Server.#start([APPLICATION, directory, durability])
  }

  static async #start (args: readonly string[]): Promise<Server> {
    if (!existsSync(CLI)) throw new Error("The command is not built: run 'npm run build' first")
    const server = new Server(args)
    let output = ''
    for await (const text of server.#child.stdout!.iterator({ destroyOnReturn: false })) {
      output += text
      const line = /^fastify-tus listening on http:\/\/127\.0\.0\.1:(\d+)\/files\n/m.exec(output)
      if (!line) continue
      server.#child.stdout!.resume()
      server.#port = Number(line[1])
      return server
    }
    throw new Error(`The server did not start: ${server.#log}`)
  }

  get port (): number {
    return this.#port
  }

  /** Everything on standard error. A server that is asked nonsense has nothing to say there. */
  get log (): string {
    return this.#log
  }

  /** With which code or signal it ended; `null` while it runs. */
  get exit (): string | null {
    return this.#exit
  }

  /** Resident memory, in bytes; 0 without `/proc`. */
  getMemory (): number {
    const status = this.#read('status')
    return Number(/^VmRSS:\s+(\d+)/m.exec(status)?.[1] ?? 0) * 1024
  }

  /** What the files and sockets that it has open are, as Linux names them; empty without `/proc`. */
  getDescriptors (): string[] {
    const directory = `/proc/${this.#child.pid}/fd`
    return existsSync(directory) ? readdirSync(directory).flatMap(name => readTarget(join(directory, name))) : []
  }

  /** How many sockets it has open; 0 without `/proc`. */
  countSockets (): number {
    return this.getDescriptors().filter(target => target.startsWith('socket:')).length
  }

  /** Asks it to stop. Returns the code or signal that it ended with, which is SIGKILL for one that does not. */
  async stop (): Promise<string> {
    if (this.#exit !== null) return this.#exit
    this.#child.kill('SIGTERM')
    const timer = setTimeout(() => this.#child.kill('SIGKILL'), 60_000)
    await this.exited
    clearTimeout(timer)
    return this.#exit!
  }

  #read (name: string): string {
    try {
      return readFileSync(`/proc/${this.#child.pid}/${name}`, 'utf8')
    } catch {
      return ''
    }
  }
}

function readTarget (path: string): string[] {
  try {
    return [readlinkSync(path)]
  } catch {
    return [] // closed in the meantime
  }
}

/** Found through the package, as this file may be run from its sources or from `dist`. */
const PACKAGE = dirname(createRequire(import.meta.url).resolve('fastify-tus/package.json'))
const CLI = join(PACKAGE, 'dist/lib/cli/main.js')
const APPLICATION = join(PACKAGE, 'test/faults/fuzz/application.mjs')
