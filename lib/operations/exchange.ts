import type { BodyOptions, RequestBody } from '../body.js'
import { TUS_ERR_REQUEST_ANSWERED } from '../errors.js'
import type { HookRequest } from '../hooks.js'
import type { Log } from '../log.js'
import type { Addition } from '../storage.js'
import type { KeptAnswer, NewUpload, Upload } from '../upload.js'

/** One request, as far as an operation may know it. */
export interface Exchange {
  /** For the hooks of the application; operations don't look inside. */
  readonly request: HookRequest
  readonly log: Log
  /** Tells which upload the request is about, as soon as that is known. */
  see(upload: Upload | null): void
  /** Whether the client has a response already, from a hook or a timeout of the application. */
  isAnswered(): boolean
  /** Calls `listener` if the client has gone without the response. */
  whenGone(listener: () => void): void
  /** Asks the application where a new upload will be, before it is stored, and notes that; `null` where the request tells. */
  readonly place: ((draft: NewUpload) => Promise<NewUpload>) | null
  /** Tells the client early where a new upload is; whether it was told. */
  announce(upload: Upload): boolean
  /** Tells the client which offset is durable while its body comes in; `null` where nobody wants to know. */
  readonly progress: ((offset: number) => void) | null
  /**
   * Lets the application answer for a complete upload that was created for one of its own requests. Calls `keep` with what it says before that is sent, and
   * resolves when it has been said. `null` where the upload is all there is.
   */
  readonly answer: ((upload: Upload, keep: (answer: KeptAnswer) => Promise<void>) => Promise<void>) | null
  /** Lets the body come in. To be called once, after everything that could refuse the request. */
  openBody(limits: Pick<BodyOptions, 'declared' | 'limit' | 'overflow' | 'checkEnd'> & Pick<Addition, 'keep'>): RequestBody
}

/**
 * Ends a request whose client has a response already, before it changes anything.
 *
 * @throws TUS_ERR_REQUEST_ANSWERED
 */
export function checkUnanswered ({ isAnswered }: Partial<Pick<Exchange, 'isAnswered'>>): void {
  if (isAnswered?.()) throw TUS_ERR_REQUEST_ANSWERED({})
}
