import type { Interruption, RequestBody } from './body.js'
import { Digests, type Checksum, type ChecksumAlgorithm } from './checksum.js'
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
 * Everything else throws, an interruption too: a body that is not whole can't be verified.
 */
export class VerifiedBody implements UploadBody {
  readonly #body: RequestBody
  readonly #verification: Verification
  readonly #interrupted: (reason: Interruption) => Error
  readonly #digests: Digests

  constructor (body: RequestBody, verification: Verification, interrupted: (reason: Interruption) => Error) {
    this.#body = body
    this.#verification = verification
    this.#interrupted = interrupted
    this.#digests = new Digests(verification.algorithms)
  }

  async next (wanted?: number): Promise<readonly Buffer[] | null> {
    const batch = await this.#body.next(wanted)
    if (this.#body.interruption !== null) throw this.#interrupted(this.#body.interruption)
    if (batch === null) this.#verify()
    else for (const chunk of batch) this.#digests.update(chunk)
    return batch
  }

  #verify (): void {
    for (const checksum of this.#verification.readChecksums()) {
      if (!this.#digests.match(checksum)) throw TUS_ERR_CHECKSUM_MISMATCH({ algorithm: checksum.algorithm })
    }
  }
}
