import type { FastifyInstance, FastifyReply, FastifyRequest, HTTPMethods, onSendHookHandler, preParsingHookHandler, RouteOptions } from 'fastify'
import { Readable } from 'node:stream'
import { setTimeout as sleep } from 'node:timers/promises'
import { closeAfterUnreadBody } from './connection.js'
import type { Context } from './context.js'
import { allowProtocols } from './cors.js'
import { TUS_ERR_ROUTE_INVALID } from './errors.js'
import { capture } from './kept-answer.js'
import { getTargetIdOf, getTargetLocation } from './location.js'
import type { ResolvedOptions } from './options.js'
import type { Exchange } from './operations/exchange.js'
import { replaceBody } from './problem.js'
import { selectForTarget, selectProtocol } from './protocols/select.js'
import { describe, getResourceVerbs, handle, post, type Call, type Site, type Verbs } from './routes.js'
import type { Upload } from './upload.js'

type Handler = (this: FastifyInstance, request: FastifyRequest, reply: FastifyReply) => unknown
/** A function that stands for a handler until its route is known. */
export type MakeResumable = <Marked extends (...args: never[]) => unknown>(handler: Marked) => Marked

/**
 * Makes routes of the application accept resumable uploads: the handler runs when the whole representation is there.
 *
 * A route with such a handler gets a sibling for the uploads that are created at it, below its own path and with its own hooks, so that whoever may not
 * use the route may not go on with an upload of it either.
 */
export function createResumable (app: FastifyInstance, context: Context): MakeResumable {
  const handlers = new WeakMap<object, Handler>()
  app.addHook('onRoute', function (route) {
    const handler = handlers.get(route.handler)
    if (handler !== undefined) prepare(this, route, createSite(context, route, handler, this))
  })
  return handler => {
    const mark = () => { throw TUS_ERR_ROUTE_INVALID({ expected: 'registered in the scope that has app.tus, or inside of it' }) }
    handlers.set(mark, handler as unknown as Handler)
    return mark as unknown as typeof handler
  }
}

interface TargetSite {
  readonly name: string
  readonly forTarget: (request: FastifyRequest) => Site
  readonly forUpload: (request: FastifyRequest) => Site
}

/** Which uploads belong to which requests: those of the same route with the same parameters. */
function createSite (context: Context, { method, url, constraints, bodyLimit }: RouteOptions, handler: Handler, instance: FastifyInstance): TargetSite {
  const options = limitSize(context.options, bodyLimit ?? Infinity)
  const name = String([method].flat()[0])
  if (url.includes('*')) throw TUS_ERR_ROUTE_INVALID({ expected: 'without a wildcard' })
  const create = (request: FastifyRequest, select: Site['select']): Site => ({
    context: { ...context, options, target: getTarget(name, url, constraints, request) },
    select,
    locate: (request, id) => getTargetLocation(options, request, getFolder(name), id),
    getIdOf: (_request, url) => getTargetIdOf(getFolder(name), url),
    getId: request => ids.get(request) ?? '',
    answer: call => (upload, keep) => answer(handler, instance, call, upload, keep)
  })
  return {
    name,
    forTarget: request => create(request, message => selectForTarget(message, options.protocols)),
    forUpload: request => create(request, message => selectProtocol(message, options.protocols))
  }
}

/** Of routes that differ in their constraints alone, each has its own. */
function getTarget (name: string, url: string, constraints: RouteOptions['constraints'] = {}, { params }: FastifyRequest): string {
  const conditions = Object.entries(constraints).sort().map(([key, value]) => ` ${key}=${String(value)}`)
  return `${name} ${url.replace(/\/$/, '')} ${JSON.stringify(Object.entries(params as object).sort())}${conditions.join('')}`
}

/** What a route takes at most, it takes as an upload at most. */
function limitSize (options: ResolvedOptions, max: number): ResolvedOptions {
  const { maxSize, announcedMaxSize, hasOwnMaxSize } = options
  if (max === Infinity) return options
  return { ...options, maxSize: request => Math.min(max, maxSize(request)), announcedMaxSize: hasOwnMaxSize ? null : Math.min(max, announcedMaxSize ?? Infinity) }
}

function getFolder (name: string): string {
  return `/~${name.toLowerCase()}`
}

function prepare (instance: FastifyInstance, route: RouteOptions & { routePath: string }, { name, forTarget, forUpload }: TargetSite): void {
  const { constraints, routePath } = route
  // The body is a stream: there is nothing to validate.
  const { body: _body, ...first } = route.schema ?? {}
  const { headers: _headers, ...schema } = first
  const given = Object.fromEntries(SHARED.flatMap(name => route[name] === undefined ? [] : [[name, route[name]]]))
  Object.assign(route, {
    ...route.schema && { schema: first },
    preParsing: [...[route.preParsing ?? []].flat(), hideContentType],
    onSend: [...[route.onSend ?? []].flat(), sendAnswer, allowProtocols],
    handler: (request: FastifyRequest, reply: FastifyReply) => handle(forTarget(request), CREATION, request, reply)
  })
  acceptAnyContent(instance)
  const path = routePath.replace(/\/$/, '')
  const shared = { ...given, onSend: route.onSend!, exposeHeadRoute: false }
  instance.route({
    ...shared,
    // What the first request had to say in its headers is not said again.
    schema,
    preParsing: [takeId, ...[route.preParsing!].flat()],
    method: METHODS,
    url: `${path}${getFolder(name)}/*`,
    handler: (request, reply) => {
      const site = forUpload(request)
      return handle(site, getResourceVerbs(site.context), request, reply)
    }
  })
  if (instance.hasRoute({ method: 'OPTIONS', url: `${instance.prefix}${routePath}`, ...constraints && { constraints } })) return
  instance.route({ ...shared, preParsing: route.preParsing!, method: 'OPTIONS', url: routePath, handler: (request, reply) => handle(forTarget(request), DESCRIPTION, request, reply) })
}

/**
 * The bodies of these routes are read raw, whatever their type: no parser of the application may touch them. So their type is another one while Fastify looks
 * for a parser.
 */
function acceptAnyContent (instance: FastifyInstance): void {
  if (instance.hasContentTypeParser(RAW)) return
  instance.addContentTypeParser(RAW, (request, payload, done) => {
    const type = types.get(request)
    if (type === undefined) delete request.raw.headers['content-type']
    else request.raw.headers['content-type'] = type
    done(null, payload)
  })
}

/** The handler sees the parameters of the first request and no other; so does a schema for them. */
const takeId: preParsingHookHandler = (request, _reply, payload, done) => {
  const { '*': id = '', ...own } = request.params as Record<string, string>
  ids.set(request, id)
  request.params = own
  done(null, payload)
}

const hideContentType: preParsingHookHandler = (request, _reply, payload, done) => {
  if (!BODYLESS.has(request.method)) {
    types.set(request, request.raw.headers['content-type'])
    request.raw.headers['content-type'] = RAW
  }
  done(null, payload)
}

/** Runs the handler for a complete upload, and resolves when what it said is kept and on its way, or nobody is there to hear it. */
function answer (handler: Handler, instance: FastifyInstance, call: Call, upload: Upload, keep: Keep): Promise<void> {
  const { request, reply } = call
  request.upload = upload
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
    if (pending.has(reply) && !reply.sent && (result !== undefined || (isThenable(returned) && !isLater()))) reply.send(result)
  } catch (error) {
    if (pending.has(reply)) reply.send(error instanceof Error ? error : new Error('The handler failed', { cause: error }))
  }
}

function isThenable (value: unknown): boolean {
  return value !== null && typeof value === 'object' && 'then' in value
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
const sendAnswer: onSendHookHandler = (request, reply, payload, done) => {
  const open = pending.get(reply)
  const finish = (sent: unknown) => closeAfterUnreadBody(request, reply, () => done(null, replaceBody(reply, sent)))
  if (open === undefined) return finish(payload)
  pending.delete(reply)
  complete(open, reply, payload).then(finish, done).finally(open.resolve)
}

async function complete ({ call, upload, keep, headers: before }: Pending, reply: FastifyReply, payload: unknown): Promise<unknown> {
  const body = payload instanceof Response ? unpack(reply, payload) : payload
  const { answer, payload: sent } = await capture(reply.statusCode, reply.getHeaders(), body)
  // What failed on this side may succeed the next time.
  const isFinal = answer.status < 500
  if (isFinal) await keep(answer)
  const described = call.describe(isFinal ? { ...upload, purpose: { ...upload.purpose!, answer } } : upload)
  if (call.protocol.getMethod(call.message) !== 'HEAD') {
    reply.headers(call.protocol.encodeAnswered(described, answer).headers)
    return sent
  }
  // The client asked for the offset alone, and gets the rest when it asks for that.
  const { status, headers } = call.protocol.encodeInspected(described)
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
const ids = new WeakMap<FastifyRequest, string>()
const types = new WeakMap<FastifyRequest, string | undefined>()
const CREATION: Verbs = { POST: post, PUT: post, PATCH: post }
const DESCRIPTION: Verbs = { OPTIONS: describe }
/** What the uploads of a route have in common with it. */
const SHARED = [
  'onRequest', 'preValidation', 'preHandler', 'preSerialization', 'onResponse', 'onError', 'onTimeout', 'config', 'constraints', 'errorHandler', 'attachValidation',
  'validatorCompiler', 'serializerCompiler', 'schemaErrorFormatter', 'childLoggerFactory', 'logLevel', 'logSerializers'
] as const
/** POST is for tus clients that can't send another method. */
const METHODS: HTTPMethods[] = ['GET', 'HEAD', 'POST', 'PATCH', 'DELETE', 'OPTIONS']
const BODYLESS = new Set(['GET', 'HEAD', 'TRACE'])
/** How long a handler whose client has gone may take to answer by a callback, in ms, before another request gets the upload. */
const PATIENCE = 5 * 60_000
const LOOK_AGAIN = 200
const RAW = 'application/x-fastify-tus-raw'
