import type { FastifyInstance, FastifyReply, FastifyRequest } from 'fastify'
import type { Readable } from 'node:stream'
import { requests, type RequestMessage } from './channels.js'
import { closeAfterUnreadBody, closeWithConnection } from './connection.js'
import { getContent } from './content.js'
import type { Context } from './context.js'
import { TUS_ERR_METHOD_NOT_ALLOWED, TUS_ERR_UPLOAD_NOT_FOUND, TusError } from './errors.js'
import { createEarly, createExchange, describeUpload } from './exchange.js'
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
import { createDescription, type Resource } from './openapi/document.js'
import { noteProblem, replaceBody } from './problem.js'
import type { Answer, Described, Message, Offer, Protocol } from './protocols/protocol.js'
import { encodeOffers, recognize, selectProtocol, selectRetrieval } from './protocols/select.js'
import { replay } from './kept-answer.js'
import { selectRepresentation } from './representation.js'
import { isValidId, type Upload } from './upload.js'

/** What a group of routes has in common. */
export interface Site {
  readonly context: Context
  /** `null` where the upload decides. */
  readonly select: (message: Message) => Protocol | null
  readonly locate: (request: FastifyRequest, id: string) => string
  /** The id that a URL of such an upload names; `null` if it names none. */
  readonly getIdOf: (request: FastifyRequest, url: string) => string | null
  readonly getId: (request: FastifyRequest) => string
  /** The handler of the application that answers for complete uploads. */
  readonly answer: ((call: Call) => NonNullable<Exchange['answer']>) | null
}

/** One request on its way through: what the verbs below work with. */
export interface Call {
  readonly context: Context
  readonly protocol: Protocol
  readonly offer: Offer
  readonly message: Message
  readonly request: FastifyRequest
  readonly reply: FastifyReply
  readonly exchange: Exchange
  readonly describe: (upload: Upload) => Described
  /** The id that the path names; empty for the collection. */
  readonly id: string
}

/** `null`: the application has answered by itself. */
type Verb = (call: Call) => Promise<Answer & { readonly stream?: Readable } | null>
export type Verbs = Readonly<Record<string, Verb>>

/** Puts the routes into a scope of their own. No rule of any protocol is here: decode, operate, encode. */
export function registerRoutes (scope: FastifyInstance, context: Context): void {
  // Bodies are read by the operations, raw: no parser of the application may touch them.
  scope.removeAllContentTypeParsers()
  scope.addContentTypeParser('*', (_request, payload, done) => done(null, payload))
  scope.addHook('onSend', (request, reply, payload, done) => {
    const headers = selectProtocol(request, context.options.protocols)?.headers
    for (const name in headers) if (!reply.hasHeader(name)) reply.header(name, headers[name])
    closeAfterUnreadBody(request, reply, () => done(null, replaceBody(reply, payload)))
  })

  const collection = getCollectionVerbs(context)
  const resource = getResourceVerbs(context)
  const site = createSite(context)
  const { routeOptions } = context.options
  const document = (resource: Resource) => ({ config: { ...createDescription(context, resource), ...routeOptions.config } })
  const shared = { ...routeOptions, method: scope.supportedMethods, exposeHeadRoute: false }
  scope.route({ ...shared, ...document('collection'), url: '/', handler: (request, reply) => handle(site, collection, request, reply) })
  scope.route({ ...shared, ...document('upload'), url: '/*', handler: (request, reply) => handle(site, resource, request, reply) })
}

function createSite (context: Context): Site {
  const { options } = context
  return {
    context,
    select: message => selectProtocol(message, options.protocols),
    locate: (request, id) => getLocation(options, request, id),
    getIdOf: (request, url) => getIdOf(options, request, url),
    getId: request => (request.params as { '*'?: string })['*'] ?? '',
    answer: null
  }
}

export function getCollectionVerbs ({ options }: Context): Verbs {
  return {
    OPTIONS: describe,
    ...options.extensions.has('creation') && { POST: post }
  }
}

export function getResourceVerbs ({ options, storage }: Context): Verbs {
  return {
    OPTIONS: describe,
    HEAD: head,
    PATCH: patch,
    ...options.extensions.has('termination') && { DELETE: remove },
    ...options.download && storage.read && { GET: get }
  }
}

export function handle (site: Site, verbs: Verbs, request: FastifyRequest, reply: FastifyReply): Promise<unknown> {
  const facts: RequestMessage = { request, reply, method: request.method }
  return requests.hasSubscribers ? requests.tracePromise(() => answerRequest(site, verbs, facts), facts) : answerRequest(site, verbs, facts)
}

async function answerRequest (site: Site, verbs: Verbs, facts: RequestMessage): Promise<unknown> {
  const { context } = site
  const { request, reply } = facts
  const message = createMessage(site, request)
  const offer = getOffer(context)
  const protocol = site.select(message) ?? await recognizeByUpload(site, request, message)
  try {
    const method = facts.method = protocol.getMethod(message)
    const verb = Object.hasOwn(verbs, method) ? verbs[method] : undefined
    if (!verb) throw TUS_ERR_METHOD_NOT_ALLOWED({ allow: Object.keys(verbs).join(', ') })
    protocol.checkVersion(method, message)
    const describe = (upload: Upload) => describeUpload(context, upload, offer, id => site.locate(request, id))
    const exchange = createExchange(context, request, reply, createEarly(context, protocol, describe, reply), null)
    const call: Call = { context, protocol, offer, message, request, reply, exchange, describe, id: getId(site.getId(request), verbs, method) }
    const answer = await verb(site.answer === null ? call : { ...call, exchange: { ...exchange, answer: site.answer(call) } })
    // The application, or a hook of it, may have answered by itself.
    return answer === null || reply.sent ? reply : send(reply, answer, answer.stream)
  } catch (cause) {
    return refuse(context, reply, protocol, message, offer, asAnswerable(cause))
  }
}

/** Where the storage can't tell, the operation that follows meets the same failure and answers it. */
async function recognizeByUpload ({ context, getId }: Site, request: FastifyRequest, message: Message): Promise<Protocol> {
  const id = getId(request)
  const upload = isValidId(id) ? await find(context, id).catch(() => null) : null
  return recognize(message, upload, context.options.protocols)
}

function send (reply: FastifyReply, { status, headers, body }: Answer, stream?: Readable): FastifyReply {
  const payload: unknown = stream ?? body
  return reply.code(status).headers(headers).send(payload)
}

/** The protocol sets status and headers; the body is the business of the application's error handler, if it has one. */
function refuse ({ options }: Context, reply: FastifyReply, protocol: Protocol, message: Message, offer: Offer, error: Error): never {
  const { upload } = reply.request
  const byApplication = isRefusal(error) && !(error instanceof TusError)
  const { status, headers, body } = protocol.encodeError(error, { message, offer, upload, expiry: upload && getExpiry(upload, options.expiration), byApplication })
  // A hook may have answered by itself, or Fastify for one that took too long.
  if (reply.sent) throw error
  if (status > 0) reply.code(status)
  reply.headers(headers)
  if (byApplication) reply.code(error.statusCode).headers(error.headers ?? {})
  if (body !== undefined) noteProblem(reply, error, body)
  // Fastify believes the error, not the reply.
  throw error instanceof TusError && status !== error.statusCode ? error.as(status) : error
}

function createMessage ({ getIdOf }: Site, request: FastifyRequest): Message {
  return {
    method: request.method,
    headers: request.headers,
    // `inject()` makes requests without any.
    getTrailers: () => request.raw.trailers ?? {},
    getIdOf: url => getIdOf(request, url),
    getContent: () => getContent(request.raw)
  }
}

function getOffer ({ options }: Context): Offer {
  return {
    extensions: options.extensions,
    maxSize: options.announcedMaxSize,
    maxAppendSize: options.maxAppendSize === Infinity ? null : options.maxAppendSize,
    lifetime: options.expiration?.incomplete ?? null,
    checksumAlgorithms: options.checksumAlgorithms,
    maxMetadataSize: options.maxMetadataSize
  }
}

/** @throws TUS_ERR_UPLOAD_NOT_FOUND for what can't be an id, before any storage sees it */
function getId (id: string, verbs: Verbs, method: string): string {
  if (id === '' ? 'HEAD' in verbs : !isValidId(id) && method !== 'OPTIONS') throw TUS_ERR_UPLOAD_NOT_FOUND()
  return id
}

export const describe: Verb = async ({ context, message, offer }) => encodeOffers(message, offer, context.options.protocols)

export const post: Verb = async call => {
  const { context, protocol, offer, message, request, reply, exchange } = call
  const command = protocol.decodeCreate(message, offer)
  const completion = await create(context, command, exchange).catch(error => {
    // The upload is there, and only its completion was refused: the client must be able to try that again.
    if (request.upload && command.resumable) reply.header('location', call.describe(request.upload).locate())
    throw error
  })
  return answer(call, completion, described => protocol.encodeCreated(described, command.body !== null))
}

const head: Verb = async call => {
  const { context, protocol, exchange, id } = call
  const completion = await inspect(context, id, exchange)
  exchange.see(completion.upload)
  return completion.answered ? null : withDecision(protocol.encodeInspected(call.describe(completion.upload)), completion)
}

const patch: Verb = async call => {
  const { context, protocol, offer, message, exchange, id } = call
  const command = await decode(() => protocol.decodeAppend(message, offer), context, id, exchange)
  return answer(call, await append(context, id, command, exchange), described => protocol.encodeAppended(described))
}

/** What the application has said of a complete upload, now or before, comes before what the protocol has to say. */
function answer ({ protocol, exchange, describe }: Call, completion: Completion, encode: (described: Described) => Answer): Answer | null {
  const { upload, answered } = completion
  exchange.see(upload)
  if (answered) return null
  const kept = upload.purpose?.answer
  return kept ? replay(protocol.encodeAnswered(describe(upload), kept), kept) : withDecision(encode(describe(upload)), completion)
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

const get: Verb = async call => {
  const { context, request, exchange, id } = call
  const upload = await findComplete(context, id, exchange).catch(error => {
    const protocol = selectRetrieval(error, request.upload, call.message, context.options.protocols)
    if (protocol === null) throw error
    return protocol
  })
  if ('encodeInspected' in upload) return head({ ...call, protocol: upload })
  const { status, headers, range } = selectRepresentation(upload, request.headers)
  return { status, headers, ...range && { stream: closeWithConnection(await openDownload(context, id, range), request.raw) } }
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
