import type {
  ContextConfigDefault, FastifyBaseLogger, FastifyInstance, FastifyReply, FastifyRequest, FastifySchema, FastifyTypeProvider, FastifyTypeProviderDefault, HTTPMethods,
  preParsingHookHandler, RawReplyDefaultExpression, RawRequestDefaultExpression, RawServerBase, RawServerDefault, RouteGenericInterface, RouteHandlerMethod, RouteOptions
} from 'fastify'
import { watchAnswers } from './answered.js'
import type { Context } from './context.js'
import type { Cors } from './cors.js'
import { TUS_ERR_ROUTE_INVALID } from './errors.js'
import { answer, sendAnswer, type Handler } from './handler-answer.js'
import { addFirstHook } from './hook-lists.js'
import { getTargetIdOf, getTargetLocation } from './location.js'
import { createDescription, type OwnLabels, type Resource } from './openapi/document.js'
import type { ResolvedOptions } from './options.js'
import { selectForTarget, selectProtocol } from './protocols/select.js'
import { handle, type Site } from './routes.js'
import { enterScope } from './scope.js'
import { describe, getResourceVerbs, post, type Verbs } from './verbs.js'

/**
 * A function that stands for a handler until its route is known. Of the types of a handler, all that the route knows are known inside of it: the type
 * parameters are those of Fastify's own, for that alone.
 */
export type MakeResumable = <
  RouteGeneric extends RouteGenericInterface = RouteGenericInterface,
  ContextConfig = ContextConfigDefault,
  SchemaCompiler extends FastifySchema = FastifySchema,
  TypeProvider extends FastifyTypeProvider = FastifyTypeProviderDefault,
  Logger extends FastifyBaseLogger = FastifyBaseLogger,
  RawServer extends RawServerBase = RawServerDefault,
  RawRequest extends RawRequestDefaultExpression<RawServer> = RawRequestDefaultExpression<RawServer>,
  RawReply extends RawReplyDefaultExpression<RawServer> = RawReplyDefaultExpression<RawServer>
>(
  handler: RouteHandlerMethod<RawServer, RawRequest, RawReply, RouteGeneric, ContextConfig, SchemaCompiler, TypeProvider, Logger>
) => RouteHandlerMethod<RawServer, RawRequest, RawReply, RouteGeneric, ContextConfig, SchemaCompiler, TypeProvider, Logger>

/**
 * Makes routes of the application accept resumable uploads: the handler runs when the whole representation is there.
 *
 * A route with such a handler gets a sibling for the uploads that are created at it, below its own path and with its own hooks, so that whoever may not
 * use the route may not go on with an upload of it either.
 */
export function createResumable (app: FastifyInstance, context: Context, cors: Cors): MakeResumable {
  const handlers = new WeakMap<object, Handler>()
  const routes = new WeakMap<object, Prepared>()
  // Before an `onRoute` hook of the application can wrap the handler, as @fastify/websocket and tracers do.
  addFirstHook(app, 'onRoute', (route: RouteOptions) => {
    const first = firstRoutes.get(route.handler)
    if (first !== undefined) followGuards(route, first)
    const handler = handlers.get(route.handler)
    if (handler === undefined) return
    const prepared: Prepared = { handler, respond: refuseRoute }
    route.handler = (request, reply) => prepared.respond(request, reply)
    routes.set(route, prepared)
  })
  app.addHook('onRoute', function (route) {
    const prepared = routes.get(route)
    if (prepared !== undefined) prepared.respond = prepare(this, route, createSite(context, route, prepared.handler, this), cors)
  })
  return handler => {
    const mark = () => refuseRoute()
    handlers.set(mark, handler as unknown as Handler)
    return mark as unknown as typeof handler
  }
}

/** What a route does that this plugin was not told of. */
function refuseRoute (): never {
  throw TUS_ERR_ROUTE_INVALID({ expected: 'registered in the scope that has app.tus, or inside of it' })
}

/** A route between the first and the last look at its options. */
interface Prepared {
  readonly handler: Handler
  respond: Respond
}

type Respond = (request: FastifyRequest, reply: FastifyReply) => unknown

interface TargetSite {
  readonly name: string
  /** The `config` of the route for its uploads and of the one for OPTIONS, beside what the application has there. */
  readonly document: (resource: Resource) => object
  readonly forTarget: (request: FastifyRequest) => Site
  readonly forUpload: (request: FastifyRequest) => Site
}

/** Which uploads belong to which requests: those of the same route with the same parameters. */
function createSite (context: Context, { method, url, config, schema, constraints, bodyLimit }: RouteOptions, handler: Handler, instance: FastifyInstance): TargetSite {
  const options = limitSize(context.options, bodyLimit ?? Infinity)
  const name = String([method].flat()[0])
  if (url.includes('*')) throw TUS_ERR_ROUTE_INVALID({ expected: 'without a wildcard' })
  const site: Omit<Site, 'context' | 'select' | 'enter'> = {
    locate: (request, id) => getTargetLocation(options, request, getFolder(name), id),
    own: null,
    getIdOf: (_request, url) => getTargetIdOf(getFolder(name), url),
    getId: request => ids.get(request) ?? '',
    answer: call => (upload, keep) => answer(handler, instance, call, upload, keep)
  }
  const create = (request: FastifyRequest, select: Site['select']): Site => {
    const own = { ...context, options, target: getTarget(name, url, constraints, request) }
    return { ...site, context: own, select, enter: request => context.scopes.isOwn ? enterScope(own, request) : own }
  }
  return {
    name,
    document: resource => ({ ...config, ...createDescription(context, resource, schema as OwnLabels | undefined) }),
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
  const limit = (own: number) => Math.min(max, own)
  return {
    ...options,
    maxSize (request, id) {
      const own = maxSize(request, id)
      return typeof own === 'number' ? limit(own) : own.then(limit)
    },
    announcedMaxSize: hasOwnMaxSize ? null : Math.min(max, announcedMaxSize ?? Infinity)
  }
}

function getFolder (name: string): string {
  return `/~${name.toLowerCase()}`
}

/** Returns what handles a request to the route. */
function prepare (instance: FastifyInstance, route: RouteOptions & { routePath: string }, { name, document, forTarget, forUpload }: TargetSite, cors: Cors): Respond {
  const { constraints, routePath } = route
  // The body is a stream: there is nothing to validate.
  const { body: _body, ...first } = route.schema ?? {}
  const { headers: _headers, ...schema } = first
  const given = Object.fromEntries(SHARED.flatMap(name => route[name] === undefined ? [] : [[name, route[name]]]))
  Object.assign(route, {
    ...route.schema && { schema: first },
    preParsing: [...[route.preParsing ?? []].flat(), hideContentType],
    onSend: [...[route.onSend ?? []].flat(), sendAnswer, cors.addNames],
    config: cors.prepare(instance, route.config)
  })
  acceptAnyContent(instance)
  watchAnswers(instance)
  const path = routePath.replace(/\/$/, '')
  const shared = { ...given, onSend: route.onSend!, exposeHeadRoute: false }
  const answerForUpload: Handler = (request, reply) => {
    const site = forUpload(request)
    return handle(site, getResourceVerbs(site.context), request, reply)
  }
  firstRoutes.set(answerForUpload, route)
  instance.route({
    ...shared,
    config: cors.prepare(instance, document('target-upload')),
    // What the first request had to say in its headers is not said again.
    schema,
    preParsing: [takeId, ...[route.preParsing!].flat()],
    method: METHODS,
    url: `${path}${getFolder(name)}/*`,
    handler: answerForUpload
  })
  const respond: Respond = (request, reply) => handle(forTarget(request), CREATION, request, reply)
  if (instance.hasRoute({ method: 'OPTIONS', url: `${instance.prefix}${routePath}`, ...constraints && { constraints } })) return respond
  instance.route({ ...shared, config: cors.prepare(instance, document('target')), preParsing: route.preParsing!, method: 'OPTIONS', url: routePath, handler: (request, reply) => handle(forTarget(request), DESCRIPTION, request, reply) })
  return respond
}

/**
 * What the application adds to the first route later, in `onRoute` hooks behind this plugin's, guards its uploads, too, even
 * if it is meant for its method or its URL alone.
 */
function followGuards (route: RouteOptions, first: RouteOptions): void {
  for (const name of GUARDS) {
    let own = toList(route[name])
    const get = () => {
      own.push(...toList(first[name]).filter(hook => !own.includes(hook)))
      // The same list each time: another hook may add to it.
      return own
    }
    Object.defineProperty(route, name, { enumerable: true, configurable: true, get, set: value => { own = toList(value) } })
  }
}

function toList (hooks: unknown): unknown[] {
  return [hooks ?? []].flat()
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

/** By the handler for the uploads of a route, that route. */
const firstRoutes = new WeakMap<object, RouteOptions>()
const ids = new WeakMap<FastifyRequest, string>()
const types = new WeakMap<FastifyRequest, string | undefined>()
const CREATION: Verbs = { POST: post, PUT: post, PATCH: post }
const DESCRIPTION: Verbs = { OPTIONS: describe }
/** The hooks that may refuse a request. */
const GUARDS = ['onRequest', 'preParsing', 'preValidation', 'preHandler'] as const
/** What the uploads of a route have in common with it. */
const SHARED = [
  'onRequest', 'preValidation', 'preHandler', 'preSerialization', 'onResponse', 'onError', 'onTimeout', 'config', 'constraints', 'errorHandler', 'attachValidation',
  'validatorCompiler', 'serializerCompiler', 'schemaErrorFormatter', 'childLoggerFactory', 'logLevel', 'logSerializers'
] as const
/** POST and PUT are for tus clients that can't send another method. */
const METHODS: HTTPMethods[] = ['GET', 'HEAD', 'POST', 'PUT', 'PATCH', 'DELETE', 'OPTIONS']
const BODYLESS = new Set(['GET', 'HEAD', 'TRACE'])
const RAW = 'application/x-fastify-tus-raw'
