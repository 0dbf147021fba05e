import { LARGEST_BLOCK } from './options.js'

export interface BlockPlan {
  /** Of the upload, in bytes; `null` if nobody knows. */
  readonly length: number | null
  /** Blocks that are there already. */
  readonly count: number
  /** The smallest size, in bytes. */
  readonly least: number
  /** The largest, in bytes. */
  readonly most: number
}

/** Azure's own bound. */
export const MOST_BLOCKS = 50_000

/**
 * How large the next blocks have to be, in bytes, so that their number lasts: less than half of it is planned for, the rest is left for those that
 * ends of bodies make small. Where the length is not known, the size doubles with every 4000 blocks.
 */
export function chooseBlockSize ({ length, count, least, most }: BlockPlan): number {
  const needed = length === null ? least * 2 ** Math.floor(count / 4000) : Math.ceil(length / 20_000 / MIB) * MIB
  return Math.min(LARGEST_BLOCK, most, Math.max(least, needed))
}

const MIB = 1024 ** 2
