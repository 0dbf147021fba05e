/**
 * Decides whether small file operations run synchronously.
 *
 * On a local disk or a memory filesystem a metadata call takes 3 to 10 µs, and 20 to 25 µs through the thread pool; on a slow or
 * network filesystem the same call would hold up every other request. So: synchronously as long as that is
 * quick, and through the thread pool for a while after it has been slow several times.
 */
export class Pace {
  readonly #tolerance: number
  #slow: number
  #until = 0

  /**
   * @param tolerance what a call may take, in ms
   * @param quick what to believe before the first measurement
   */
  constructor (tolerance: number, quick = true) {
    this.#tolerance = tolerance
    this.#slow = quick ? 0 : STRIKES
    this.#until = quick ? 0 : Infinity
  }

  /** Whether the next call shall be synchronous. */
  get isQuick (): boolean {
    if (this.#slow < STRIKES) return true
    if (performance.now() < this.#until) return false
    this.#slow = STRIKES - 1
    return true
  }

  /** Runs a synchronous call and learns from how long it took. */
  measure<Result> (call: () => Result): Result {
    const start = performance.now()
    try {
      return call()
    } finally {
      this.#learn(performance.now() - start)
    }
  }

  #learn (milliseconds: number): void {
    // A noisy machine is slow now and then; a slow device is slow again and again.
    this.#slow = milliseconds > this.#tolerance ? Math.floor(this.#slow) + 1 : Math.max(0, this.#slow - FORGIVENESS)
    if (this.#slow >= STRIKES) this.#until = performance.now() + BREAK
  }
}

const STRIKES = 4
const FORGIVENESS = 1 / 16
/** How long to stay away from synchronous calls, in ms. */
const BREAK = 30_000
