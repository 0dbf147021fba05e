import type { FastifyReply, FastifyRequest } from 'fastify'
import type { IncomingMessage, ServerResponse } from 'node:http'
import { constants, type Http2ServerRequest, type Http2ServerResponse } from 'node:http2'
import type { Socket } from 'node:net'
import type { Readable } from 'node:stream'
import { isTaken } from './arrived-body.js'
import { getContent } from './content.js'

/**
 * Lets a response reach a client that is still sending: to be called when the response is about to be sent, before its headers.
 *
 * A short body that was never read is received and dropped, and the connection stays. Any other announces
 * `Connection: close`. Closing a connection with unread bytes would reset it, which can overtake the response. So it
 * sends the response and the end of the stream, then receives and drops for a moment, as nginx's `lingering_close` does.
 */
export function releaseConnection ({ raw }: FastifyRequest, reply: FastifyReply): void {
  if (isHttp2(raw)) releaseStream(raw)
  else if (isReceiving(raw)) releaseSocket(raw, reply)
}

/** HTTP/2 keeps the connection, but a stream that is never read would never close. */
function releaseStream (request: Http2ServerRequest): void {
  request.resume()
  // What Node puts between the two stops the stream of a request that the application destroys.
  const drain = () => { request.stream.removeAllListeners('data').resume() }
  if (request.destroyed) drain()
  else request.once('close', drain)
}

/**
 * Whether the application has destroyed an HTTP/2 request, as it breaks a connection over HTTP/1: its stream stays open,
 * and its hooks and handler run on.
 */
export function isDestroyed ({ raw }: FastifyRequest): boolean {
  return raw.destroyed && isHttp2(raw)
}

function isHttp2 (request: IncomingMessage | Http2ServerRequest): request is Http2ServerRequest {
  return 'stream' in request
}

function releaseSocket (request: IncomingMessage, reply: FastifyReply): void {
  if (isShort(request) && isKept(reply)) return dropRest(request, reply)
  reply.header('connection', 'close')
  linger(request)
}

/** Ends a request without a response. A client that knows where its upload is resumes after that, and gives up after an error (URLSession). */
export function drop (reply: FastifyReply): null {
  const { raw } = reply.hijack()
  // Over HTTP/2 the connection stays, and a stream that is only destroyed ends as if all were well.
  if ('stream' in raw) (raw as unknown as Http2ServerResponse).stream.close(constants.NGHTTP2_INTERNAL_ERROR)
  else raw.destroy()
  return null
}

/**
 * Closes what is sent as the response to `request` when its connection goes.
 *
 * Over HTTP/1, a response that waits behind another one is not told, and a request is not if a CONNECT came behind it: what they send
 * would stay open until it is collected.
 */
export function closeWithConnection (stream: Readable, request: IncomingMessage): Readable {
  if (request.httpVersionMajor > 1) return stream
  const { socket } = request
  const downloads = openDownloads.get(socket) ?? watch(socket)
  const close = () => {
    request.destroy()
    stream.destroy()
  }
  if (socket.destroyed) close()
  downloads.add(close)
  stream.once('close', () => downloads.delete(close))
  return stream
}

/** One listener for all that a connection has asked for. */
function watch (socket: Socket): Set<() => void> {
  const downloads = new Set<() => void>()
  openDownloads.set(socket, downloads)
  socket.once('close', () => { for (const close of downloads) close() })
  return downloads
}

const openDownloads = new WeakMap<Socket, Set<() => void>>()

function isReceiving (request: IncomingMessage): boolean {
  return request.complete === false && getContent(request).present && !isTaken(request)
}

/** Whether receiving it costs less than a new connection. One that was read in part was interrupted for a reason. A client that asked whether to send may never send it. */
function isShort (request: IncomingMessage): boolean {
  const { declared } = getContent(request)
  return !request.readableDidRead && request.headers.expect === undefined && declared !== null && declared <= SHORT
}

/** Whether the connection is to serve another request. */
function isKept (reply: FastifyReply): boolean {
  const { shouldKeepAlive } = reply.raw as Partial<ServerResponse>
  return shouldKeepAlive !== false && !/close/i.test(String(reply.getHeader('connection')))
}

function dropRest (request: IncomingMessage, { raw }: FastifyReply): void {
  if (dropped.has(request)) return
  dropped.add(request)
  raw.once('finish', () => {
    request.resume()
    if (!request.complete) closeAfterLinger(request)
  })
}

function linger (request: IncomingMessage): void {
  const { socket } = request
  // Node calls this when the response is finished and the connection is not to be kept.
  socket.destroySoon = () => {
    closeAfterLinger(request)
    request.once('close', () => { socket.destroy() })
    request.resume()
    socket.end()
  }
}

function closeAfterLinger (request: IncomingMessage): void {
  const { socket } = request
  const timer = setTimeout(() => { if (!request.complete) socket.destroy() }, LINGER)
  const stop = () => {
    clearTimeout(timer)
    // The connection may serve many more requests.
    socket.off('close', stop)
  }
  socket.once('close', stop)
  request.once('end', stop)
  request.once('close', stop)
}

const dropped = new WeakSet<IncomingMessage>()
/** The longest body whose rest is waited for, in bytes: about what is on its way already. */
const SHORT = 64 * 1024
/** How long a client that still sends may take to notice the response, in ms. */
const LINGER = 5_000
