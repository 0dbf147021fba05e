import type { FastifyInstance, FastifyReply, FastifyRequest, onSendHookHandler } from 'fastify'
import { Readable } from 'node:stream'
import { setTimeout as sleep } from 'node:timers/promises'
import { getErrorSymbol } from './answered.js'
import { releaseConnection } from './connection.js'
import { capture, isSendable } from './kept-answer.js'
import type { Exchange } from './operations/exchange.js'
import { retryLater } from './retry-later.js'
import { replaceBody } from './problem.js'
import { getRetryLater } from './protocols/select.js'
import { setUpload } from './request-upload.js'
import type { Upload } from './upload.js'
import type { Call } from './verbs.js'

/** What an application says about a document that has arrived. */
export type Handler = (this: FastifyInstance, request: FastifyRequest, reply: FastifyReply) => unknown

/** Runs the handler for a complete upload, and resolves when what it said is kept and on its way, or nobody is there to hear it. */
export function answer (handler: Handler, instance: FastifyInstance, call: Call, upload: Upload, keep: Keep): Promise<void> {
  const { request, reply } = call
  setUpload(request, upload)
  request.body = undefined
  return new Promise(resolve => {
    pending.set(reply, { call, upload, keep, headers: { ...reply.getHeaders() }, resolve })
    run(handler, instance, request, reply).then(() => waitForAnswer(reply)).then(() => {
      // Somebody answered past the hook, or never will.
      if (pending.delete(reply)) resolve()
    }, error => {
      call.exchange.log.error({ err: error }, 'an answer could not be sent')
      resolve()
    })
  })
}

/**
 * Waits for a handler that answers later, also if its client has gone: nobody else may get the upload meanwhile and run it again. One that has not answered
 * long after its client went is taken for lost.
 */
async function waitForAnswer (reply: FastifyReply): Promise<void> {
  if (!pending.has(reply)) return
  await new Promise<void>(resolve => whenClosed(reply, resolve))
  for (const end = Date.now() + PATIENCE; pending.has(reply) && !reply.sent && Date.now() < end;) await sleep(LOOK_AGAIN, undefined, { ref: false })
}

function whenClosed ({ raw }: FastifyReply, listener: () => void): void {
  if (raw.destroyed || raw.writableFinished) listener()
  else raw.once('close', listener)
}

async function run (handler: Handler, instance: FastifyInstance, request: FastifyRequest, reply: FastifyReply): Promise<void> {
  try {
    const isLater = watchReturn(reply)
    const returned = handler.call(instance, request, reply)
    const result = await returned
    if (pending.has(reply) && !reply.sent && (result !== undefined || (returned !== undefined && !isLater()))) reply.send(result)
  } catch (error) {
    if (pending.has(reply)) sendThrown(reply, error)
  }
}

/** Anything may be thrown, and reaches the error handler as it is. */
function sendThrown (reply: FastifyReply, thrown: unknown): void {
  const isError = getErrorSymbol(reply)
  if (thrown instanceof Error) reply.send(thrown)
  else if (isError === undefined) reply.send(new Error('The handler failed', { cause: thrown }))
  else Object.assign(reply, { [isError]: true }).send(thrown)
}

/** Whether a handler has returned `reply`, which says that it answers later: a promise of that looks like one of nothing. */
function watchReturn (reply: FastifyReply): () => boolean {
  const { then } = reply
  let isReturned = false
  reply.then = (fulfilled, rejected) => {
    isReturned = true
    then.call(reply, fulfilled, rejected)
  }
  return () => isReturned
}

/** Keeps what the handler says before it is sent, and adds what the protocol has to say. */
export const sendAnswer: onSendHookHandler = (request, reply, payload, done) => {
  const open = pending.get(reply)
  releaseConnection(request, reply)
  // The first response counts. Fastify itself sends a second one, of nothing, for an asynchronous error handler that returns nothing.
  if (keeping.has(reply) && (payload === undefined || reply.statusCode < 500)) return
  if (open === undefined) {
    retryLater(request, reply)
    return done(null, replaceBody(reply, payload))
  }
  pending.delete(reply)
  keeping.add(reply)
  const settle = () => {
    keeping.delete(reply)
    open.resolve()
  }
  // Fastify catches what happens to a promise that it is given, and not what `done` throws.
  return complete(open, reply, payload).then(sent => replaceBody(reply, sent)).finally(settle)
}

async function complete ({ call, upload, keep, headers: before }: Pending, reply: FastifyReply, payload: unknown): Promise<unknown> {
  const body = payload instanceof Response ? unpack(reply, payload) : payload
  const { answer, payload: sent } = await capture(reply.statusCode, reply.getHeaders(), body)
  // What failed on this side may succeed the next time.
  const isFinal = answer.status < 500 && isSendable(sent)
  if (isFinal) await keep(answer)
  const described = call.describe(isFinal ? { ...upload, purpose: { ...upload.purpose!, answer } } : upload)
  if (call.protocol.getMethod(call.message) !== 'HEAD') {
    reply.headers(call.protocol.encodeAnswered(described, answer).headers)
    return sent
  }
  // The client asked for the offset alone, and gets the rest when it asks for that. One that goes by the length would take a failure for a success.
  const later = isFinal ? null : getRetryLater(call.message)
  const { status, headers } = later ?? call.protocol.encodeInspected(described)
  if (sent instanceof Readable) sent.destroy()
  for (const name of Object.keys(reply.getHeaders())) reply.removeHeader(name)
  reply.code(status).headers(before).headers(headers)
  return ''
}

/** Fastify takes status and headers out of it only when it sends. */
function unpack (reply: FastifyReply, { status, headers, body }: Response): Response['body'] {
  reply.code(status)
  for (const [name, value] of headers) reply.header(name, value)
  return body
}

type Keep = Parameters<NonNullable<Exchange['answer']>>[1]

interface Pending {
  readonly call: Call
  readonly upload: Upload
  readonly keep: Keep
  /** What hooks had said before the handler did. */
  readonly headers: ReturnType<FastifyReply['getHeaders']>
  readonly resolve: () => void
}

const pending = new WeakMap<FastifyReply, Pending>()
/** Replies whose answer is being kept, and is sent after that. */
const keeping = new WeakSet<FastifyReply>()
/** How long a handler whose client has gone may take to answer by a callback, in ms, before another request gets the upload. */
const PATIENCE = 5 * 60_000
const LOOK_AGAIN = 200
