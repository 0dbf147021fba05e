import { MOST_PARTS } from './bucket.js'
import type { UploadRecord } from './record.js'

export interface PartPlan {
  /** Bytes that lie in parts already. */
  readonly offset: number
  /** Of the upload; `null` if nobody knows. */
  readonly length: number | null
  /** The lowest part number that is free. */
  readonly next: number
  /** The smallest size, in bytes. */
  readonly least: number
}

/**
 * How large the next parts have to be, in bytes, so that the numbers last: a quarter of them is left for those that are lost when another process
 * takes over. Where the length is not known, the size doubles with every thousand parts.
 */
export function choosePartSize ({ offset, length, next, least }: PartPlan): number {
  if (length === null) return Math.min(LARGEST, least * 2 ** Math.floor((next - 1) / 1000))
  const numbers = Math.max(1, Math.floor((MOST_PARTS - next + 1) * 0.75))
  const needed = Math.ceil((length - offset) / numbers / MIB) * MIB
  return Math.min(LARGEST, Math.max(least, needed))
}

/**
 * The size of the first part of a writer that goes on behind the parts of another, in bytes.
 *
 * Where numbers are missing between two parts of one size, Ceph (16 to 20.2) reads the second from the wrong place, if the first part of all was
 * sent twice, as an SDK does whose answer got lost: a size of their own keeps it from that.
 */
export function chooseNextSize (size: number, { multipart, parts, next }: Pick<UploadRecord, 'multipart' | 'parts' | 'next'>): number {
  const last = parts.at(-1)
  const isGap = last !== undefined && last.number + 1 !== next
  return isGap && last.size === size && multipart!.startsWith(CEPH) ? size + GAP : size
}

/** How many part numbers a writer reserves at once. What it has not used when it dies is lost. */
export function chooseWindow (next: number, needed: number): number {
  const spare = MOST_PARTS - next + 1
  return Math.min(needed, Math.max(1, Math.min(32, Math.floor(spare / 8))))
}

/** S3's own bound. */
const LARGEST = 5 * 1024 ** 3
const MIB = 1024 ** 2
const GAP = 64 * 1024
/** So begins every id of a multipart upload there. */
const CEPH = '2~'
