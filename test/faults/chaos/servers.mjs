import { spawn, execFileSync } from 'node:child_process'
import { once } from 'node:events'
import { readFileSync, readdirSync } from 'node:fs'
import { createServer } from 'node:net'
import { setTimeout as sleep } from 'node:timers/promises'
import { fileURLToPath } from 'node:url'

const CLI = fileURLToPath(new URL('../../../dist/lib/cli/main.js', import.meta.url))

/**
 * Starts `fastify-tus serve` on a directory: as a cluster with `workers` processes on one port, or as so many independent processes.
 *
 * @param options `mode` ('cluster' or 'processes'), `workers`, `directory` or `place`, `flags` for each, `nodeFlags`, `onDeath`, called with what is wrong
 *   when a process ends that nobody killed
 */
export async function startServers (options) {
  const servers = options.mode === 'cluster' ? new Cluster(options) : new Processes(options)
  await servers.start()
  return servers
}

class Servers {
  /** The end of what they logged. */
  log = ''
  logged = 0
  /** Where the uploads are, if they are in a directory. */
  directory
  options
  stopping = false
  /** Who was told to end, so that its end is no surprise. */
  #signalled = new Map()

  constructor (options) {
    this.options = options
    this.directory = options.directory
  }

  /** @returns {boolean} whether the process was still there */
  signal (pid, signal) {
    try {
      if (signal === 'SIGKILL' || signal === 'SIGTERM') this.#signalled.set(pid, signal)
      return process.kill(pid, signal)
    } catch {
      return false
    }
  }

  wasSignalled (pid) {
    return this.#signalled.has(pid)
  }

  /** Starts one, and resolves to the process and its port when it is ready. */
  async spawn (port, flags) {
    const { nodeFlags = [], flags: shared = [], place } = this.options
    const { NODE_OPTIONS, ...env } = process.env
    const child = spawn(process.execPath, [...nodeFlags, CLI, 'serve', '--port', String(port), ...place?.flags ?? ['--dir', this.directory], '--log-level', 'error', ...shared, ...flags], { env, stdio: ['ignore', 'pipe', 'pipe'] })
    const end = () => child.kill('SIGKILL')
    process.once('exit', end)
    child.once('exit', () => process.off('exit', end))
    child.stderr.on('data', text => this.#onLog(String(text)))
    return { child, port: await waitUntilReady(child) }
  }

  #onLog (text) {
    this.options.onLog?.(text)
    this.logged += text.split('\n').length - 1
    this.log = (this.log + text).slice(-20_000)
  }
}

/** One port; the primary replaces workers that end. */
class Cluster extends Servers {
  #child
  #port
  #known = new Set()
  #watch

  async start () {
    const { child, port } = await this.spawn(await findPort(), ['--workers', String(this.options.workers)])
    this.#child = child
    this.#port = port
    child.once('exit', (code, signal) => { if (!this.stopping) this.options.onDeath(`the primary ended by itself (${code ?? signal})`) })
    this.#watch = setInterval(() => this.#look(), 100)
  }

  port () { return this.#port }
  get anyPort () { return this.#port }

  /** Of the workers. */
  get pids () { return listChildren(this.#child.pid) }
  get allPids () { return [this.#child.pid, ...this.pids] }

  /** Resolves when what was killed has a successor. */
  async recover () {
    while (this.pids.length < this.options.workers) await sleep(50)
  }

  /** Tells all to end; resolves to what is wrong with how they did. */
  async stop () {
    this.stopping = true
    clearInterval(this.#watch)
    return stopChild(this.#child)
  }

  #look () {
    const present = new Set(this.pids)
    for (const pid of this.#known) {
      if (!present.has(pid) && !this.wasSignalled(pid) && !this.stopping) this.options.onDeath(`worker ${pid} ended by itself`)
    }
    this.#known = present
  }
}

/** Independent processes, each at a port of its own, started again as soon as they end. */
class Processes extends Servers {
  #running = new Map()
  #starting = new Set()

  async start () {
    const ports = await Promise.all(Array.from({ length: this.options.workers }, findPort))
    for (const port of ports) this.#start(port)
    await this.recover()
  }

  port (random) { return random.pick([...this.#running.keys()]) }
  get anyPort () { return [...this.#running.keys()][0] }
  get pids () { return [...this.#running.values()].filter(child => child !== null && child.exitCode === null && child.signalCode === null).map(({ pid }) => pid) }
  get allPids () { return this.pids }

  async recover () {
    while (this.#starting.size > 0) await Promise.all(this.#starting)
  }

  async stop () {
    this.stopping = true
    await this.recover()
    const problems = await Promise.all([...this.#running.values()].map(child => child && stopChild(child)))
    return problems.filter(Boolean).join('; ') || null
  }

  #start (port) {
    const starting = this.#run(port).catch(error => this.options.onDeath(`a process did not start: ${error.message}`)).finally(() => this.#starting.delete(starting))
    this.#starting.add(starting)
  }

  async #run (port) {
    this.#running.set(port, null)
    const { child } = await this.spawn(port, [])
    this.#running.set(port, child)
    child.once('exit', (code, signal) => {
      if (this.stopping) return
      if (!this.wasSignalled(child.pid)) this.options.onDeath(`process ${child.pid} ended by itself (${code ?? signal})`)
      this.#start(port)
    })
  }
}

/** Resolves to `null`, or to what is wrong. */
async function stopChild (child) {
  if (child.exitCode !== null || child.signalCode !== null) return 'had ended before'
  const start = performance.now()
  child.kill('SIGTERM')
  const timer = setTimeout(() => child.kill('SIGKILL'), PATIENCE)
  const [code, signal] = await once(child, 'exit')
  clearTimeout(timer)
  return code === 0 ? null : `ended with ${code ?? signal} ${Math.round(performance.now() - start)} ms after SIGTERM`
}

function waitUntilReady (child) {
  return new Promise((resolve, reject) => {
    let output = ''
    const fail = why => reject(new Error(`${why}\n${output}`))
    const timer = setTimeout(() => fail('The server was not ready in time'), START)
    child.once('exit', (code, signal) => {
      clearTimeout(timer)
      fail(`The server ended before it was ready (${code ?? signal})`)
    })
    child.stderr.on('data', text => { output = (output + text).slice(-2000) })
    child.stdout.on('data', text => {
      output = (output + text).slice(-2000)
      const port = /^fastify-tus listening on http:\/\/\S+?:(\d+)\//m.exec(output)?.[1]
      if (port === undefined) return
      clearTimeout(timer)
      resolve(Number(port))
    })
  })
}

/** The processes that this one started. */
export function listChildren (pid) {
  try {
    return readdirSync(`/proc/${pid}/task`).flatMap(task => readFileSync(`/proc/${pid}/task/${task}/children`, 'utf8').split(' ').filter(Boolean).map(Number))
  } catch {
    return listChildrenByPs(pid)
  }
}

function listChildrenByPs (pid) {
  try {
    return execFileSync('ps', ['-A', '-o', 'pid=,ppid='], { encoding: 'utf8' }).split('\n').map(line => line.trim().split(/\s+/).map(Number))
      .filter(([, parent]) => parent === pid).map(([child]) => child)
  } catch {
    return []
  }
}

/** Below the ports that the system gives to clients: none of them may sit on the port of a server that starts again. */
async function findPort () {
  for (;;) {
    const port = 10_000 + Math.floor(Math.random() * 20_000)
    const server = createServer().listen(port, '127.0.0.1')
    const free = await new Promise(resolve => server.once('listening', () => resolve(true)).once('error', () => resolve(false)))
    if (free) {
      await new Promise(resolve => server.close(resolve))
      return port
    }
    await sleep(1)
  }
}

const START = 120_000
const PATIENCE = 60_000
