import type { MemoryBudget } from './budget.js'
import { sum, type Piece } from './record.js'

/**
 * The bytes behind the last part: pieces that lie in S3 alone, then bytes in memory, of which the first may lie in S3 as well, and the
 * last are fresh.
 */
export class Region {
  readonly #budget: MemoryBudget
  #absent: Piece[]
  #present: Piece[] = []
  #buffer = NOTHING
  #length = 0

  constructor (budget: MemoryBudget, pieces: readonly Piece[]) {
    this.#budget = budget
    this.#absent = [...pieces]
  }

  /** In bytes. */
  get size (): number {
    return sum(this.#absent) + this.#length
  }

  /** Bytes of memory. */
  get held (): number {
    return this.#buffer.length
  }

  /** What of it lies in S3, in order. */
  get pieces (): readonly Piece[] {
    return [...this.#absent, ...this.#present]
  }

  /** The bytes that lie nowhere else. */
  get fresh (): Uint8Array {
    return this.#buffer.subarray(sum(this.#present), this.#length)
  }

  /** How much more memory so many bytes would take. */
  getGrowth (bytes: number): number {
    const needed = this.#length + bytes
    return needed <= this.#buffer.length ? 0 : chooseCapacity(this.#buffer.length, needed) - this.#buffer.length
  }

  push (bytes: Uint8Array): void {
    this.#grow(this.#length + bytes.length)
    this.#buffer.set(bytes, this.#length)
    this.#length += bytes.length
  }

  /** So many bytes are about to come, fast: they get their memory at once, if there is plenty. */
  expect (bytes: number): void {
    if (this.#buffer.length === 0 && this.#budget.hasRoom(bytes)) this.#buffer = this.#budget.allocate(bytes)
  }

  /** The fresh bytes lie in S3 now. */
  keep (piece: Piece): void {
    this.#present.push(piece)
  }

  /** All bytes lie in S3 now, as one piece. */
  merge (piece: Piece): void {
    this.#absent = []
    this.#present = [piece]
  }

  /** Frees the memory. There must be no fresh bytes. */
  drop (): void {
    this.#absent = [...this.#absent, ...this.#present]
    this.#present = []
    this.#budget.recycle(this.#free())
  }

  /** Forgets everything. */
  clear (): void {
    this.#absent = []
    this.#present = []
    this.#free()
  }

  /** Reads what is in S3 alone, so that all bytes are in memory. */
  async fill (read: (piece: Piece) => Promise<Uint8Array>): Promise<void> {
    if (this.#absent.length === 0) return
    const before = await readAll(this.#absent, read)
    const whole = new Region(this.#budget, [])
    whole.#grow(this.size)
    for (const bytes of before) whole.push(bytes)
    whole.push(this.#buffer.subarray(0, this.#length))
    this.#present = [...this.#absent, ...this.#present]
    this.#absent = []
    this.#free()
    this.#buffer = whole.#buffer
    this.#length = whole.#length
  }

  /** All bytes, which must be in memory. They stay. */
  look (): Uint8Array {
    return this.#buffer.subarray(0, this.#length)
  }

  /** Hands out all bytes, which must be in memory, and begins anew. The memory still counts: the caller gives it back. */
  take (): { bytes: Uint8Array, memory: Buffer, pieces: readonly Piece[] } {
    const taken = { bytes: this.look(), memory: this.#buffer, pieces: this.pieces }
    this.#present = []
    this.#buffer = NOTHING
    this.#length = 0
    return taken
  }

  #grow (needed: number): void {
    if (needed <= this.#buffer.length) return
    const buffer = this.#budget.allocate(chooseCapacity(this.#buffer.length, needed))
    buffer.set(this.#buffer.subarray(0, this.#length))
    this.#budget.give(this.#buffer.length)
    this.#budget.recycle(this.#buffer)
    this.#buffer = buffer
  }

  /** Returns the memory, which counts no more. */
  #free (): Buffer {
    const memory = this.#buffer
    this.#budget.give(memory.length)
    this.#buffer = NOTHING
    this.#length = 0
    return memory
  }
}

/** Starts small, because most of many clients are slow, and grows by so much that little is copied. */
function chooseCapacity (present: number, needed: number): number {
  let size = Math.max(present, SMALLEST)
  while (size < needed) size *= size < 1024 * 1024 ? 4 : 2
  return size
}

/** A few at a time, in their order. */
async function readAll (pieces: readonly Piece[], read: (piece: Piece) => Promise<Uint8Array>): Promise<Uint8Array[]> {
  const results: Uint8Array[] = []
  for (let at = 0; at < pieces.length; at += READERS) {
    results.push(...await Promise.all(pieces.slice(at, at + READERS).map(read)))
  }
  return results
}

const NOTHING: Buffer = Buffer.alloc(0)
const SMALLEST = 16 * 1024
const READERS = 8
