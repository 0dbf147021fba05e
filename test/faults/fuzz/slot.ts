/** Every upload of the fuzzer is filled with the beginning of this, so that each byte of any download is known. */
export const CONTENT = Buffer.from(Array.from({ length: 65_536 }, (_, at) => Math.imul(at + 1, 0x9e3779b9) >>> 24))

/**
 * What one connection knows of one of its uploads; nobody else touches that one. A connection fills a few of these again and again.
 */
export class Slot {
  /** Whether the server speaks both protocols. */
  readonly bilingual: boolean

  constructor (bilingual = false) {
    this.bilingual = bilingual
  }

  /** `null` while there is none. */
  id: string | null = null
  length: number | null = null
  offset = 0
  kind: 'plain' | 'partial' | 'final' = 'plain'
  /** The lengths of the parts of a final upload. */
  parts: readonly number[] = []
  /** Whether the server must know the same. After a lost answer it may not. */
  certain = true
  /** What may be its offset, where that is all that is not known. */
  range: readonly [least: number, most: number] | null = null
  /** Whether its bytes are known. */
  genuine = true
  /** Whether somebody has said that the length is the end: those that were created in the draft may be full, and yet not complete. */
  told = true
  /** Whose words created it. */
  protocol: 'tus' | 'ietf' = 'tus'
  /** Created at the route of the application, whose handler answers for it. */
  target = false
  /** The handler has. */
  answered = false
  /** Digests of the whole by their algorithm, in Base64; `null` for one that was asked for. */
  digests: ReadonlyMap<string, string | null> = new Map()
  /** Where the server speaks both protocols, nobody can say any more what a lost request has left beside offset and length. */
  loose = false
  /** A request about it is on its way. */
  busy = false

  /** Whose length is its end, whoever fills it and whatever that one says. */
  get endsAtLength (): boolean {
    return this.protocol === 'tus'
  }

  get complete (): boolean {
    return this.id !== null && this.told && this.offset === this.length
  }

  get content (): Buffer {
    return this.kind === 'final' ? Buffer.concat(this.parts.map(length => CONTENT.subarray(0, length))) : CONTENT.subarray(0, this.offset)
  }

  fill (upload: { id: string } & Partial<Pick<Slot, 'length' | 'offset' | 'kind' | 'parts' | 'certain' | 'genuine' | 'told' | 'protocol' | 'target' | 'answered' | 'digests' | 'loose'>>): void {
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
    this.range = null
    this.genuine = true
    this.told = true
    this.protocol = 'tus'
    this.target = false
    this.answered = false
    this.digests = new Map()
    this.loose = false
  }
}
