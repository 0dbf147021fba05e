import type { FastifyRequest } from 'fastify'
import { isReset } from './content.js'
import { getSource } from './untouched-body.js'

/**
 * Whether a body of unknown size ends without a byte. Waits for its end or its first byte, 5 s at most; that byte is lost, so
 * this is for a body that would be refused.
 *
 * A client that asks whether to send (`Expect`) has something to send: nothing is read then.
 */
export async function isEmpty (request: FastifyRequest): Promise<boolean> {
  const source = getSource(request)
  if (request.headers.expect !== undefined || source.readableDidRead || source.destroyed || isReset(request.raw)) return false
  if (source.readableEnded) return true
  return await new Promise(resolve => {
    const settle = (empty: boolean) => {
      clearTimeout(timer)
      for (const [event, listener] of Object.entries(listeners)) source.off(event, listener)
      source.on('error', () => {}).pause()
      resolve(empty)
    }
    const refuse = () => settle(false)
    const listeners = { data: refuse, error: refuse, close: refuse, end: () => settle(!isReset(request.raw)) }
    const timer = setTimeout(refuse, PATIENCE)
    for (const [event, listener] of Object.entries(listeners)) source.on(event, listener)
    source.resume()
  })
}

/** How long an end without a byte may be on its way, in ms. */
const PATIENCE = 5_000
