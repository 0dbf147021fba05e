import type { Registry } from 'prom-client'
import type { Server } from 'node:net'
import { promisify } from 'node:util'
import { Instruments } from './instruments.js'
import { OpenBodies } from './open-bodies.js'
import type { MetricsOptions } from './options.js'
import { observe } from './own.js'
import { Subscriptions } from './subscriptions.js'
import { observeAsTusd } from './tusd.js'

/**
 * Keeps the metrics of this process in a register, for all instances of the plugin that name it, until the last of them stops.
 *
 * @throws if `prom-client` is not installed
 */
export async function startMetrics ({ register, tusd = false }: MetricsOptions, server: Server): Promise<() => void> {
  const client = await import('prom-client')
  let metrics = registers.get(register)
  if (metrics === undefined) registers.set(register, metrics = new Metrics(client, register as unknown as Registry))
  metrics.add(server, tusd)
  const started = metrics
  return () => { if (started.remove(server) === 0) registers.delete(register) }
}

const registers = new Map<object, Metrics>()

class Metrics {
  readonly #subscriptions = new Subscriptions()
  readonly #bodies = new OpenBodies(this.#subscriptions)
  readonly #instruments: Instruments
  readonly #servers: Server[] = []
  #tusd = false

  constructor (client: typeof import('prom-client'), register: Registry) {
    this.#instruments = new Instruments(client, register, () => this.#bodies.look())
    observe(this.#instruments, this.#subscriptions, this.#bodies)
  }

  add (server: Server, tusd: boolean): void {
    this.#servers.push(server)
    if (!tusd || this.#tusd) return
    this.#tusd = true
    observeAsTusd(this.#instruments, this.#subscriptions, this.#bodies, () => this.#countConnections())
  }

  /** How many instances are left. */
  remove (server: Server): number {
    this.#servers.splice(this.#servers.indexOf(server), 1)
    if (this.#servers.length === 0) {
      this.#subscriptions.stop()
      this.#instruments.removeAll()
    }
    return this.#servers.length
  }

  async #countConnections (): Promise<number> {
    const counts = [...new Set(this.#servers)].map(server => promisify(server.getConnections.bind(server))())
    return (await Promise.all(counts)).reduce((sum, count) => sum + count, 0)
  }
}
