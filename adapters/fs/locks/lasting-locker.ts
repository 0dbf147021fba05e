import type { Locker, Wanted } from '../../../lib/locker.js'
import type { Directory } from '../directory.js'
import type { Files } from '../files.js'
import type { Turn } from '../turn.js'
import { DirectoryLocker } from './directory-locker.js'

/**
 * The locks of a directory that may be removed and made anew under a running process: who is not registered any more registers again, before it
 * takes another lock. Others could not know of it.
 */
export class LastingLocker implements Locker {
  readonly #path: string
  readonly #directory: Directory
  readonly #files: Files
  readonly #turn: Turn
  #registeredIn = -1
  #current: DirectoryLocker
  #renewal: Promise<void> | null = null

  private constructor (path: string, directory: Directory, files: Files, turn: Turn, current: DirectoryLocker) {
    this.#path = path
    this.#directory = directory
    this.#files = files
    this.#turn = turn
    this.#current = current
  }

  /** @throws LocksUnsupported where processes can't exclude each other */
  static async open (path: string, directory: Directory, files: Files, turn: Turn): Promise<LastingLocker> {
    return new LastingLocker(path, directory, files, turn, await DirectoryLocker.open(path, files))
  }

  withLock<Result> (id: string, timeout: number, work: (wanted: Wanted) => Promise<Result>): Promise<Result> {
    // One look serves all requests of a turn.
    if (this.#registeredIn === this.#turn.current) return this.#current.withLock(id, timeout, work)
    return this.#lookAgain().then(() => this.#current.withLock(id, timeout, work))
  }

  /** The name of this process, by which others see it; another one once it had to register again. */
  get name (): string {
    return this.#current.name
  }

  /** See {@link DirectoryLocker.listLiving}. */
  listLiving (): Promise<Set<string>> {
    return this.#current.listLiving()
  }

  async #lookAgain (): Promise<void> {
    const turn = this.#turn.current
    if (!await this.#current.isRegistered()) await this.#renew()
    this.#registeredIn = turn
  }

  tidy (before: Date): Promise<void> {
    return this.#current.tidy(before)
  }

  close (): Promise<void> {
    return this.#current.close()
  }

  /** @throws StorageUnavailable while the directory is away */
  #renew (): Promise<void> {
    this.#renewal ??= this.#openAnew().finally(() => { this.#renewal = null })
    return this.#renewal
  }

  async #openAnew (): Promise<void> {
    await this.#directory.check()
    if (await this.#current.isRegistered()) return
    const lost = this.#current
    this.#current = await DirectoryLocker.open(this.#path, this.#files)
    await lost.abandon()
  }
}
