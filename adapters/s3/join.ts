/** Where the bytes of a part of a joined object come from. */
export type Section =
  | { readonly kind: 'copy', readonly source: number, readonly start: number, readonly end: number }
  | { readonly kind: 'join', readonly size: number, readonly ranges: ReadonlyArray<{ readonly source: number, readonly start: number, readonly end: number }> }

/**
 * How to make one object of several, one behind the other: what is large is copied inside of S3, what is small goes through memory, together with so
 * much of its neighbours that it makes a part.
 *
 * @param sizes of the sources, in bytes
 * @param least the size of a part that is not the last, in bytes
 */
export function planJoin (sizes: readonly number[], least: number): Section[] {
  const sections: Section[] = []
  let joint: Array<{ source: number, start: number, end: number }> = []
  let gathered = 0
  const flush = () => {
    if (gathered > 0) sections.push({ kind: 'join', size: gathered, ranges: joint })
    joint = []
    gathered = 0
  }
  for (const [source, size] of sizes.entries()) {
    let start = 0
    if (gathered > 0 || size < least) {
      const taken = Math.min(size, least - gathered)
      if (taken > 0) joint.push({ source, start, end: taken - 1 })
      gathered += taken
      start = taken
      if (gathered === least) flush()
    }
    if (size - start >= least) {
      for (const [from, to] of splitRange(start, size - 1)) sections.push({ kind: 'copy', source, start: from, end: to })
    } else if (start < size) {
      joint.push({ source, start, end: size - 1 })
      gathered += size - start
    }
  }
  flush()
  return sections
}

/** In pieces that S3 copies in one go, none of them small. Both ends included. */
export function splitRange (start: number, end: number): Array<[start: number, end: number]> {
  const size = end - start + 1
  const count = Math.ceil(size / LARGEST)
  return Array.from({ length: count }, (_, index) => [start + Math.floor(size * index / count), start + Math.floor(size * (index + 1) / count) - 1])
}

/** S3 would copy up to 5 GiB at once; smaller pieces run side by side. */
const LARGEST = 1024 ** 3
