import { createHash, type Hash } from 'node:crypto'
import { crc32 } from 'node:zlib'

/** The algorithms that a checksum can name, as tus spells them. */
export const CHECKSUM_ALGORITHMS = ['sha1', 'sha256', 'sha512', 'md5', 'crc32'] as const
export type ChecksumAlgorithm = typeof CHECKSUM_ALGORITHMS[number]

/** What the bytes of a body have to add up to. */
export interface Checksum {
  readonly algorithm: ChecksumAlgorithm
  readonly digest: Buffer
}

/** Adds up bytes as they come, for one or several algorithms: which one counts may be known only at the end. */
export class Digests {
  readonly #hashes: ReadonlyMap<ChecksumAlgorithm, Accumulator>

  constructor (algorithms: readonly ChecksumAlgorithm[]) {
    this.#hashes = new Map(algorithms.map(algorithm => [algorithm, algorithm === 'crc32' ? new Crc32() : createHash(algorithm)]))
  }

  update (chunk: Uint8Array): void {
    for (const hash of this.#hashes.values()) hash.update(chunk)
  }

  /** Whether the bytes are the ones that the client meant. Ends the adding up. */
  match ({ algorithm, digest }: Checksum): boolean {
    return this.#hashes.get(algorithm)?.digest().equals(digest) ?? false
  }
}

/** Bytes of a digest. */
export function getDigestLength (algorithm: ChecksumAlgorithm): number {
  return LENGTHS[algorithm]
}

const LENGTHS: Readonly<Record<ChecksumAlgorithm, number>> = { sha1: 20, sha256: 32, sha512: 64, md5: 16, crc32: 4 }

type Accumulator = Pick<Hash, 'update'> & { digest(): Buffer } | Crc32

/** CRC-32 as in zlib and Ethernet; the digest is its four bytes, the most significant first. */
class Crc32 {
  #value = 0

  update (chunk: Uint8Array): void {
    this.#value = crc32(chunk, this.#value)
  }

  digest (): Buffer {
    const digest = Buffer.alloc(4)
    digest.writeUInt32BE(this.#value)
    return digest
  }
}
