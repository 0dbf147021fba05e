import { TUS_ERR_HOOK_RESULT, TUS_ERR_TOO_MANY_UPLOADS, TusError } from './errors.js'
import { isRefusal, type HookRequest } from './hooks.js'

/** How many bodies may be received at once. */
export interface ConcurrencyLimit {
  /** For each key. */
  readonly max: number
  /** Whom a request counts for. */
  readonly key: (request: HookRequest) => string
}

/** Counts the bodies that are being received, per key, and turns away those beyond a limit. In this process: others count for themselves. */
export class Admission {
  readonly #limit: ConcurrencyLimit | null
  readonly #counts = new Map<string, number>()

  /** @param limit `null` admits everybody */
  constructor (limit: ConcurrencyLimit | null) {
    this.#limit = limit
  }

  /**
   * Runs `work`, which receives a body, and counts it until it has settled. Work without bytes to receive is not counted.
   *
   * @throws TUS_ERR_TOO_MANY_UPLOADS at the limit; `work` did not run
   * @throws TUS_ERR_HOOK_RESULT if the application's function fails or gives no string
   */
  admit<Result> (request: HookRequest, body: { readonly declared: number | null } | null, work: () => Promise<Result>): Promise<Result> {
    if (this.#limit === null || body === null || body.declared === 0) return work()
    return this.#count(this.#limit, request, work)
  }

  async #count<Result> (limit: ConcurrencyLimit, request: HookRequest, work: () => Promise<Result>): Promise<Result> {
    const leave = this.#enter(limit, request)
    try {
      return await work()
    } finally {
      leave()
    }
  }

  /**
   * Counts a request until the function that it returns is called.
   *
   * @throws TUS_ERR_TOO_MANY_UPLOADS, TUS_ERR_HOOK_RESULT
   */
  enter (request: HookRequest): () => void {
    return this.#limit === null ? () => {} : this.#enter(this.#limit, request)
  }

  #enter (limit: ConcurrencyLimit, request: HookRequest): () => void {
    const key = getKey(limit, request)
    const count = this.#counts.get(key) ?? 0
    if (count >= limit.max) throw TUS_ERR_TOO_MANY_UPLOADS({ max: limit.max, retryAfter: RETRY_AFTER })
    this.#counts.set(key, count + 1)
    return () => this.#leave(key)
  }

  #leave (key: string): void {
    const count = this.#counts.get(key)!
    if (count > 1) this.#counts.set(key, count - 1)
    else this.#counts.delete(key)
  }
}

/** Whether a request was refused because others are being received. */
export function isTurnedAway (error: unknown): boolean {
  return error instanceof TusError && error.code === 'TUS_ERR_TOO_MANY_UPLOADS'
}

/** A function that fails must not mean that there is no limit. */
function getKey ({ key }: ConcurrencyLimit, request: HookRequest): string {
  const value = callKey(key, request)
  if (typeof value !== 'string') throw TUS_ERR_HOOK_RESULT(KEY)
  return value
}

function callKey (key: ConcurrencyLimit['key'], request: HookRequest): unknown {
  try {
    return key(request)
  } catch (error) {
    throw isRefusal(error) ? error : TUS_ERR_HOOK_RESULT(KEY, error)
  }
}

const KEY = { hook: 'maxConcurrentUploads.key', expected: 'a string' }

/** When to try again, in seconds: nobody knows when a body ends. */
const RETRY_AFTER = 5
