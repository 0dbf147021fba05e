import type { FastifyReply } from 'fastify'
import { ServerResponse } from 'node:http'
import { Http2ServerResponse } from 'node:http2'
import type { Interim } from './protocols/protocol.js'

/**
 * Sends an interim response ahead of the answer; false where that is not possible: before HTTP/1.1, behind an answer that waits for another one, or too late.
 *
 * Newer versions of Node have a call for it (24.19, 26.3). Before those, the lines are written as Node writes `100 Continue`.
 */
export function sendInterim ({ raw }: FastifyReply, { status, reason, headers }: Interim): boolean {
  if (raw.headersSent || raw.destroyed) return false
  if (raw instanceof Http2ServerResponse) return sendFrame(raw, status, headers)
  return raw instanceof ServerResponse && sendLines(raw, `HTTP/1.1 ${status} ${reason}`, headers)
}

function sendFrame ({ stream }: Http2ServerResponse, status: number, headers: Interim['headers']): boolean {
  if (stream.destroyed || stream.headersSent) return false
  stream.additionalHeaders({ ':status': status, ...headers })
  return true
}

/** A response gets the connection when its turn has come. */
function sendLines (response: ServerResponse, line: string, headers: Interim['headers']): boolean {
  const { socket, req } = response
  if (socket === null || !socket.writable || req.httpVersion === '1.0') return false
  const lines = Object.entries(headers).map(([name, value]) => `${name}: ${value.replace(/[^\t\x20-\x7e\x80-\xff]/g, '')}\r\n`)
  return socket.write(`${line}\r\n${lines.join('')}\r\n`, 'latin1') || true
}
