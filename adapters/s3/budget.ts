/** Who holds bytes in memory, and can let go of them. */
export interface Holder {
  /** What {@link reclaim} would free, in bytes. */
  readonly reclaimable: number
  /** When bytes came last, as `Date.now()` tells. */
  readonly touchedAt: number
  /** Puts the bytes where they are safe, if they are not yet, and frees their memory. Waits for S3 alone, never for a client. */
  reclaim(): Promise<void> | void
}

/**
 * Bounds what the uploads of a process hold in memory. Bytes are counted when they have been received, so that a client that sends
 * nothing takes nothing.
 *
 * When much is held, those who hold most of what does not move put it into S3 early: behind everybody's back at first, and while others wait for room
 * when there is none. Uploads that are fast are not disturbed as long as their parts are on their way.
 */
export class MemoryBudget {
  readonly #total: number
  #used = 0
  readonly #holders = new Set<Holder>()
  readonly #reclaiming = new Set<Holder>()
  #waiting: Array<() => void> = []
  #sending = 0
  #relieving = 0
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
    while (this.#spare.length > 0 && this.#used + this.#kept > this.#total) this.#spare.pop()
    if (this.#used > this.#total * HIGH && this.#relieving === 0) this.#relieve()
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

  /** Resolves when so many bytes more can be held, or when nobody could hold less. */
  async makeRoom (bytes = 0): Promise<void> {
    while (this.#used + bytes > this.#total) {
      const holder = this.#findLargest('idle') ?? (this.#isMoving ? null : this.#findLargest('any'))
      if (holder !== null) await this.#reclaim(holder)
      else if (this.#isMoving) await new Promise<void>(resolve => { this.#waiting.push(resolve) })
      else return
    }
  }

  /** Frees, several at a time, what lies idle. */
  #relieve (): void {
    for (let count = 0; count < RELIEVERS; count++) {
      this.#relieving++
      this.#relieveOne().finally(() => { this.#relieving-- }).catch(ignore)
    }
  }

  async #relieveOne (): Promise<void> {
    while (this.#used > this.#total * LOW) {
      const holder = this.#findLargest('idle')
      if (holder === null) return
      await this.#reclaim(holder)
    }
  }

  async #reclaim (holder: Holder): Promise<void> {
    this.#reclaiming.add(holder)
    try {
      await holder.reclaim()
    } finally {
      this.#reclaiming.delete(holder)
      this.#wake()
    }
  }

  #findLargest (which: 'idle' | 'any'): Holder | null {
    const before = which === 'idle' ? Date.now() - IDLE : Infinity
    let largest: Holder | null = null
    for (const holder of this.#holders) {
      if (holder.reclaimable === 0 || holder.touchedAt > before || this.#reclaiming.has(holder)) continue
      if (largest === null || holder.reclaimable > largest.reclaimable) largest = holder
    }
    return largest
  }

  /** Whether anything is on its way to S3 whose memory will come free. */
  get #isMoving (): boolean {
    return this.#reclaiming.size > 0 || this.#sending > 0
  }

  /** Memory for so many bytes, which counts from now on. What it holds is anything. */
  allocate (bytes: number): Buffer {
    const at = this.#spare.findIndex(({ length }) => length === bytes)
    const memory = at === -1 ? null : this.#spare.splice(at, 1)[0]!
    this.take(bytes)
    return memory ?? Buffer.allocUnsafeSlow(bytes)
  }

  /**
   * Keeps memory, which nobody uses or counts any more, for the next who needs as much, where the budget has room for it: giving the collector a part after each
   * part costs it a fifth of the processor time.
   */
  recycle (memory: Buffer): void {
    const kept = this.#kept + memory.length
    if (memory.length > 0 && kept <= this.#total / 8 && this.#used + kept <= this.#total) this.#spare.push(memory)
  }

  get #kept (): number {
    return this.#spare.reduce((sum, { length }) => sum + length, 0)
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

// A reclaim tells its error to whose bytes they are.
function ignore (): void {}

/** From this share on idle bytes are put into S3, down to that one. */
const HIGH = 0.75
const LOW = 0.5
const RELIEVERS = 4
/** What got no byte for so long is idle, in ms. */
const IDLE = 1000
