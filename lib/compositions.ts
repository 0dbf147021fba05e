import { Admission, type ConcurrencyLimit } from './admission.js'
import { TUS_ERR_SHUTTING_DOWN } from './errors.js'
import type { Locker } from './locker.js'

/**
 * The final uploads that are put together now: each by one at a time, as far as the locker reaches.
 *
 * This exclusion is apart from the lock of the upload. Whoever wants to know how far a copy is waits here and disturbs nothing;
 * whoever asks for the lock of the upload, to remove it, ends the copy.
 */
export class Compositions {
  /** How many copies a client may have begun at once. */
  readonly admission: Admission
  readonly #locker: Locker
  readonly #ids: Set<string>
  readonly #listeners = new Set<() => void>()
  #timer: NodeJS.Timeout | null = null
  #isStopped = false

  /** @param ids of the uploads that this process puts together, for whichever registration */
  constructor (locker: Locker, ids: Set<string>, limit: ConcurrencyLimit | null) {
    this.admission = new Admission(limit)
    this.#locker = locker
    this.#ids = ids
  }

  /** Whether this process puts an upload together. */
  has (id: string): boolean {
    return this.#ids.has(id)
  }

  /**
   * Waits until nobody else puts an upload together. Resolves to what ends the exclusion.
   *
   * @param patience in ms
   * @throws LockTimeout
   */
  enter (id: string, patience: number): Promise<() => void> {
    return new Promise((resolve, reject) => {
      const hold = () => {
        this.#ids.add(id)
        return new Promise<void>(_resolve => {
          resolve(() => {
            this.#ids.delete(id)
            _resolve()
          })
        })
      }
      this.#locker.withLock(`${id}${SUFFIX}`, patience, hold).catch(reject)
    })
  }

  /** Calls `listener` when the server stops and can't wait any more. Returns what ends that. */
  onStop (listener: () => void): () => void {
    if (this.#isStopped) listener()
    this.#listeners.add(listener)
    return () => { this.#listeners.delete(listener) }
  }

  /** Ends all copies in `grace` ms. Another process, or this one when it runs again, begins them again. */
  stopAfter (grace: number): void {
    this.#timer ??= setTimeout(() => {
      this.#isStopped = true
      for (const listener of this.#listeners) listener()
    }, grace)
    if (this.#ids.size === 0) this.#timer.unref()
  }

  close (): void {
    if (this.#timer !== null) clearTimeout(this.#timer)
  }
}

/** What a copy is ended with. */
export const createStopReason = (): Error => TUS_ERR_SHUTTING_DOWN({})

/** No id of an upload ends like that. */
const SUFFIX = '.lock'
