import { FactoryOptions, isWithin } from './factory-options.js'

/** Mutual exclusion per upload, with a way to ask the holder to leave. */
export interface Locker {
  /**
   * Runs `work` while nobody else works on `id`, in the order of the calls, and resolves to its result.
   *
   * `work` is told when somebody else asks for the same upload: a holder that only waits for its client should then come to an
   * end, so that nobody waits for a connection that died unnoticed.
   *
   * @param timeout how long to wait for the upload, in ms
   * @throws LockTimeout if the upload did not become free in time; `work` did not run
   */
  withLock<Result>(id: string, timeout: number, work: (wanted: Wanted) => Promise<Result>): Promise<Result>
}

/** Whether somebody else asks for the upload. An `AbortSignal` in little: every request pays for one. */
export interface Wanted {
  readonly requested: boolean
  /** Calls `listener` at the first request from now on. There is one listener, the last. */
  onRequest(listener: () => void): void
}

/** How many may wait for one upload: more than any client needs, and too few to pile up requests. */
export const MOST_WAITING = 32

/** The upload stayed in use for longer than the caller would wait. */
export class LockTimeout extends Error {
  override readonly name = 'LockTimeout'
}

/** Where the uploads are, processes can't exclude each other. */
export class LocksUnsupported extends Error {
  override readonly name = 'LocksUnsupported'
  readonly code = 'TUS_ERR_LOCKS_UNSUPPORTED'
}

export interface MemoryLockerOptions {
  /** How many may wait for one upload; who comes then is refused at once. Default 32. */
  readonly maxWaiting?: number
}

/**
 * Exclusion between the requests of one process.
 *
 * @throws TypeError (`TUS_ERR_OPTION_UNKNOWN`, `TUS_ERR_OPTION_INVALID`) for options that it can't work with
 */
export function createMemoryLocker (options: MemoryLockerOptions = {}): Locker {
  factory.checkNames(options, { maxWaiting: true })
  const { maxWaiting = MOST_WAITING } = options
  factory.check('maxWaiting', 'a whole number from 1', isWithin(maxWaiting, 1, Infinity))
  const queues = new LockQueues(maxWaiting)

  return {
    async withLock (id, timeout, work) {
      const queue = queues.get(id)
      const wanted = await queue.enter(timeout)
      try {
        return await work(wanted)
      } finally {
        queues.leave(queue)
      }
    }
  }
}

/** The queues of all uploads that somebody in this process holds. */
export class LockQueues {
  readonly #queues = new Map<string, LockQueue>()
  readonly #maxWaiting: number

  constructor (maxWaiting: number) {
    this.#maxWaiting = maxWaiting
  }

  /** The queue of an upload, which is to be entered at once. */
  get (id: string): LockQueue {
    let queue = this.#queues.get(id)
    if (queue === undefined) this.#queues.set(id, queue = new LockQueue(id, this.#maxWaiting))
    return queue
  }

  has (id: string): boolean {
    return this.#queues.has(id)
  }

  /** The ids of the uploads that are held. */
  ids (): Iterable<string> {
    return this.#queues.keys()
  }

  /** Gives up the upload: the next in line holds it from this moment on. */
  leave (queue: LockQueue): void {
    queue.leave()
    if (queue.isEmpty) this.#queues.delete(queue.id)
  }
}

/** Who holds one upload, and who waits for it, first come first served. */
export class LockQueue {
  readonly id: string
  #holder: Holder | null = null
  readonly #waiting: Array<() => void> = []
  readonly #maxWaiting: number

  constructor (id: string, maxWaiting: number) {
    this.id = id
    this.#maxWaiting = maxWaiting
  }

  get isEmpty (): boolean {
    return this.#holder === null
  }

  get hasWaiting (): boolean {
    return this.#waiting.length > 0
  }

  /**
   * Resolves when it is the caller's turn.
   *
   * @param timeout in ms; `null` waits until `signal` aborts
   * @throws LockTimeout
   */
  enter (timeout: number | null, signal?: AbortSignal): Promise<Wanted> | Wanted {
    return this.#holder === null ? this.#hold() : this.#wait(timeout, signal).then(() => this.#hold())
  }

  #hold (): Wanted {
    this.#holder = new Holder(this.hasWaiting)
    return this.#holder
  }

  /** The next in line is the holder from this moment on: nobody who comes now may slip in between. */
  leave (): void {
    const next = this.#waiting.shift()
    if (next) next()
    else this.#holder = null
  }

  async #wait (timeout: number | null, signal: AbortSignal | undefined): Promise<void> {
    if (this.#waiting.length >= this.#maxWaiting) throw new LockTimeout('Too many wait for the upload')
    return new Promise((resolve, reject) => {
      const settle = () => {
        if (timer !== null) clearTimeout(timer)
        signal?.removeEventListener('abort', giveUp)
      }
      const turn = () => {
        settle()
        resolve()
      }
      const giveUp = () => {
        settle()
        this.#waiting.splice(this.#waiting.indexOf(turn), 1)
        reject(new LockTimeout('The upload stayed in use'))
      }
      const timer = timeout === null ? null : setTimeout(giveUp, timeout)
      signal?.addEventListener('abort', giveUp)
      this.#waiting.push(turn)
      this.#holder?.request()
    })
  }
}

class Holder implements Wanted {
  #requested: boolean
  #listener: (() => void) | null = null

  constructor (requested: boolean) {
    this.#requested = requested
  }

  get requested (): boolean {
    return this.#requested
  }

  onRequest (listener: () => void): void {
    this.#listener = listener
  }

  request (): void {
    if (this.#requested) return
    this.#requested = true
    this.#listener?.()
  }
}

const factory = new FactoryOptions('createMemoryLocker')
