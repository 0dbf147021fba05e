import type { FastifyInstance } from 'fastify'
import type { IncomingMessage, ServerResponse } from 'node:http'

/**
 * Answers `Expect: 100-continue` when somebody reads the body, not before: a request that is refused never gets its
 * 100, and its client never sends the bytes. Other routes of the application see no difference, because they read.
 *
 * An application that listens to `checkContinue` itself keeps doing so.
 *
 * @see RFC 9110, 10.1.1
 */
export function answerExpectContinue ({ server }: FastifyInstance): void {
  if (server.listenerCount('checkContinue') > 0) return
  server.on('checkContinue', (request: IncomingMessage, response: ServerResponse) => {
    continueOnFirstRead(request, response)
    server.emit('request', request, response)
  })
}

function continueOnFirstRead (request: IncomingMessage, response: ServerResponse): void {
  const read = request._read
  request._read = size => {
    request._read = read
    // After the response, Node reads on only to throw away.
    if (!response.headersSent) response.writeContinue()
    read.call(request, size)
  }
}
