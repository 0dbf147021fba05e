import { TUS_ERR_TRAILER_REFUSED } from '../errors.js'
import type { Message } from './protocol.js'

/** Whether a request says that a field comes in its trailer section, after the body. */
export function isAnnounced ({ headers: { trailer } }: Head, field: string): boolean {
  return trailer?.toLowerCase().split(',').some(name => name.trim() === field.toLowerCase()) ?? false
}

/**
 * Refuses a body after which a checksum came that nothing had announced: its bytes passed without being added up, and a checksum is
 * never ignored.
 *
 * @throws TUS_ERR_TRAILER_REFUSED
 */
export function checkTrailers (message: Head & Pick<Message, 'getTrailers'>, fields: readonly string[]): void {
  const trailers = message.getTrailers()
  const header = fields.find(field => trailers[field.toLowerCase()] !== undefined && !isAnnounced(message, field))
  if (header !== undefined) throw TUS_ERR_TRAILER_REFUSED({ header, expected: EXPECTED })
}

type Head = Pick<Message, 'headers'>

const EXPECTED = 'announced in the header Trailer, or sent as a header'
