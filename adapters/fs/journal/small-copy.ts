/** The bytes of a body, as long as they are few: their memory belongs to somebody else, who takes it back. */
export class SmallCopy {
  readonly #pieces: Buffer[] = []
  #size = 0

  /** @param size of the batch, in bytes */
  add (batch: readonly Uint8Array[], size: number): void {
    this.#size += size
    if (this.#size <= LARGEST) this.#pieces.push(Buffer.concat(batch))
    else this.#pieces.length = 0
  }

  /** `null` if there were too many. */
  get bytes (): Buffer | null {
    return this.#size <= LARGEST ? Buffer.concat(this.#pieces) : null
  }
}

/** More than that is worth a sync of its own, in bytes. */
const LARGEST = 16 * 1024
