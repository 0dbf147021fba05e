import { getPlace, isDue, type Place, type Upload } from './upload.js'

/** How long uploads stay, in ms; `null` is for ever. */
export interface Expiration {
  /** Since the last byte, while an upload is incomplete. Partial uploads count as incomplete: their bytes live on in the final one. */
  readonly incomplete: number | null
  /** Since the last byte, once an upload is complete. */
  readonly complete: number | null
}

/** For those that stay for ever. */
export const NEVER: Expiration = { incomplete: null, complete: null }

/**
 * When an upload expires as things are now; `null` if it does not. What the application decided for this one comes first.
 *
 * One that is all there and only waits for its completion to be tried again never does: a file is not thrown away for that.
 */
export function getExpiry (upload: Upload, expiration: Expiration | null): Date | null {
  const { expiresAt, complete, partial, modifiedAt } = upload
  if (expiration === null || isDue(upload)) return null
  if (expiresAt !== null) return expiresAt
  const age = complete && !partial ? expiration.complete : expiration.incomplete
  return age === null ? null : new Date(modifiedAt.getTime() + age)
}

export function isExpired (upload: Upload, expiration: Expiration | null, now = Date.now()): boolean {
  const expiry = getExpiry(upload, expiration)
  return expiry !== null && expiry.getTime() <= now
}

/** The ids of uploads that were removed because they expired, and where they were, as far back as a bounded memory reaches. */
export class ExpiredIds {
  readonly #places = new Map<string, Place>()

  add (upload: Upload): void {
    this.#places.set(upload.id, getPlace(upload))
    if (this.#places.size > MOST) this.#places.delete(this.#places.keys().next().value!)
  }

  /** To be called when an upload of that id is created: what became of the one before is no answer about this one. */
  forget (id: string): void {
    this.#places.delete(id)
  }

  get (id: string): Place | undefined {
    return this.#places.get(id)
  }
}

const MOST = 10_000
