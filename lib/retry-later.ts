import type { FastifyReply, FastifyRequest } from 'fastify'
import type { IncomingMessage, Server, ServerResponse } from 'node:http'
import { hasFailed } from './answered.js'
import { getRetryLater } from './protocols/select.js'

/**
 * Says of an offset that can't be told at present that it can be asked for later, whoever failed to tell it: a hook that throws, a timeout, a rate limit.
 * A response that a hook of the application has given itself stays as it is. To be called when the response is about to be sent, before its headers.
 */
export function retryLater (request: FastifyRequest, reply: FastifyReply): void {
  const { statusCode } = reply
  if ((statusCode < 500 && statusCode !== 429) || !hasFailed(reply)) return
  const later = getRetryLater(request)
  if (later === null) return
  reply.code(later.status)
  for (const [name, value] of Object.entries(later.headers)) if (!reply.hasHeader(name)) reply.header(name, value)
}

/**
 * Does the same for what Fastify answers by itself, before any hook, while it closes: 503, unless it was created with `return503OnClosing: false`. To be called when
 * it begins to close. Other requests, and other routes of the application, see no difference.
 */
export function retryLaterWhileClosing (server: Server): void {
  if (prepared.has(server)) return
  prepared.add(server)
  server.prependListener('request', (request: IncomingMessage, response: ServerResponse) => {
    const later = getRetryLater({ method: String(request.method), headers: request.headers })
    if (later !== null) replace503(response, later)
  })
}

function replace503 (response: ServerResponse, { status: later, headers }: NonNullable<ReturnType<typeof getRetryLater>>): void {
  const { writeHead } = response
  response.writeHead = (status: number, ...rest: unknown[]) => {
    if (status !== 503) return Reflect.apply(writeHead, response, [status, ...rest])
    for (const [name, value] of Object.entries(headers)) response.setHeader(name, value)
    return Reflect.apply(writeHead, response, [later, ...rest])
  }
}

const prepared = new WeakSet<Server>()
