/** Tells those who wait for a complete upload that there may be one. */
export class Arrivals {
  readonly #waiting = new Set<() => void>()
  #closed = false

  /** Whether nothing arrives any more. */
  get closed (): boolean {
    return this.#closed
  }

  /** Ends all waiting. */
  close (): void {
    this.#closed = true
    this.notify()
  }

  notify (): void {
    for (const wake of this.#waiting) wake()
  }

  /** Resolves at the next arrival, after `timeout` ms, or when the signal aborts. */
  wait (timeout: number, signal: AbortSignal | undefined): Promise<void> {
    return new Promise(resolve => {
      const wake = () => {
        clearTimeout(timer)
        signal?.removeEventListener('abort', wake)
        this.#waiting.delete(wake)
        resolve()
      }
      const timer = setTimeout(wake, timeout)
      signal?.addEventListener('abort', wake)
      this.#waiting.add(wake)
    })
  }
}
