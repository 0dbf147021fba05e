import type { Reply } from './replies.js'
import type { Request } from './request.js'
import type { Slot } from './slot.js'

/** A request that is about to be sent, and what has to come of it. */
export interface Attempt {
  readonly request: Request
  /** Of the status line: tells where the response ends. */
  readonly method: string
  /** Checks the answer, and notes in the slot what it changed. Returns what is wrong, or `null`. */
  readonly settle: (reply: Reply) => string | null
  /** The slot is what it was before if the answer is a refusal. */
  readonly refusable: boolean
  /** Other bytes than those of `request`: the server can't know where they end, so the connection ends behind them. */
  readonly bytes?: Buffer
  /** Those bytes are the right beginning of a right request: where the upload is afterwards, at least and at most. */
  readonly cut?: readonly [least: number, most: number]
  /** Nothing else may be on its way on this connection. */
  readonly alone?: boolean
}

/** Whether a refused request may nevertheless have stored bytes, which arrived before it was clear that it does not end in order; or removed the upload. */
export function mayHaveStored ({ status, body }: Reply, { chunks }: Request): boolean {
  const text = body.toString('latin1')
  return INTERRUPTED.test(text) || (status === 413 && chunks > 0) || CHANGED.test(text)
}

/** What a request that is not as it should be may bring about: anything but an error of the server. */
export function settleAny (slot: Slot, request: Request): Attempt['settle'] {
  return reply => {
    if (reply.status < 300 || mayHaveStored(reply, request)) {
      slot.certain = false
      if (request.body !== null) slot.genuine = false
    }
    return null
  }
}

/** In the draft, an upload that is not what it should be is lost, and a body that ends before the length counts as far as it goes. */
const CHANGED = /TUS_ERR_(?:BODY_TOO_LONG|LENGTH_MISMATCH|DIGEST_MISMATCH)/
const INTERRUPTED = /TUS_ERR_(?:BODY_(?:CUT|STALLED|TAKEN_OVER)|LOCK_TIMEOUT)/
