import type { IncomingMessage } from 'node:http'
import type { Http2ServerRequest } from 'node:http2'
import type { Content } from './protocols/protocol.js'

/**
 * The body that a request has, as its head tells: the only place that decides it, for both versions of HTTP and all
 * protocols. HTTP/2 ends a body by a flag, so its headers need not tell.
 */
export function getContent (request: IncomingMessage | Http2ServerRequest): Content {
  const { 'transfer-encoding': coding, 'content-length': length } = request.headers
  if (coding !== undefined) return { present: true, declared: null }
  if (length !== undefined) return { present: Number(length) > 0, declared: Number(length) }
  return 'stream' in request && !request.stream.endAfterHeaders ? { present: true, declared: null } : { present: false, declared: 0 }
}

/** Whether an HTTP/2 client has reset the stream of its request: to a reader, that looks like an orderly end. */
export function isReset (request: IncomingMessage | Http2ServerRequest): boolean {
  return 'stream' in request && request.stream.aborted
}
