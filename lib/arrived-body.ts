import { IncomingMessage } from 'node:http'
import type { Readable } from 'node:stream'

/**
 * The whole body of a request, if all of its bytes are there; `null` if more have to come, or somebody else has begun to read.
 *
 * A small body comes in one packet with its headers: to take it as it is costs a fraction of listening to a stream.
 *
 * @param declared its length, in bytes
 */
export function takeArrived (source: Readable, declared: number): Buffer | null {
  if (!(source instanceof IncomingMessage) || source.readableLength !== declared || source.destroyed) return null
  if (source.readableFlowing !== null || source.readableEncoding !== null) return null
  const bytes: Buffer = source.read()
  // Node has yet to see that this was the end.
  source.resume()
  taken.add(source)
  return bytes
}

/** Whether nothing more of a body can come, although Node may not have noticed yet. */
export function isTaken (source: Readable): boolean {
  return taken.has(source)
}

const taken = new WeakSet<Readable>()
