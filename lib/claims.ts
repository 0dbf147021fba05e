import type { Readable } from 'node:stream'
import { createClaim, type Claim } from './claim.js'
import type { Context } from './context.js'
import { TUS_ERR_CLAIMS_UNSUPPORTED } from './errors.js'
import type { Log } from './log.js'
import { isUnfinished } from './operations/complete.js'
import { asAnswerable, isStorageFailure } from './operations/failure.js'
import { find } from './operations/find.js'
import type { Upload } from './upload.js'

export interface ClaimOptions {
  /** How long to wait for an upload, in ms. Default: without end. */
  readonly timeout?: number
  /** How long an upload stays with a worker that does not renew its lease, in ms; renewing is automatic. Default 60 000. */
  readonly lease?: number
  /** Ends the waiting, with the signal's reason. */
  readonly signal?: AbortSignal
}

type OpenDownload = (upload: Upload, range?: { start?: number, end?: number }) => Readable

/** Hands complete uploads to workers, each to one that lives. */
export class Claims {
  readonly #context: Context
  readonly #log: Log
  readonly #open: OpenDownload
  /** Ids that were there at the last look. */
  #candidates: string[] = []
  /** Uploads that a worker of this process gave back, and when they may be tried again: not at once, over and over. */
  readonly #resting = new Map<string, number>()

  constructor (context: Context, log: Log, open: OpenDownload) {
    this.#context = context
    this.#log = log
    this.#open = open
  }

  /**
   * Waits for a complete upload that no other worker holds, on this storage. Resolves to `null` at the timeout, and when the
   * application closes.
   *
   * @throws TUS_ERR_CLAIMS_UNSUPPORTED, TUS_ERR_STORAGE_…, the reason of the signal
   */
  async claim ({ timeout = Infinity, lease = 60_000, signal }: ClaimOptions = {}): Promise<Claim | null> {
    if (!this.#context.storage.claim || !this.#context.storage.list) throw TUS_ERR_CLAIMS_UNSUPPORTED()
    const deadline = Date.now() + timeout
    for (;;) {
      signal?.throwIfAborted()
      if (this.#context.arrivals.closed) return null
      const claim = await this.#takeNext(lease).catch(error => { throw asAnswerable(error) })
      if (claim !== null) return claim
      const left = deadline - Date.now()
      if (left <= 0) return null
      // What completes in another process is found by looking again.
      await this.#context.arrivals.wait(Math.min(left, LOOK_AGAIN), signal)
    }
  }

  /**
   * One claim after the other, without end: while the storage fails, it is tried again. One that its consumer left unsettled is released when the
   * next is asked for.
   */
  async * claims ({ lease, signal }: Omit<ClaimOptions, 'timeout'> = {}): AsyncGenerator<Claim, void, void> {
    while (!signal?.aborted) {
      const claim = await this.claim({ ...lease !== undefined && { lease }, ...signal && { signal } }).catch(async error => {
        if (signal?.aborted) return null
        if (!isStorageFailure(error)) throw error
        this.#log.error({ err: error }, 'no upload could be claimed')
        await this.#context.arrivals.wait(LOOK_AGAIN, signal)
        return 'again' as const
      })
      if (claim === 'again') continue
      if (claim === null) return
      try {
        yield claim
      } finally {
        // It ends by itself: no reason to end the work on all others.
        await claim.release().catch(error => { this.#log.warn({ err: error, id: claim.upload.id }, 'a lease could not be ended') })
      }
    }
  }

  async #takeNext (lease: number): Promise<Claim | null> {
    if (this.#candidates.length === 0) await this.#look()
    for (let id; (id = this.#candidates.shift()) !== undefined;) {
      const claim = await this.#take(id, lease)
      if (claim !== null) return claim
    }
    return null
  }

  async #look (): Promise<void> {
    const now = Date.now()
    for (const [id, until] of this.#resting) if (until <= now) this.#resting.delete(id)
    const found: string[] = []
    try {
      for await (const upload of this.#context.storage.list!({ for: 'claims' })) {
        if (isClaimable(upload) && !this.#resting.has(upload.id)) found.push(upload.id)
      }
    } catch (error) {
      // What can't be read keeps nobody from the others.
      if (found.length === 0) throw error
      this.#log.error({ err: error }, 'not all uploads could be listed')
    }
    this.#candidates = found
  }

  async #take (id: string, duration: number): Promise<Claim | null> {
    const { storage } = this.#context
    if (!await this.#find(id)) return null
    const lease = await storage.claim!(id, duration)
    if (lease === null) return null
    // Between the look and the lease, another worker may have done it.
    const upload = await this.#find(id).catch(async error => {
      await lease.release()
      throw error
    })
    if (upload === null) {
      await lease.release()
      return null
    }
    return createClaim({
      context: this.#context,
      upload,
      duration,
      log: this.#log,
      createReadStream: range => this.#open(upload, range),
      lease: { renew: () => lease.renew(), release: () => this.#release(id, () => lease.release()) }
    })
  }

  async #release (id: string, release: () => Promise<void>): Promise<void> {
    this.#resting.set(id, Date.now() + REST)
    await release()
  }

  async #find (id: string): Promise<Upload | null> {
    const upload = await find(this.#context, id)
    return upload !== null && isClaimable(upload) ? upload : null
  }
}

/** Complete, with its finish hooks behind it, nobody's part, and not done yet. */
function isClaimable (upload: Upload): boolean {
  return upload.complete && !upload.partial && !upload.processed && !isUnfinished(upload)
}

const LOOK_AGAIN = 1_000
const REST = 1_000
