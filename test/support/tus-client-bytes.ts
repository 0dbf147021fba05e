import { createCipheriv, createHash, type Hash } from 'node:crypto'
import { createWriteStream } from 'node:fs'
import { Readable } from 'node:stream'
import { pipeline } from 'node:stream/promises'

/** `size` bytes that look random and are the same for the same seed. Nothing in memory grows with `size`. */
export function * generateBytes (seed: number, size: number): Generator<Buffer> {
  const key = createHash('sha256').update(String(seed)).digest().subarray(0, 16)
  const cipher = createCipheriv('aes-128-ctr', key, Buffer.alloc(16))
  for (let left = size; left > 0; left -= PIECE) yield cipher.update(ZEROS.subarray(0, Math.min(PIECE, left)))
}

/** The same as one buffer, for what is small. */
export function makeBytes (seed: number, size: number): Buffer {
  return Buffer.concat([...generateBytes(seed, size)])
}

/** Writes them to a file, and resolves to their SHA-256. */
export async function writeBytes (path: string, seed: number, size: number): Promise<string> {
  const hash = createHash('sha256')
  await pipeline(Readable.from(hashing(generateBytes(seed, size), hash)), createWriteStream(path))
  return hash.digest('hex')
}

export function sha256 (bytes: Uint8Array): string {
  return createHash('sha256').update(bytes).digest('hex')
}

/** What `GET` answers: how many bytes, and their SHA-256. */
export async function download (url: string): Promise<{ size: number, sha256: string }> {
  const response = await fetch(url)
  if (response.status !== 200) throw new Error(`GET ${url} answers ${response.status}`)
  const hash = createHash('sha256')
  let size = 0
  for await (const chunk of response.body!) {
    hash.update(chunk)
    size += chunk.length
  }
  return { size, sha256: hash.digest('hex') }
}

function * hashing (chunks: Iterable<Buffer>, hash: Hash): Generator<Buffer> {
  for (const chunk of chunks) {
    hash.update(chunk)
    yield chunk
  }
}

const PIECE = 64 * 1024
const ZEROS = Buffer.alloc(PIECE)
