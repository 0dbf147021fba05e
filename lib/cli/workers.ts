import Fastify, { type FastifyBaseLogger } from 'fastify'
import cluster, { type Worker } from 'node:cluster'
import { once } from 'node:events'
import { createServer, type AddressInfo } from 'node:net'
import { setTimeout as pause } from 'node:timers/promises'
import type { MetricsFlags, ServeFlags } from './flags.js'
import { listen } from './metrics.js'
import { answerWorkers, readAll } from './worker-metrics.js'

/** What a worker tells when it listens. */
export interface Ready {
  readonly url: string
}

/**
 * Runs `serve` in several processes that share one port.
 *
 * One that ends is replaced. SIGTERM and SIGINT stop all in order; SIGHUP replaces one after the other, each only when its successor listens.
 */
export class Workers {
  readonly #number: number
  readonly #host: string
  readonly #metrics: MetricsFlags | null
  readonly #log: FastifyBaseLogger
  readonly #ready = new Set<number>()
  /** With port 0, a free one: successors could not listen at the one that their predecessors were given. */
  #port: number
  #started = false
  #stopping = false
  #stoppedAt = 0
  #rolling: Promise<void> | null = null

  constructor ({ workers, logLevel, host, port, metrics }: ServeFlags) {
    this.#number = workers
    this.#host = host
    this.#port = port
    this.#metrics = metrics
    // Every worker accepts for itself. A connection that the primary hands to one which is killed before it took it would stay open, and never be answered.
    cluster.schedulingPolicy = cluster.SCHED_NONE
    this.#log = Fastify({ logger: { level: logLevel, stream: process.stderr } }).log
  }

  /**
   * Resolves to the URL as soon as all listen.
   *
   * @throws if one of them can't start
   */
  async start (): Promise<string> {
    cluster.on('exit', (worker, code, signal) => {
      if (worker.exitedAfterDisconnect !== true) this.#replace(worker, signal || code).catch(ignore)
    })
    if (this.#metrics !== null) await this.#expose(this.#metrics)
    if (this.#port === 0) this.#port = await findPort(this.#host)
    const urls = await Promise.all(Array.from({ length: this.#number }, () => this.#fork()))
    process.on('SIGTERM', () => this.#stop()).on('SIGINT', () => this.#stop()).on('SIGHUP', () => this.#roll())
    this.#started = true
    return urls[0]!
  }

  async #expose ({ port }: MetricsFlags): Promise<void> {
    if (port === null) answerWorkers()
    else await listen(this.#host, port, readAll)
  }

  async #fork (): Promise<string> {
    const worker = cluster.fork({ [WORKER_PORT]: String(this.#port) })
    const ended = once(worker, 'exit').then(() => { throw new Error('a worker could not start') })
    ended.catch(ignore)
    const [{ url }] = await Promise.race([once(worker, 'message'), ended]) as [Ready]
    this.#ready.add(worker.id)
    return url
  }

  async #replace (worker: Worker, cause: number | string): Promise<void> {
    // One that can't start at all ends the command.
    if (this.#stopping || (!this.#started && !this.#ready.has(worker.id))) return
    this.#log.error({ worker: worker.process.pid, cause }, 'a worker ended')
    // One that can't start, because its disk is away, is tried again, but not all the time.
    if (!this.#ready.delete(worker.id)) await pause(REST, undefined, { ref: false })
    // There is no place to fill where a successor could not start: its predecessor is still there.
    await this.#rolling
    if (!this.#stopping && getWorkers().length < this.#number) await this.#fork()
  }

  #roll (): void {
    this.#rolling ??= this.#rollAll().catch(error => this.#log.error({ err: error }, 'the workers were not all replaced')).then(() => { this.#rolling = null })
  }

  async #rollAll (): Promise<void> {
    for (const old of getWorkers()) {
      // One that has died meanwhile is replaced when all others are.
      if (old.isDead()) continue
      await this.#fork()
      if (this.#stopping) return
      await this.#end(old)
      this.#log.info({ worker: old.process.pid }, 'a worker was replaced')
    }
  }

  async #stop (): Promise<void> {
    // A second signal, from somebody who can't wait, unless it follows the first directly: then it was sent to all processes of a group.
    if (this.#stopping) return performance.now() - this.#stoppedAt > SAME_SIGNAL ? killAll() : undefined
    this.#stopping = true
    this.#stoppedAt = performance.now()
    await Promise.all(getWorkers().map(worker => this.#end(worker)))
    process.exit(0)
  }

  /** Resolves when it has gone. */
  async #end (worker: Worker): Promise<void> {
    if (worker.isDead()) return
    const ended = once(worker, 'exit')
    // Who ends on request needs no successor.
    worker.exitedAfterDisconnect = true
    worker.process.kill('SIGTERM')
    const timer = setTimeout(() => worker.process.kill('SIGKILL'), PATIENCE)
    await ended
    clearTimeout(timer)
  }
}

/** The environment variable that tells a worker its port, whatever its flags say. */
export const WORKER_PORT = 'FASTIFY_TUS_WORKER_PORT'

async function findPort (host: string): Promise<number> {
  const server = createServer().listen(0, host)
  await once(server, 'listening')
  const { port } = server.address() as AddressInfo
  server.close()
  await once(server, 'close')
  return port
}

/** Those that live: one that has ended stays in the list of Node until its channel is closed, too. */
function getWorkers (): Worker[] {
  return Object.values(cluster.workers ?? {}).filter(worker => worker !== undefined).filter(worker => !worker.isDead())
}

function killAll (): never {
  for (const worker of getWorkers()) worker.process.kill('SIGKILL')
  process.exit(1)
}

// A worker that could not start was logged when it ended.
function ignore (): void {}

/** How long two signals count as one, in ms. */
const SAME_SIGNAL = 300
/** How long a worker may take to stop, in ms. */
const PATIENCE = 9_500
/** How long to wait before the next try to start a worker, in ms. */
const REST = 1_000
