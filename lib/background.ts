import type { Log } from './log.js'

/** Work that no request waits for. Its errors are logged: the next request or the sweeper tries again. */
export class Background {
  readonly #running = new Set<Promise<void>>()

  run (work: () => Promise<void>, log: Log): void {
    const running = work()
      .catch(error => { log.error({ err: error }, 'work in the background failed') })
      .finally(() => { this.#running.delete(running) })
    this.#running.add(running)
  }

  /** Resolves when nothing runs any more. */
  async drain (): Promise<void> {
    while (this.#running.size > 0) await Promise.all(this.#running)
  }
}
