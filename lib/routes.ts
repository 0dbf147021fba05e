import type { FastifyInstance, FastifyReply, FastifyRequest } from 'fastify'
import { IncomingMessage } from 'node:http'
import { Readable } from 'node:stream'
import { RequestBody } from './body.js'
import { closeAfterUnreadBody, closeWithConnection } from './connection.js'
import type { Context } from './context.js'
import { TUS_ERR_METHOD_NOT_ALLOWED, TUS_ERR_UPLOAD_NOT_FOUND } from './errors.js'
import { getExpiry } from './expiration.js'
import { isRefusal } from './hooks.js'
import { getIdOf, getLocation } from './location.js'
import { append } from './operations/append.js'
import type { Completion } from './operations/complete.js'
import { create } from './operations/create.js'
import { findComplete, openDownload } from './operations/download.js'
import type { Exchange } from './operations/exchange.js'
import { asAnswerable } from './operations/failure.js'
import { checkAccess, find } from './operations/find.js'
import { inspect } from './operations/inspect.js'
import { terminate } from './operations/terminate.js'
import type { Answer, Described, Message, Offer, Protocol } from './protocols/protocol.js'
import { selectProtocol } from './protocols/select.js'
import { selectRepresentation } from './representation.js'
import { isValidId } from './upload.js'

/** One request on its way through: what the verbs below work with. */
interface Call {
  readonly context: Context
  readonly protocol: Protocol
  readonly offer: Offer
  readonly message: Message
  readonly request: FastifyRequest
  readonly reply: FastifyReply
  readonly exchange: Exchange
  /** The id that the path names; empty for the collection. */
  readonly id: string
}

type Verb = (call: Call) => Promise<Answer & { readonly stream?: Readable }>
type Verbs = Readonly<Record<string, Verb>>

/** Puts the routes into a scope of their own. No rule of any protocol is here: decode, operate, encode. */
export function registerRoutes (scope: FastifyInstance, context: Context): void {
  // Bodies are read by the operations, raw: no parser of the application may touch them.
  scope.removeAllContentTypeParsers()
  scope.addContentTypeParser('*', (_request, payload, done) => done(null, payload))
  const headers = Object.entries(selectProtocol().headers)
  scope.addHook('onSend', (request, reply, payload, done) => {
    for (const [name, value] of headers) if (!reply.hasHeader(name)) reply.header(name, value)
    closeAfterUnreadBody(request, reply, () => done(null, payload))
  })

  const collection = getCollectionVerbs(context)
  const resource = getResourceVerbs(context)
  const shared = { ...context.options.routeOptions, method: scope.supportedMethods, exposeHeadRoute: false }
  scope.route({ ...shared, url: '/', handler: (request, reply) => handle(context, collection, request, reply) })
  scope.route({ ...shared, url: '/*', handler: (request, reply) => handle(context, resource, request, reply) })
}

function getCollectionVerbs ({ options }: Context): Verbs {
  return {
    OPTIONS: describe,
    ...options.extensions.has('creation') && { POST: post }
  }
}

function getResourceVerbs ({ options, storage }: Context): Verbs {
  return {
    OPTIONS: describe,
    HEAD: head,
    PATCH: patch,
    ...options.extensions.has('termination') && { DELETE: remove },
    ...options.download && storage.read && { GET: get }
  }
}

async function handle (context: Context, verbs: Verbs, request: FastifyRequest, reply: FastifyReply): Promise<unknown> {
  const protocol = selectProtocol()
  const message = createMessage(context, request)
  const offer = getOffer(context)
  try {
    const method = protocol.getMethod(message)
    const verb = Object.hasOwn(verbs, method) ? verbs[method] : undefined
    if (!verb) throw TUS_ERR_METHOD_NOT_ALLOWED({ allow: Object.keys(verbs).join(', ') })
    protocol.checkVersion(method, message)
    const exchange = createExchange(context, request, reply)
    const answer = await verb({ context, protocol, offer, message, request, reply, exchange, id: getId(request, verbs, method) })
    // A hook of the application may have answered by itself.
    return reply.sent ? reply : send(reply, answer, answer.stream)
  } catch (cause) {
    return refuse(context, reply, protocol, offer, asAnswerable(cause))
  }
}

function send (reply: FastifyReply, { status, headers, body }: Answer, stream?: Readable): FastifyReply {
  return reply.code(status).headers(headers).send(stream ?? body)
}

/** The protocol sets status and headers; the body is the business of the application's error handler. */
function refuse ({ options }: Context, reply: FastifyReply, protocol: Protocol, offer: Offer, error: Error): never {
  const { upload } = reply.request
  const { status, headers } = protocol.encodeError(error, offer, upload && getExpiry(upload, options.expiration))
  // A hook may have answered by itself, or Fastify for one that took too long.
  if (reply.sent) throw error
  if (status > 0) reply.code(status)
  reply.headers(headers)
  if (isRefusal(error)) reply.code(error.statusCode).headers(error.headers ?? {})
  throw error
}

function createMessage ({ options }: Context, request: FastifyRequest): Message {
  return {
    method: request.method,
    headers: request.headers,
    // `inject()` makes requests without any.
    getTrailers: () => request.raw.trailers ?? {},
    getIdOf: url => getIdOf(options, request, url)
  }
}

function getOffer ({ options }: Context): Offer {
  return {
    extensions: options.extensions,
    maxSize: options.announcedMaxSize,
    checksumAlgorithms: options.checksumAlgorithms,
    maxMetadataSize: options.maxMetadataSize
  }
}

/** @throws TUS_ERR_UPLOAD_NOT_FOUND for what can't be an id, before any storage sees it */
function getId (request: FastifyRequest, verbs: Verbs, method: string): string {
  const id = (request.params as { '*'?: string })['*'] ?? ''
  if (id === '' ? 'HEAD' in verbs : !isValidId(id) && method !== 'OPTIONS') throw TUS_ERR_UPLOAD_NOT_FOUND()
  return id
}

function createExchange ({ options, budget, openBodies }: Context, request: FastifyRequest, reply: FastifyReply): Exchange {
  return {
    request,
    log: request.log,
    see (upload) { request.upload = upload },
    openBody (limits) {
      const source = request.body instanceof Readable ? request.body : request.raw
      // Straight from Node's parser, not from `inject()` or a stream of the application, whose chunks are somebody's own.
      const isOurs = source instanceof IncomingMessage
      const body = new RequestBody(source, {
        declared: limits.declared,
        limit: limits.limit,
        overflow: limits.overflow,
        stallTimeout: options.stallTimeout,
        minRate: options.minRate,
        budget,
        // What is to be verified is read ahead: by one batch, as the contract of storages has it.
        held: !isOurs ? null : limits.keep === 'prefix' ? 0 : 1
      })
      openBodies.add(body)
      if (!isClosed(reply)) {
        openBodies.beginAnswer()
        reply.raw.once('close', () => openBodies.endAnswer())
      }
      return body
    }
  }
}

/** Whether the client left while the request waited: there will be no `close` any more. HTTP/2 then has no socket. */
function isClosed ({ raw }: FastifyReply): boolean {
  return raw.destroyed || !raw.socket
}

const describe: Verb = async ({ protocol, offer }) => protocol.encodeOffer(offer)

const post: Verb = async ({ context, protocol, offer, message, request, reply, exchange }) => {
  const command = protocol.decodeCreate(message, offer)
  const completion = await create(context, command, exchange).catch(error => {
    // The upload is there, and only its completion was refused: the client must be able to try that again.
    if (request.upload) reply.header('location', getLocation(context.options, request, request.upload.id))
    throw error
  })
  const location = getLocation(context.options, request, completion.upload.id)
  return withDecision(protocol.encodeCreated(describeUpload(context, exchange, completion), location, command.body !== null), completion)
}

const head: Verb = async ({ context, protocol, exchange, id }) => {
  const completion = await inspect(context, id, exchange)
  return withDecision(protocol.encodeInspected(describeUpload(context, exchange, completion)), completion)
}

const patch: Verb = async ({ context, protocol, offer, message, exchange, id }) => {
  const command = await decode(() => protocol.decodeAppend(message, offer), context, id, exchange)
  const completion = await append(context, id, command, exchange)
  return withDecision(protocol.encodeAppended(describeUpload(context, exchange, completion)), completion)
}

/** A request that can't be understood is answered with what every answer about this upload tells, unless the application has a say in who may know. */
async function decode<Command> (read: () => Command, context: Context, id: string, exchange: Exchange): Promise<Command> {
  try {
    return read()
  } catch (error) {
    if (!context.hooks.has('preAccess')) exchange.see(await find(context, id))
    throw error
  }
}

const remove: Verb = async ({ context, protocol, exchange, id }) => {
  await checkAccess(context, id, 'terminate', exchange)
  exchange.see(await terminate(context, id, exchange))
  return protocol.encodeTerminated()
}

const get: Verb = async ({ context, request, exchange, id }) => {
  const upload = await findComplete(context, id, exchange)
  const { status, headers, range } = selectRepresentation(upload, request.headers)
  return { status, headers, ...range && { stream: closeWithConnection(await openDownload(context, id, range), request.raw) } }
}

function describeUpload ({ options }: Context, exchange: Exchange, { upload }: Completion): Described {
  exchange.see(upload)
  return { upload, expiry: getExpiry(upload, options.expiration) }
}

/** What `preFinish` returned goes out with the response; a body needs a status that may have one. */
function withDecision (answer: Answer, { decision: { headers, body } }: Completion): Answer {
  if (headers === undefined && body === undefined) return answer
  return {
    ...answer,
    ...body !== undefined && { status: answer.status === 204 ? 200 : answer.status, body },
    headers: { ...answer.headers, ...headers }
  }
}
