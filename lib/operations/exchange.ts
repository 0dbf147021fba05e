import type { BodyOptions, RequestBody } from '../body.js'
import type { HookRequest } from '../hooks.js'
import type { Log } from '../log.js'

/** One request, as far as an operation may know it. */
export interface Exchange {
  /** For the hooks of the application; operations don't look inside. */
  readonly request: HookRequest
  readonly log: Log
  /** Lets the body come in. To be called once, after everything that could refuse the request. */
  openBody(limits: Pick<BodyOptions, 'declared' | 'limit' | 'overflow'>): RequestBody
}
