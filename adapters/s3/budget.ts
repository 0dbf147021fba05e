/** Who holds bytes in memory, and can let go of them. */
export interface Holder {
  /** What {@link reclaim} would free, in bytes. */
  readonly reclaimable: number
  /** Puts the bytes where they are safe, if they are not yet, and frees their memory. Waits for S3 alone, never for a client. */
  reclaim(): Promise<void> | void
}

/**
 * Bounds what the uploads of a process hold in memory. Bytes are counted when they have been received, so that a client that sends
 * nothing takes nothing.
 *
 * When too much is held, whoever holds most puts it into S3 early.
 */
export class MemoryBudget {
  readonly #total: number
  #used = 0
  readonly #holders = new Set<Holder>()
  readonly #reclaiming = new Set<Holder>()
  #waiting: Array<() => void> = []
  #sending = 0
  readonly #spare: Buffer[] = []

  /** @param total bytes */
  constructor (total: number) {
    this.#total = total
  }

  /** Whether there is room for so much more, with as much again to spare. */
  hasRoom (bytes: number): boolean {
    return this.#used + 2 * bytes <= this.#total
  }

  /** Bytes that are held now. */
  get used (): number {
    return this.#used
  }

  take (bytes: number): void {
    this.#used += bytes
  }

  give (bytes: number): void {
    this.#used -= bytes
    if (bytes > 0) this.#wake()
  }

  add (holder: Holder): void {
    this.#holders.add(holder)
  }

  remove (holder: Holder): void {
    this.#holders.delete(holder)
    this.#wake()
  }

  /** Resolves when no more is held than may be, or when nobody could hold less. */
  async makeRoom (): Promise<void> {
    while (this.#used > this.#total) {
      const holder = this.#findLargest()
      if (holder !== null) await this.#reclaim(holder)
      else if (!await this.#waitForOthers()) return
    }
  }

  async #reclaim (holder: Holder): Promise<void> {
    this.#reclaiming.add(holder)
    try {
      await holder.reclaim()
    } finally {
      this.#reclaiming.delete(holder)
    }
  }

  #findLargest (): Holder | null {
    let largest: Holder | null = null
    for (const holder of this.#holders) {
      if (this.#reclaiming.has(holder) || holder.reclaimable === 0) continue
      if (largest === null || holder.reclaimable > largest.reclaimable) largest = holder
    }
    return largest
  }

  /** False if nothing is on its way to S3 whose memory could come free. */
  async #waitForOthers (): Promise<boolean> {
    if (this.#reclaiming.size === 0 && this.#sending === 0) return false
    await new Promise<void>(resolve => { this.#waiting.push(resolve) })
    return true
  }

  /** Memory for so many bytes, which counts from now on. What it holds is anything. */
  allocate (bytes: number): Buffer {
    this.take(bytes)
    const at = this.#spare.findIndex(({ length }) => length === bytes)
    return at === -1 ? Buffer.allocUnsafeSlow(bytes) : this.#spare.splice(at, 1)[0]!
  }

  /**
   * Keeps memory, which nobody uses or counts any more, for the next who needs as much: giving the collector a part after each
   * part costs it a fifth of the processor time.
   */
  recycle (memory: Buffer): void {
    const kept = this.#spare.reduce((sum, { length }) => sum + length, 0)
    if (kept + memory.length <= this.#total / 8) this.#spare.push(memory)
  }

  /** Counts bytes that are on their way to S3 until `work` is done, and then frees them. */
  async send<Result> (bytes: number, work: () => Promise<Result>): Promise<Result> {
    this.#sending++
    try {
      return await work()
    } finally {
      this.#sending--
      this.give(bytes)
      this.#wake()
    }
  }

  #wake (): void {
    const waiting = this.#waiting
    this.#waiting = []
    for (const wake of waiting) wake()
  }
}
