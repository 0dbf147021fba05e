import type { BodyOptions, RequestBody } from '../body.js'
import type { HookRequest } from '../hooks.js'
import type { Log } from '../log.js'
import type { Addition } from '../storage.js'
import type { Upload } from '../upload.js'

/** One request, as far as an operation may know it. */
export interface Exchange {
  /** For the hooks of the application; operations don't look inside. */
  readonly request: HookRequest
  readonly log: Log
  /** Tells which upload the request is about, as soon as that is known. */
  see(upload: Upload | null): void
  /** Lets the body come in. To be called once, after everything that could refuse the request. */
  openBody(limits: Pick<BodyOptions, 'declared' | 'limit' | 'overflow'> & Pick<Addition, 'keep'>): RequestBody
}
