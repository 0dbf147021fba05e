import type { FastifyReply, FastifyRequest } from 'fastify'
import { IncomingMessage } from 'node:http'
import { isAnswered, whenAnswered } from './answered.js'
import { RequestBody } from './body.js'
import { isReset } from './content.js'
import type { Context } from './context.js'
import { getExpiry } from './expiration.js'
import { sendInterim } from './interim.js'
import type { Exchange } from './operations/exchange.js'
import type { Described, Offer, Protocol } from './protocols/protocol.js'
import { setUpload } from './request-upload.js'
import { checkUntouched, getSource } from './untouched-body.js'
import type { Upload } from './upload.js'

/** What tells a client more than the answer does. */
export type Early = Pick<Exchange, 'announce' | 'progress'>

/** One request, as operations see it. */
export function createExchange ({ options, budget, openBodies }: Context, request: FastifyRequest, reply: FastifyReply, early: Early, answer: Exchange['answer']): Exchange {
  return {
    request,
    log: request.log,
    see: upload => setUpload(request, upload),
    isAnswered: () => isAnswered(reply),
    whenGone: listener => whenGone(reply, listener),
    place: null,
    announce: early.announce,
    progress: early.progress,
    answer,
    openBody (limits) {
      const source = getSource(request)
      if (limits.declared !== 0) checkUntouched(source)
      // Straight from Node's parser, not from `inject()` or a stream of the application, whose chunks are somebody's own.
      const isOurs = source instanceof IncomingMessage
      const body = new RequestBody(source, {
        declared: limits.declared,
        limit: limits.limit,
        overflow: limits.overflow,
        checkEnd: limits.checkEnd,
        stallTimeout: options.stallTimeout,
        minRate: options.minRate,
        budget,
        isReset: request.raw.httpVersionMajor > 1 ? () => isReset(request.raw) : null,
        // What is to be verified is read ahead: by one batch, as the contract of storages has it.
        held: !isOurs ? null : limits.keep === 'prefix' ? 0 : 1
      })
      openBodies.add(body)
      whenAnswered(reply, () => body.interrupt('answered'))
      if (!isClosed(reply)) {
        openBodies.beginAnswer()
        reply.raw.once('close', () => openBodies.endAnswer())
      }
      return body
    }
  }
}

function whenGone (reply: FastifyReply, listener: () => void): void {
  if (isClosed(reply)) return listener()
  let isDelivered = false
  reply.raw.once('finish', () => { isDelivered = true })
  // HTTP/2 has a `finish` for a stream that was reset, too.
  reply.raw.once('close', () => { if (!isDelivered || !reply.raw.headersSent) listener() })
}

/** Whether the client left while the request waited: there will be no `close` any more. HTTP/2 then has no socket. */
function isClosed ({ raw }: FastifyReply): boolean {
  return raw.destroyed || !raw.socket
}

/** Interim responses, where the protocol has them and the application wants them. */
export function createEarly ({ options }: Context, { encodeAnnounced, encodeProgress }: Protocol, describe: (upload: Upload) => Described, reply: FastifyReply): Early {
  if (!options.interimResponses || encodeAnnounced === undefined) return SILENT
  const send = (interim: ReturnType<typeof encodeAnnounced>) => interim !== null && sendInterim(reply, interim)
  return {
    announce: upload => send(encodeAnnounced(describe(upload))),
    progress: encodeProgress === undefined ? null : offset => { send(encodeProgress(offset)) }
  }
}

/** An upload, and what goes with it. */
export function describeUpload ({ options }: Context, upload: Upload, offer: Offer, locate: (id: string) => string): Described {
  return { upload, expiry: getExpiry(upload, options.expiration), offer, locate: () => locate(upload.id) }
}

const SILENT: Early = { announce: () => false, progress: null }
