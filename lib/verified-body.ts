import type { Interruption, RequestBody } from './body.js'
import type { Checksum, ChecksumAlgorithm, Digests } from './checksum.js'
import type { DigestPool } from './digest-pool.js'
import { TUS_ERR_CHECKSUM_MISMATCH } from './errors.js'
import type { UploadBody } from './storage.js'

/** How a body is to be verified. */
export interface Verification {
  /** What may be named at the end. One, where the request named it at its start. */
  readonly algorithms: readonly ChecksumAlgorithm[]
  /**
   * All that the bytes have to add up to; asked for when all of them are there, because a trailer comes behind them.
   *
   * @throws if there is none, or none that can be understood
   */
  readonly readChecksums: () => readonly Checksum[]
}

/**
 * A body that ends in order only if its bytes are the ones that the client meant.
 *
 * Everything else throws, an interruption too: a body that is not whole can't be verified. Who opened it closes it.
 */
export class VerifiedBody implements UploadBody {
  readonly #body: RequestBody
  readonly #verification: Verification
  readonly #interrupted: (reason: Interruption) => Error
  readonly #pool: DigestPool
  #digests: Digests | null = null
  #closed = false

  constructor (body: RequestBody, verification: Verification, pool: DigestPool, interrupted: (reason: Interruption) => Error) {
    this.#body = body
    this.#verification = verification
    this.#interrupted = interrupted
    this.#pool = pool
  }

  async next (wanted?: number): Promise<readonly Buffer[] | null> {
    const batch = await this.#body.next(wanted)
    if (this.#body.interruption !== null) throw this.#interrupted(this.#body.interruption)
    const digests = this.#digests ?? await this.#open()
    if (batch === null) await this.#verify(digests)
    else await digests.update(batch)
    return batch
  }

  /** Frees what the adding up holds. */
  close (): void {
    this.#closed = true
    this.#digests?.close()
  }

  async #open (): Promise<Digests> {
    this.#digests = await this.#pool.open(this.#verification.algorithms, this.#body.most)
    // The storage may have given up meanwhile.
    if (this.#closed) this.#digests.close()
    return this.#digests
  }

  async #verify (digests: Digests): Promise<void> {
    const checksums = this.#verification.readChecksums()
    const found = await digests.finish()
    for (const { algorithm, digest } of checksums) {
      if (found.get(algorithm) !== digest.toString('base64')) throw TUS_ERR_CHECKSUM_MISMATCH({ algorithm })
    }
  }
}
