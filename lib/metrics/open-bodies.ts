import type { AppendMessage } from '../channels.js'
import type { Subscriptions } from './subscriptions.js'

/** The bodies that come in now. What they bring is counted whenever somebody looks, so that a body of a day shows from its first minute. */
export class OpenBodies {
  readonly #counted = new Map<AppendMessage, number>()
  readonly #listeners: Array<(count: number) => void> = []

  constructor (subscriptions: Subscriptions) {
    subscriptions.onCall<AppendMessage>('fastify-tus:append', ({ message }) => {
      this.#countOf(message)
      this.#counted.delete(message)
    }, message => { this.#counted.set(message, 0) })
  }

  get count (): number {
    return this.#counted.size
  }

  /** @param listener gets the number of bytes that came in since its last call */
  onReceived (listener: (count: number) => void): void {
    this.#listeners.push(listener)
  }

  /** Counts what has come in up to now. */
  look (): void {
    for (const message of this.#counted.keys()) this.#countOf(message)
  }

  #countOf (message: AppendMessage): void {
    const { received } = message.body
    const count = received - (this.#counted.get(message) ?? 0)
    this.#counted.set(message, received)
    for (const listener of this.#listeners) listener(count)
  }
}
