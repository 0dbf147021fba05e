import type { FastifyInstance, FastifyReply, FastifyRequest } from 'fastify'
import type { Readable } from 'node:stream'
import { requests, type RequestMessage } from './channels.js'
import { isAnswered, isGone, watchAnswers } from './answered.js'
import { drop, isDestroyed, releaseConnection } from './connection.js'
import { getContent } from './content.js'
import type { Context } from './context.js'
import { isPreflightAnswer } from './cors-hooks.js'
import { isEmpty } from './empty-body.js'
import { TUS_ERR_METHOD_NOT_ALLOWED, TUS_ERR_UPLOAD_NOT_FOUND, TusError } from './errors.js'
import { createEarly, createExchange, describeUpload } from './exchange.js'
import { getExpiry } from './expiration.js'
import { isRefusal } from './hooks.js'
import { getIdOf, getLocation } from './location.js'
import type { Exchange } from './operations/exchange.js'
import { asAnswerable, isNotFound } from './operations/failure.js'
import { checkAccess, find } from './operations/find.js'
import { createDescription, type Resource } from './openapi/document.js'
import { OwnLocations } from './own-locations.js'
import { retryLater } from './retry-later.js'
import { noteProblem, replaceBody } from './problem.js'
import { checkOverride, omitOverride } from './protocols/method-override.js'
import type { Answer, Message, Offer, Protocol } from './protocols/protocol.js'
import { recognize, selectProtocol } from './protocols/select.js'
import { setUpload } from './request-upload.js'
import { holdBody } from './untouched-body.js'
import { createEntrance, type Enter } from './scope.js'
import { isValidId, type NewUpload, type Upload } from './upload.js'
import { getCollectionVerbs, getResourceVerbs, type Call, type Verbs } from './verbs.js'

/** What a group of routes has in common. */
export interface Site {
  readonly context: Context
  /** The context for one request, which knows its scope. */
  readonly enter: Enter
  /** `null` where the upload decides. */
  readonly select: (message: Message) => Protocol | null
  readonly locate: (request: FastifyRequest, id: string) => string
  /** Where the application says that uploads are, in place of the two others; `null` where the request tells. */
  readonly own: ((request: FastifyRequest) => OwnLocations) | null
  /** The id that a URL of such an upload names; `null` if it names none. */
  readonly getIdOf: (request: FastifyRequest, url: string) => string | null
  readonly getId: (request: FastifyRequest) => string
  /** The handler of the application that answers for complete uploads. */
  readonly answer: ((call: Call) => NonNullable<Exchange['answer']>) | null
}

/** Puts the routes into a scope of their own. No rule of any protocol is here: decode, operate, encode. */
export function registerRoutes (scope: FastifyInstance, context: Context): void {
  watchAnswers(scope)
  // Bodies are read by the operations, raw: no parser of the application may touch them.
  scope.removeAllContentTypeParsers()
  scope.addContentTypeParser('*', (_request, payload, done) => done(null, payload))
  scope.addHook('onSend', (request, reply, payload, done) => {
    const headers = selectProtocol(getHead(context, request), context.options.protocols)?.headers
    if (!isPreflightAnswer(reply)) for (const name in headers) if (!reply.hasHeader(name)) reply.header(name, headers[name])
    retryLater(request, reply)
    releaseConnection(request, reply)
    done(null, replaceBody(reply, payload))
  })

  const collection = getCollectionVerbs(context)
  const resource = getResourceVerbs(context)
  const site = createSite(context)
  const { routeOptions } = context.options
  const document = (resource: Resource) => ({ config: { ...createDescription(context, resource), ...routeOptions.config } })
  const shared = { ...UNCOMPRESSED, ...routeOptions, method: scope.supportedMethods, exposeHeadRoute: false }
  scope.route({ ...shared, ...document('collection'), url: '/', handler: (request, reply) => handle(site, collection, request, reply) })
  scope.route({ ...shared, ...document('upload'), url: '/*', handler: (request, reply) => handle(site, resource, request, reply) })
}

function createSite (context: Context): Site {
  const { options, storage } = context
  const { location } = options
  return {
    context,
    enter: createEntrance(context),
    select: message => selectProtocol(message, options.protocols),
    locate: (request, id) => getLocation(options, request, id),
    own: location ? request => new OwnLocations(storage, location, request) : null,
    getIdOf: (request, url) => getIdOf(request, url),
    getId: request => (request.params as { '*'?: string })['*'] ?? '',
    answer: null
  }
}

export function handle (site: Site, verbs: Verbs, request: FastifyRequest, reply: FastifyReply): Promise<unknown> | FastifyReply {
  // A hook has answered, and its response is still on its way through the `onSend` hooks; or it has refused by ending the connection.
  if (isAnswered(reply) || isGone(request)) return reply
  if (isDestroyed(request)) {
    drop(reply)
    return reply
  }
  setUpload(request, null)
  holdBody(request, reply)
  const facts: RequestMessage = { request, reply, method: request.method }
  return requests.hasSubscribers ? requests.tracePromise(() => answerRequest(site, verbs, facts), facts) : answerRequest(site, verbs, facts)
}

async function answerRequest (site: Site, verbs: Verbs, facts: RequestMessage): Promise<unknown> {
  const { request, reply } = facts
  const own = site.own?.(request) ?? null
  const message = createMessage(site, request, own)
  const offer = getOffer(site.context)
  const selected = site.select(message)
  // As if there were no upload, until its client may know of it.
  let protocol = selected ?? recognize(message, null, site.context.options.protocols)
  try {
    checkOverride(message)
    // What describes the server is about no upload.
    const context = request.method === 'OPTIONS' ? site.context : await site.enter(request)
    if (selected === null) protocol = await recognizeByUpload(context, site.getId(request), request, message)
    const method = facts.method = protocol.getMethod(message)
    const verb = Object.hasOwn(verbs, method) ? verbs[method] : undefined
    if (!verb) throw TUS_ERR_METHOD_NOT_ALLOWED({ allow: Object.keys(verbs).join(', ') })
    protocol.checkVersion(method, message)
    const describe = (upload: Upload) => describeUpload(context, upload, offer, id => own === null ? site.locate(request, id) : own.get(id))
    const made = createExchange(context, request, reply, createEarly(context, protocol, describe, reply), null)
    const exchange = own === null ? made : { ...made, place: (draft: NewUpload) => own.place(draft) }
    const call: Call = { context, protocol, offer, message, request, reply, exchange, describe, own, id: getId(site.getId(request), verbs, method) }
    const answer = await verb(site.answer === null ? call : { ...call, exchange: { ...exchange, answer: site.answer(call) } })
    // The application, or a hook of it, may have answered by itself.
    return answer === null || isAnswered(reply) ? reply : send(reply, answer, answer.stream)
  } catch (cause) {
    // A hook may have answered by itself, or Fastify for a request that took too long.
    if (isAnswered(reply)) return passOver(cause, facts)
    return refuse(site.context, reply, protocol, message, offer, asAnswerable(cause))
  }
}

/** The client has another response already. */
function passOver (error: unknown, { request, reply }: RequestMessage): FastifyReply {
  const isExpected = error instanceof TusError && error.code === 'TUS_ERR_REQUEST_ANSWERED'
  if (!isExpected) request.log.error({ err: error }, 'the request failed after it had been answered')
  return reply
}

/**
 * Which protocol a request means that says nothing. One that has to say more is refused without an operation, but only if
 * the application lets its client know of the upload.
 *
 * @throws TUS_ERR_UPLOAD_NOT_FOUND, what `preAccess` throws
 */
async function recognizeByUpload (context: Context, id: string, request: FastifyRequest, message: Message): Promise<Protocol> {
  // Where the storage can't tell, the operation that follows meets the same failure and answers it.
  const upload = isValidId(id) ? await find(context, id).catch(() => null) : null
  const protocol = recognize(message, upload, context.options.protocols)
  if (upload === null || protocol === recognize(message, null, context.options.protocols)) return protocol
  const action = message.method === 'DELETE' ? 'terminate' : 'inspect'
  await checkAccess(context, id, action, { request, log: request.log, see: () => {} })
  return protocol
}

function send (reply: FastifyReply, { status, headers, body }: Answer, stream?: Readable): FastifyReply {
  const payload: unknown = stream ?? body
  return reply.code(status).headers(headers).send(payload)
}

/** The protocol sets status and headers; the body is the business of the application's error handler, if it has one. */
function refuse ({ options }: Context, reply: FastifyReply, protocol: Protocol, message: Message, offer: Offer, error: Error): never {
  // What is not there any more has nothing to tell.
  if (isNotFound(error)) setUpload(reply.request, null)
  const { upload } = reply.request
  const byApplication = isRefusal(error) && !(error instanceof TusError)
  const { status, headers, body } = protocol.encodeError(error, { message, offer, upload, expiry: upload && getExpiry(upload, options.expiration), byApplication })
  if (status > 0) reply.code(status)
  reply.headers(headers)
  if (byApplication) reply.code(error.statusCode).headers(error.headers ?? {})
  if (body !== undefined) noteProblem(reply, error, body)
  // Fastify believes the error, not the reply.
  throw error instanceof TusError && status !== error.statusCode ? error.as(status) : error
}

function createMessage ({ context, getIdOf }: Site, request: FastifyRequest, own: OwnLocations | null): Message {
  return {
    ...getHead(context, request),
    // `inject()` makes requests without any.
    getTrailers: () => request.raw.trailers ?? {},
    getIdOf: url => own === null ? getIdOf(request, url) : own.getIdOf(url),
    getContent: () => getContent(request.raw),
    isEmpty: () => isEmpty(request)
  }
}

function getHead ({ options }: Context, { method, headers }: FastifyRequest): Pick<Message, 'method' | 'headers'> {
  return { method, headers: options.methodOverride ? headers : omitOverride(headers) }
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

/** Tells @fastify/compress to leave bodies as they are: offsets, lengths, ranges and strong validators count the bytes of the file. */
const UNCOMPRESSED = { compress: false, decompress: false } as const
