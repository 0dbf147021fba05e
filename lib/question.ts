import { TUS_ERR_HOOK_RESULT } from './errors.js'
import { isRefusal } from './hooks.js'
import type { Log } from './log.js'

/** What a function among the options decides for a request. */
export interface Question<Value> {
  /** The name of the option. */
  readonly hook: string
  readonly expected: string
  /** What the function gave, as it is used; `undefined` if it can't be. */
  readonly read: (given: unknown) => Value | undefined
}

/**
 * Asks the application. A function that fails has decided nothing, so the request fails.
 *
 * @throws TUS_ERR_HOOK_RESULT if the function fails or gives what can't be used
 * @throws what the function throws to refuse the request: an error with a `statusCode` from 400 to 599
 */
export async function ask<Value> ({ hook, expected, read }: Question<Value>, log: Log, run: () => unknown): Promise<Value> {
  const value = read(await settle(hook, expected, log, run))
  if (value === undefined) throw TUS_ERR_HOOK_RESULT({ hook, expected })
  return value
}

async function settle (hook: string, expected: string, log: Log, run: () => unknown): Promise<unknown> {
  try {
    return await run()
  } catch (error) {
    if (isRefusal(error)) throw error
    log.error({ err: error, hook }, 'a function of the options failed')
    throw TUS_ERR_HOOK_RESULT({ hook, expected }, error)
  }
}
