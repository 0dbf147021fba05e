/** Mutual exclusion per upload, with a way to ask the holder to leave. */
export interface Locker {
  /**
   * Runs `work` while nobody else works on `id`, in the order of the calls, and resolves to its result.
   *
   * `work` is told when somebody else asks for the same upload: a holder that only waits for its client should then come to an
   * end, so that nobody waits for a connection that died unnoticed.
   *
   * @param timeout how long to wait for the upload, in ms
   * @throws LockTimeout if the upload did not become free in time, or at once if too many wait for it; `work` did not run
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

export interface MemoryLockerOptions {
  /** How many may wait for one upload; who comes then is refused at once. Default 32. */
  readonly maxWaiting?: number
}

/**
 * Exclusion between the requests of one process.
 *
 * @throws TypeError for options that it can't work with
 */
export function createMemoryLocker ({ maxWaiting = MOST_WAITING }: MemoryLockerOptions = {}): Locker {
  if (!Number.isSafeInteger(maxWaiting) || maxWaiting < 1) throw new TypeError("createMemoryLocker: 'maxWaiting' must be a whole number from 1")
  const queues = new Map<string, Queue>()

  return {
    async withLock (id, timeout, work) {
      const queue = queues.get(id) ?? new Queue(maxWaiting)
      queues.set(id, queue)
      const wanted = await queue.enter(timeout)
      try {
        return await work(wanted)
      } finally {
        queue.leave()
        if (queue.isEmpty()) queues.delete(id)
      }
    }
  }
}

/** Who holds one upload, and who waits for it, first come first served. */
class Queue {
  #holder: Holder | null = null
  readonly #waiting: Array<() => void> = []
  readonly #maxWaiting: number

  constructor (maxWaiting: number) {
    this.#maxWaiting = maxWaiting
  }

  /** Resolves when it is the caller's turn. */
  async enter (timeout: number): Promise<Wanted> {
    if (this.#holder !== null) await this.#wait(timeout)
    this.#holder = new Holder(this.#waiting.length > 0)
    return this.#holder
  }

  leave (): void {
    const next = this.#waiting.shift()
    // The next in line is the holder from this moment on: nobody who comes now may slip in between.
    if (next) next()
    else this.#holder = null
  }

  isEmpty (): boolean {
    return this.#holder === null
  }

  #wait (timeout: number): Promise<void> {
    if (this.#waiting.length >= this.#maxWaiting) throw new LockTimeout('Too many wait for the upload')
    return new Promise((resolve, reject) => {
      const turn = () => {
        clearTimeout(timer)
        resolve()
      }
      const timer = setTimeout(() => {
        this.#waiting.splice(this.#waiting.indexOf(turn), 1)
        reject(new LockTimeout('The upload stayed in use'))
      }, timeout)
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
