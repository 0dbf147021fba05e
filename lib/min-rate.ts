/** The least that a body has to bring: `bytes` in every `window` of ms. */
export interface MinRate {
  readonly bytes: number
  readonly window: number
}

/**
 * Watches whether a body brings enough. It looks a few times per window instead of at every chunk, so a fast body pays nothing.
 *
 * A body that brings `bytes` in every window is never too slow; one that does not is found an eighth of a window late. Time in which
 * the body is paused does not count.
 */
export class RateWatch {
  readonly #rate: MinRate
  readonly #getReceived: () => number
  readonly #onSlow: () => void
  readonly #timer: NodeJS.Timeout
  #samples: readonly Sample[]
  #pausedAt: number | null = null
  #pausedFor = 0

  /**
   * @param getReceived bytes that the body brought so far
   * @param onSlow called once, when it has brought too little
   */
  constructor (rate: MinRate, getReceived: () => number, onSlow: () => void) {
    this.#rate = rate
    this.#getReceived = getReceived
    this.#onSlow = onSlow
    this.#samples = [{ at: this.#now, received: getReceived() }]
    this.#timer = setInterval(this.#look, Math.ceil(rate.window / LOOKS))
  }

  pause (): void {
    this.#pausedAt ??= performance.now()
  }

  resume (): void {
    this.#pausedFor = performance.now() - this.#now
    this.#pausedAt = null
  }

  stop (): void {
    clearInterval(this.#timer)
  }

  /** A clock that stands still while the body is paused, in ms. */
  get #now (): number {
    return (this.#pausedAt ?? performance.now()) - this.#pausedFor
  }

  readonly #look = (): void => {
    const { bytes, window } = this.#rate
    const now: Sample = { at: this.#now, received: this.#getReceived() }
    // Behind a pause the next look comes soon: samples that lie too close to each other would only fill the memory.
    if (now.at - this.#samples.at(-1)!.at < window / LOOKS / 2) return
    // The one that is left in front lies a whole window back, or it is the start.
    const inside = this.#samples.findLastIndex(({ at }) => now.at - at >= window)
    this.#samples = [...this.#samples.slice(Math.max(0, inside)), now]
    const [first] = this.#samples
    if (inside < 0 || now.received - first!.received >= bytes) return
    this.stop()
    this.#onSlow()
  }
}

interface Sample {
  readonly at: number
  readonly received: number
}

const LOOKS = 8
