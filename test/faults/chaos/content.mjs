import { createCipheriv, createHash } from 'node:crypto'

/**
 * What an upload shall hold. `read(start, end)` gives any range, `end` excluded, without what lies before it; no more
 * than that is ever in memory.
 */
export function makeContent (seed, length) {
  const key = createHash('sha256').update(String(seed)).digest().subarray(0, 16)
  return { length, read: (start, end) => encryptZeros(key, start, Math.min(end, length)) }
}

/** Several contents, one behind the other. */
export function joinContents (parts) {
  const length = parts.reduce((sum, part) => sum + part.length, 0)
  return {
    length,
    read (start, end) {
      const pieces = []
      let base = 0
      for (const part of parts) {
        if (start < base + part.length && end > base) pieces.push(part.read(Math.max(0, start - base), Math.min(part.length, end - base)))
        base += part.length
      }
      return Buffer.concat(pieces)
    }
  }
}

/** All of it, in pieces of up to 256 KiB. */
export function * readAll (content) {
  for (let start = 0; start < content.length; start += PIECE) yield content.read(start, Math.min(content.length, start + PIECE))
}

export function getSha256 (content) {
  const hash = createHash('sha256')
  for (const piece of readAll(content)) hash.update(piece)
  return hash.digest('hex')
}

/** AES-128-CTR: its counter leads to any block of 16 bytes at once. */
function encryptZeros (key, start, end) {
  if (end <= start) return Buffer.alloc(0)
  const counter = Buffer.alloc(16)
  counter.writeBigUInt64BE(BigInt(Math.floor(start / 16)), 8)
  const skipped = start % 16
  return createCipheriv('aes-128-ctr', key, counter).update(Buffer.alloc(end - start + skipped)).subarray(skipped)
}

const PIECE = 256 * 1024
