/**
 * Bounds what the bodies of a process hold in memory: `total` bytes are shared by those that are open, so that one
 * upload is fast and many stay small.
 */
export class BodyBudget {
  readonly #total: number
  #open = 0

  /** @param total bytes, default 8 MiB */
  constructor (total = 8 * MIB) {
    this.#total = total
  }

  /** What one body may gather before it pauses its connection: between 64 KiB and 2 MiB. */
  get share (): number {
    return Math.min(2 * MIB, Math.max(64 * 1024, this.#total / this.#open))
  }

  enter (): void {
    this.#open++
  }

  leave (): void {
    this.#open--
  }
}

const MIB = 1024 * 1024
