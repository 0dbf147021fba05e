import type { FastifyRequest } from 'fastify'
import { isReset } from './content.js'
import { getSource } from './untouched-body.js'

/**
 * Whether a body of unknown size ends without a byte, and without trailers. Waits for its end or its first byte, 5 s at
 * most; that byte is lost, so this is for a body that would be refused.
 *
 * A client that asks whether to send (`Expect`) has something to send: nothing is read then.
 */
export async function isEmpty (request: FastifyRequest): Promise<boolean> {
  const { headers, raw } = request
  const source = getSource(request)
  if (headers.expect !== undefined || source.readableDidRead || source.destroyed || isReset(raw)) return false
  if (source.readableEnded) return true
  return await new Promise(resolve => {
    const settle = (empty: boolean) => {
      clearTimeout(timer)
      for (const [event, listener] of Object.entries(listeners)) source.off(event, listener)
      source.on('error', () => {}).pause()
      resolve(empty)
    }
    const refuse = () => settle(false)
    const accept = () => settle(!isReset(raw) && Object.keys(raw.trailers ?? {}).length === 0)
    const listeners = { data: refuse, error: refuse, close: refuse, end: accept }
    const timer = setTimeout(refuse, PATIENCE)
    for (const [event, listener] of Object.entries(listeners)) source.on(event, listener)
    source.resume()
  })
}

/** How long an end without a byte may be on its way, in ms. */
const PATIENCE = 5_000
