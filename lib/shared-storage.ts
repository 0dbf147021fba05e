import { createMemoryLocker, type Locker } from './locker.js'
import type { Log } from './log.js'
import type { Storage } from './storage.js'
import type { Upload } from './upload.js'

/** What all registrations of this process on one storage have in common: they may serve the same uploads. */
export class SharedStorage {
  readonly #storage: Storage
  #users = 0
  /** The last opening or closing. */
  #change: Promise<unknown> = Promise.resolve()
  /** Where neither the storage nor the application brings one. */
  readonly locker: Locker = createMemoryLocker()
  /** The uploads that receive a body, by their ids. */
  readonly receiving = new Map<string, Upload>()
  /** The ids of the final uploads that this process puts together. */
  readonly composing = new Set<string>()

  constructor (storage: Storage) {
    this.#storage = storage
  }

  static of (storage: Storage): SharedStorage {
    const known = all.get(storage)
    if (known !== undefined) return known
    const shared = new SharedStorage(storage)
    all.set(storage, shared)
    return shared
  }

  /** Opens the storage for the first of its registrations. Resolves to what closes it after the last. */
  async open (log: Log): Promise<() => Promise<void>> {
    if (this.#users++ === 0) this.#change = this.#change.catch(ignore).then(() => this.#storage.open?.(log))
    try {
      await this.#change
    } catch (error) {
      this.#users--
      throw error
    }
    return () => this.#close()
  }

  async #close (): Promise<void> {
    if (--this.#users === 0) await (this.#change = this.#change.then(() => this.#storage.close?.()))
  }
}

/** Who closed the storage was told of its failure. */
function ignore (): void {}

const all = new WeakMap<Storage, SharedStorage>()
