import { createDigests, type ChecksumAlgorithm, type Digests } from './checksum.js'
import { DigestThread } from './digest-thread.js'

/**
 * The threads that add up large bodies, started when there is one. Small bodies, and all of them where there is no thread, are added up where they are
 * received.
 */
export class DigestPool {
  #most: number
  #threads: readonly DigestThread[] = []
  #starting: Promise<void> | null = null

  /** @param most threads at once */
  constructor (most: number) {
    this.#most = most
  }

  /** @param size what the body may bring, in bytes, at most */
  open (algorithms: readonly ChecksumAlgorithm[], size: number): Digests | Promise<Digests> {
    if (size < WORTHWHILE || this.#most === 0 || algorithms.every(isQuick)) return createDigests(algorithms)
    return this.#openElsewhere(algorithms)
  }

  /** Ends all threads. What they were doing fails. */
  async close (): Promise<void> {
    this.#most = 0
    await this.#starting
    await Promise.all(this.#threads.map(thread => thread.close()))
  }

  async #openElsewhere (algorithms: readonly ChecksumAlgorithm[]): Promise<Digests> {
    const thread = await this.#findThread()
    return thread === null ? createDigests(algorithms) : thread.open(algorithms)
  }

  /** The one that has the least to do; `null` if all have more than they can. */
  async #findThread (): Promise<DigestThread | null> {
    this.#dropEnded()
    if (this.#threads.length < this.#most && this.#threads.every(({ bodies }) => bodies > 0)) this.#starting ??= this.#start()
    if (this.#threads.length === 0) await this.#starting
    const [first = null] = this.#threads.filter(({ hasRoom }) => hasRoom).sort((a, b) => a.bodies - b.bodies)
    return first
  }

  /** They are not replaced: what ended them might end the next ones, too, and bodies with them. */
  #dropEnded (): void {
    const alive = this.#threads.filter(({ ended }) => !ended)
    this.#most -= this.#threads.length - alive.length
    this.#threads = alive
  }

  async #start (): Promise<void> {
    try {
      const thread = await DigestThread.start()
      this.#threads = [...this.#threads, thread]
    } catch {
      // Where one can't be started, the next could not either: it goes on with those that there are.
      this.#most = this.#threads.length
    } finally {
      this.#starting = null
    }
  }
}

/** A checksum that costs little more than to copy the bytes. */
function isQuick (algorithm: ChecksumAlgorithm): boolean {
  return algorithm === 'crc32'
}

/** The bytes from which on a body gains more from a thread than handing it over costs. */
const WORTHWHILE = 4 * 1024 * 1024
