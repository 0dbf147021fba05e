import { subscribe, unsubscribe } from 'node:diagnostics_channel'
import { events, type LifecycleEvent, type LifecycleMessage } from '../channels.js'

/** What Node publishes of a traced call. */
export interface Call<Message> {
  readonly message: Message
  readonly seconds: number
  /** `undefined` if it did not fail. */
  readonly error: unknown
}

/** What metrics listen to, and stop listening to together. */
export class Subscriptions {
  readonly #stops: Array<() => void> = []

  /** Calls `ended` for each traced call that begins from now on. */
  onCall<Message extends object> (name: string, ended: (call: Call<Message>) => void, began: (message: Message) => void = ignore): void {
    const starts = new WeakMap<object, number>()
    this.on(`tracing:${name}:start`, message => {
      starts.set(message as Message, performance.now())
      began(message as Message)
    })
    this.on(`tracing:${name}:asyncEnd`, message => {
      const start = starts.get(message as Message)
      if (start === undefined) return
      ended({ message: message as Message, seconds: (performance.now() - start) / 1000, error: (message as { error?: unknown }).error })
    })
  }

  onEvent (event: LifecycleEvent, listener: (message: LifecycleMessage) => void): void {
    this.on(String(events[event].name), message => listener(message as LifecycleMessage))
  }

  on (name: string, listener: (message: unknown) => void): void {
    subscribe(name, listener)
    this.#stops.push(() => unsubscribe(name, listener))
  }

  stop (): void {
    for (const stop of this.#stops) stop()
  }
}

function ignore (): void {}
