import type { FastifyReply, FastifyRequest } from 'fastify'
import type { IncomingMessage } from 'node:http'
import type { Socket } from 'node:net'
import type { Readable } from 'node:stream'
import { isTaken } from './arrived-body.js'

/**
 * Lets a response reach a client that is still sending, then calls `next`.
 *
 * A body that was read in part and given up would leave its connection paused for good, and a connection that closes with unread
 * bytes resets, which can overtake the response. So: announce `Connection: close`, send the response and the end of the
 * stream, then go on receiving and throwing away for a moment, as nginx's `lingering_close` does.
 */
export function closeAfterUnreadBody (request: FastifyRequest, reply: FastifyReply, next: () => void): void {
  const { raw } = request
  if (!isReceiving(raw)) return next()
  // Node may be in the middle of a packet that also holds the end of this body: such a connection can stay.
  setImmediate(() => {
    if (isReceiving(raw)) giveUp(raw, reply)
    next()
  })
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
  return !request.complete && mayHaveBody(request) && !isTaken(request)
}

function giveUp (request: IncomingMessage, reply: FastifyReply): void {
  if (request.httpVersionMajor === 1) {
    reply.header('connection', 'close')
    linger(request)
  } else {
    // HTTP/2 keeps the connection, but a stream that nobody reads would never close.
    request.resume()
  }
}

function mayHaveBody ({ headers, httpVersionMajor }: IncomingMessage): boolean {
  // HTTP/2 ends a body by a flag: its headers need not tell.
  return httpVersionMajor > 1 || headers['transfer-encoding'] !== undefined || Number(headers['content-length'] ?? 0) > 0
}

function linger (request: IncomingMessage): void {
  const { socket } = request
  // Node calls this when the response is finished and the connection is not to be kept.
  socket.destroySoon = () => {
    const destroy = () => { socket.destroy() }
    const timer = setTimeout(destroy, LINGER)
    socket.once('close', () => clearTimeout(timer))
    request.once('close', destroy)
    request.resume()
    socket.end()
  }
}

/** How long a client that still sends may take to notice the response, in ms. */
const LINGER = 5_000
