import type { Counter, Gauge, Histogram, Registry } from 'prom-client'

type Client = typeof import('prom-client')

/** Makes the metrics of one register, and takes them back. */
export class Instruments {
  readonly #client: Client
  readonly #register: Registry
  readonly #look: () => void
  readonly #names: string[] = []

  /** @param look called before a counter is read */
  constructor (client: Client, register: Registry, look: () => void) {
    this.#client = client
    this.#register = register
    this.#look = look
  }

  readonly counter = <Label extends string>(name: string, help: string, labelNames: readonly Label[]): Counter<Label> => {
    return new this.#client.Counter({ ...this.#common(name, help), labelNames, collect: this.#look })
  }

  readonly histogram = <Label extends string>(name: string, help: string, labelNames: readonly Label[], buckets: number[]): Histogram<Label> => {
    return new this.#client.Histogram({ ...this.#common(name, help), labelNames, buckets })
  }

  readonly gauge = (name: string, help: string, read: () => number | Promise<number>): Gauge => {
    return new this.#client.Gauge({ ...this.#common(name, help), async collect () { this.set(await read()) } })
  }

  removeAll (): void {
    for (const name of this.#names) this.#register.removeSingleMetric(name)
  }

  #common (name: string, help: string): { name: string, help: string, registers: Registry[] } {
    this.#names.push(name)
    return { name, help, registers: [this.#register] }
  }
}
