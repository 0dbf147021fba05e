/** Every upload of the fuzzer is filled with the beginning of this, so that each byte of any download is known. */
export const CONTENT = Buffer.from(Array.from({ length: 65_536 }, (_, at) => Math.imul(at + 1, 0x9e3779b9) >>> 24))

/**
 * What one connection knows of one of its uploads; nobody else touches that one. A connection fills a few of these again and again.
 */
export class Slot {
  /** `null` while there is none. */
  id: string | null = null
  length: number | null = null
  offset = 0
  kind: 'plain' | 'partial' | 'final' = 'plain'
  /** The lengths of the parts of a final upload. */
  parts: readonly number[] = []
  /** Whether the server must know the same. After a lost answer it may not. */
  certain = true
  /** Whether its bytes are known. */
  genuine = true
  /** A request about it is on its way. */
  busy = false

  get complete (): boolean {
    return this.id !== null && this.offset === this.length
  }

  get content (): Buffer {
    return this.kind === 'final' ? Buffer.concat(this.parts.map(length => CONTENT.subarray(0, length))) : CONTENT.subarray(0, this.offset)
  }

  fill (upload: { id: string } & Partial<Pick<Slot, 'length' | 'offset' | 'kind' | 'parts' | 'certain' | 'genuine'>>): void {
    this.clear()
    Object.assign(this, upload)
  }

  clear (): void {
    this.id = null
    this.length = null
    this.offset = 0
    this.kind = 'plain'
    this.parts = []
    this.certain = true
    this.genuine = true
  }
}
