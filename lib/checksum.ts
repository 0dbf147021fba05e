import { createHash } from 'node:crypto'
import { crc32 } from 'node:zlib'

/** The algorithms that a checksum can name, as tus spells them. */
export const CHECKSUM_ALGORITHMS = ['sha1', 'sha256', 'sha512', 'md5', 'crc32'] as const
export type ChecksumAlgorithm = typeof CHECKSUM_ALGORITHMS[number]

/** What the bytes of a body have to add up to. */
export interface Checksum {
  readonly algorithm: ChecksumAlgorithm
  readonly digest: Buffer
}

/** Adds up the bytes of one body, for one or several algorithms: which one counts may be known only at the end. */
export interface Digests {
  /** The batch is the caller's again when this resolves. */
  update(batch: readonly Uint8Array[]): Promise<void> | void
  /** In Base64, by algorithm. Ends the adding up. */
  finish(): Promise<DigestsFound> | DigestsFound
  /** Frees what it holds, also in the middle. Idempotent. */
  close(): void
}

/** Digests in Base64, by algorithm. */
export type DigestsFound = ReadonlyMap<ChecksumAlgorithm, string>

/** Adds up where it is called. */
export function createDigests (algorithms: readonly ChecksumAlgorithm[]): Digests {
  const hashes = algorithms.map(algorithm => [algorithm, algorithm === 'crc32' ? new Crc32() : createHash(algorithm)] as const)
  return {
    update (batch) {
      for (const chunk of batch) for (const [, hash] of hashes) hash.update(chunk)
    },
    finish: () => new Map(hashes.map(([algorithm, hash]) => [algorithm, hash.digest('base64')])),
    close () {}
  }
}

/** Bytes of a digest. */
export function getDigestLength (algorithm: ChecksumAlgorithm): number {
  return LENGTHS[algorithm]
}

const LENGTHS: Readonly<Record<ChecksumAlgorithm, number>> = { sha1: 20, sha256: 32, sha512: 64, md5: 16, crc32: 4 }

/** CRC-32 as in zlib and Ethernet; the digest is its four bytes, the most significant first. */
class Crc32 {
  #value = 0

  update (chunk: Uint8Array): void {
    this.#value = crc32(chunk, this.#value)
  }

  digest (encoding: BufferEncoding): string {
    const digest = Buffer.alloc(4)
    digest.writeUInt32BE(this.#value)
    return digest.toString(encoding)
  }
}
