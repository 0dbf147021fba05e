import type { FastifyReply, FastifyRequest } from 'fastify'
import { Readable } from 'node:stream'
import { getContent } from './content.js'
import { TUS_ERR_BODY_CONSUMED } from './errors.js'

/** Where the bytes of a request come from: a stream of the application, if a `preParsing` hook returned one. */
export function getSource ({ body, raw }: FastifyRequest): Readable {
  return body instanceof Readable ? body : raw
}

/** Stops a body that flows because the application listens to it, until it is read here too: nothing of it is lost meanwhile. */
export function holdBody (request: FastifyRequest, reply: FastifyReply): void {
  const source = getSource(request)
  if (!source.readableFlowing || source.readableDidRead || !getContent(request.raw).present) return
  source.pause()
  reply.raw.once('close', () => { source.resume() })
}

/**
 * Refuses a body of which the application has read something: what is left is not what the client sent.
 *
 * @throws TUS_ERR_BODY_CONSUMED
 */
export function checkUntouched (source: Readable): void {
  if (source.readableDidRead || source.readableEncoding !== null) throw TUS_ERR_BODY_CONSUMED()
}
