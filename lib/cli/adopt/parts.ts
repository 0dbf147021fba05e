import { createName } from '../../../adapters/s3/keys.js'
import { sum, type Part } from '../../../adapters/s3/record.js'

/** The parts that count. */
export interface FoundParts {
  readonly parts: readonly Part[]
  /** The lowest part number that nobody has used. */
  readonly next: number
  /** Whether no part is there that does not count. */
  readonly isWhole: boolean
}

/** The bytes behind the last part, and the name that they get. */
export interface Tail {
  readonly name: string
  readonly bytes: Uint8Array
}

/**
 * The parts up to the first hole. The other servers send several at a time, and count those behind a hole, too.
 *
 * S3 takes a small part at the end only: one in the middle is a hole as well. `null` if they are more than the upload.
 */
export function selectParts (there: readonly Part[], length: number | null): FoundParts | null {
  const sorted = [...there].sort((a, b) => a.number - b.number)
  const parts: Part[] = []
  for (const part of sorted) {
    const isLast = sum(parts) + part.size === length
    if (part.number !== parts.length + 1 || (part.size < SMALLEST && !isLast)) break
    parts.push(part)
  }
  if (length !== null && sum(parts) > length) return null
  return { parts, next: (sorted.at(-1)?.number ?? 0) + 1, isWhole: parts.length === there.length }
}

/**
 * The bytes that lie beside the parts, if it is certain that they follow the last one; `null` otherwise.
 *
 * The other servers store them while parts before them are still on their way. If one of those did not arrive, nothing tells: unless the upload has
 * no room for another part.
 */
export function chooseTail ({ parts, isWhole }: FoundParts, length: number | null, bytes: Uint8Array): Tail | null {
  const end = sum(parts) + bytes.length
  const isCertain = isWhole && length !== null && end <= length && end + SMALLEST > length
  return isCertain ? { name: createName(), bytes } : null
}

/** Of every part but the last, in bytes. */
const SMALLEST = 5 * 1024 ** 2
