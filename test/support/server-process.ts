import { execFileSync, spawn, type ChildProcess } from 'node:child_process'
import { once } from 'node:events'
import { existsSync, readFileSync, readdirSync, readlinkSync, statSync } from 'node:fs'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import type { Test } from 'tap'
import { makeDirectory } from './app.js'
import { findPort } from './ports.js'
import { DEADLINE, until } from './waiting.js'

/** The built command, as a user runs it. */
export const CLI = fileURLToPath(new URL('../../dist/lib/cli/main.js', import.meta.url))

/** How a process ended. */
export interface Exit {
  readonly code: number | null
  readonly signal: NodeJS.Signals | null
  /** From the signal to the end, in ms. */
  readonly took: number
}

export interface ServerOptions {
  /** Flags of `serve` beside `--port`, `--dir` and `--log-level`; with `--s3-bucket` or `--azure-container`, there is no `--dir`. */
  readonly flags?: readonly string[]
  /** Where the uploads are. Default: a directory of its own. */
  readonly directory?: string
}

/**
 * `fastify-tus serve` in a process of its own, which can be killed and started again on the same port.
 *
 * Whatever happens to the test, the process does not outlive it.
 */
export class ServerProcess {
  readonly port: number
  readonly directory: string
  readonly #flags: readonly string[]
  #child: ChildProcess | null = null
  #log = ''
  #readyLine = ''
  #ownSockets = 0

  private constructor (port: number, directory: string, flags: readonly string[]) {
    this.port = port
    this.directory = directory
    this.#flags = flags
  }

  static async start (t: Test, { flags = [], directory }: ServerOptions = {}): Promise<ServerProcess> {
    const server = new ServerProcess(await findPort(t), directory ?? await makeDirectory(t), flags)
    t.teardown(async () => { await server.kill('SIGKILL') })
    await server.restart()
    return server
  }

  /** Where uploads are created. */
  get url (): string {
    return `http://127.0.0.1:${this.port}/files`
  }

  /** What it printed to say that it is ready. */
  get readyLine (): string {
    return this.#readyLine
  }

  /** The end of what it logged, for the message of a test that failed. */
  get log (): string {
    return this.#log
  }

  get pid (): number {
    if (this.#child?.pid === undefined) throw new Error('The server does not run')
    return this.#child.pid
  }

  get running (): boolean {
    return this.#child !== null
  }

  /** Starts it (again), and resolves when it has printed its line. */
  async restart (): Promise<void> {
    const storage = this.#flags.some(flag => flag === '--s3-bucket' || flag === '--azure-container') ? [] : ['--dir', this.directory]
    const args = ['--port', String(this.port), ...storage, '--log-level', 'error', ...this.#flags]
    const child = spawnCli(['serve', ...args])
    this.#child = child
    child.once('exit', () => { if (this.#child === child) this.#child = null })
    child.stderr!.on('data', text => { this.#log = (this.#log + text).slice(-4000) })
    this.#readyLine = await waitForLine(child, READY, () => this.#log)
    this.#ownSockets = this.#listSockets().length
  }

  /**
   * Sends a signal and resolves when the process is gone. One that is still there after `deadline` ms is killed, which shows as
   * the signal `SIGKILL`.
   */
  async kill (signal: NodeJS.Signals, deadline = DEADLINE): Promise<Exit> {
    const child = this.#child
    if (child === null) return { code: null, signal: null, took: 0 }
    const start = performance.now()
    const exited = once(child, 'exit')
    child.kill(signal)
    const timer = setTimeout(() => child.kill('SIGKILL'), deadline)
    const [code, killedBy] = await exited
    clearTimeout(timer)
    return { code, signal: killedBy, took: Math.round(performance.now() - start) }
  }

  /** The most memory that was resident since the start, in bytes; without `/proc`, what is resident now. */
  getPeakMemory (): number {
    const status = `/proc/${this.pid}/status`
    const kibibytes = existsSync(status)
      ? /^VmHWM:\s+(\d+)/m.exec(readFileSync(status, 'utf8'))![1]!
      : execFileSync('ps', ['-o', 'rss=', '-p', String(this.pid)], { encoding: 'utf8' })
    return Number(kibibytes) * 1024
  }

  /** The ids of the processes that it started: with `--workers`, the workers. */
  getWorkers (): number[] {
    const list = `/proc/${this.pid}/task/${this.pid}/children`
    const pids = existsSync(list) ? readFileSync(list, 'utf8') : execFileSync('pgrep', ['-P', String(this.pid)], { encoding: 'utf8' })
    return pids.split(/\s+/).filter(pid => pid !== '').map(Number)
  }

  /** Resolves when so many bytes of an upload have reached its file. */
  async waitForBytes (path: string, count: number, deadline = DEADLINE): Promise<void> {
    const file = join(this.directory, path.split('/').at(-1)!)
    await until(`${count} bytes of ${path} have arrived`, () => statSync(file).size >= count, deadline)
  }

  /** Sends a signal that does not end it. */
  signal (signal: NodeJS.Signals): void {
    process.kill(this.pid, signal)
  }

  /** What its descriptors point at, as Linux names it; empty without `/proc`. */
  getDescriptors (): string[] {
    const directory = `/proc/${this.pid}/fd`
    if (!existsSync(directory)) return []
    return readdirSync(directory).flatMap(name => {
      try {
        return [readlinkSync(join(directory, name))]
      } catch {
        return [] // closed in the meantime
      }
    })
  }

  /** How many connections it has open; 0 without `/proc`. */
  countConnections (): number {
    return this.#listSockets().length - this.#ownSockets
  }

  #listSockets (): string[] {
    return this.getDescriptors().filter(target => target.startsWith('socket:'))
  }
}

/** What a command that ran to its end left. */
export interface Run {
  readonly code: number | null
  readonly stdout: string
  readonly stderr: string
}

/** Runs the built command to its end; one that does not end within `timeout` ms is killed. */
export async function runCli (args: readonly string[], env: NodeJS.ProcessEnv = {}, timeout = DEADLINE): Promise<Run> {
  const child = spawnCli(args, env)
  const timer = setTimeout(() => child.kill('SIGKILL'), timeout)
  let stdout = ''
  let stderr = ''
  child.stdout!.on('data', text => { stdout += text })
  child.stderr!.on('data', text => { stderr += text })
  const [code] = await once(child, 'close')
  clearTimeout(timer)
  return { code, stdout, stderr }
}

/** Starts the built command. */
function spawnCli (args: readonly string[], env: NodeJS.ProcessEnv = {}): ChildProcess {
  if (!existsSync(CLI)) throw new Error("The command is not built: run 'npm run build' first")
  return spawnNode([CLI, ...args], { env })
}

/**
 * Starts Node as a user does: nothing that instruments this process gets into it. It is killed at the latest when this
 * process ends.
 */
export function spawnNode (args: readonly string[], { env = {}, cwd }: { env?: NodeJS.ProcessEnv, cwd?: string } = {}): ChildProcess {
  const inherited = Object.fromEntries(Object.entries(process.env).filter(([name]) => !name.startsWith('FASTIFY_TUS_')))
  // tap adds NODE_OPTIONS to whatever is spawned, which costs half a second and 30 MiB: `env` takes them away again.
  const command = process.platform === 'win32' ? [process.execPath] : ['env', '-u', 'NODE_OPTIONS', process.execPath]
  const child = spawn(command[0]!, [...command.slice(1), ...args], { env: { ...inherited, ...env }, stdio: ['ignore', 'pipe', 'pipe'], ...cwd && { cwd } })
  const end = () => { child.kill('SIGKILL') }
  process.once('exit', end)
  child.once('exit', () => process.off('exit', end))
  return child
}

/** The first line of standard output that matches. @throws with what `getLog` gives, if there is none within `deadline` ms */
export async function waitForLine (child: ChildProcess, pattern: RegExp, getLog = () => '', deadline = DEADLINE): Promise<string> {
  return new Promise((resolve, reject) => {
    let output = ''
    const timer = setTimeout(() => reject(new Error(`No line like ${pattern} within ${deadline} ms\n${output}${getLog()}`)), deadline)
    const onExit = (code: number | null, signal: string | null) => {
      clearTimeout(timer)
      reject(new Error(`The process ended (${code ?? signal}) before it was ready\n${output}${getLog()}`))
    }
    child.once('exit', onExit)
    child.stdout!.setEncoding('utf8').on('data', text => {
      output += text
      const line = output.split('\n').slice(0, -1).find(line => pattern.test(line))
      if (line === undefined) return
      clearTimeout(timer)
      child.off('exit', onExit)
      resolve(line)
    })
  })
}

const READY = /^fastify-tus listening on /
