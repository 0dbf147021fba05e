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
  /** Nothing else may be on its way on this connection. */
  readonly alone?: boolean
}

/** Whether a refused request may nevertheless have stored bytes: those that arrived before it was clear that it does not end in order. */
export function mayHaveStored ({ status, body }: Reply, { chunks }: Request): boolean {
  return INTERRUPTED.test(body.toString('latin1')) || (status === 413 && chunks > 0)
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

const INTERRUPTED = /TUS_ERR_(?:BODY_(?:CUT|STALLED|TAKEN_OVER)|LOCK_TIMEOUT)/
