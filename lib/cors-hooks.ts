import type { FastifyCorsOptions } from '@fastify/cors'
import type { FastifyInstance, FastifyReply, FastifyRequest } from 'fastify'
import { addFirstHook, listHooks, replaceHooks, type AnyHook } from './hook-lists.js'

export type Stage = NonNullable<FastifyCorsOptions['hook']>
/** A hook of @fastify/cors. In some stages there is a payload in front of the callback. */
export type CorsHook = (request: FastifyRequest, reply: FastifyReply, ...rest: unknown[]) => unknown

/** How the routes of one scope are open to other origins. */
export interface CorsScope {
  readonly stage: Stage
  /** Options that go before those of the @fastify/cors that decides; `null` where none are given. */
  readonly options: FastifyCorsOptions | null
  /** What runs before all other hooks of the stage; `null`: nothing does. */
  readonly getFirst: () => CorsHook | null
}

/** What the `config` of a route has, beside what the application said there to @fastify/cors. */
export interface CorsRoute {
  readonly scope: CorsScope
  readonly own: FastifyCorsOptions
}

export const CORS_ROUTE = Symbol('fastify-tus.cors')
export type CorsConfig = { readonly cors?: false | FastifyCorsOptions, readonly [CORS_ROUTE]?: CorsRoute }

/** Has the @fastify/cors of the application, where it has one, leave to us what is no preflight; and puts a hook in front of all others. */
export function watchHooks (instance: FastifyInstance, { stage, options }: CorsScope): void {
  for (const name of STAGES) replaceHooks(instance, name, hook => isTheirs(hook) ? replace(hook as CorsHook) : hook)
  if (options !== null) addFirstHook(instance, stage, FIRST[stage])
}

/** The hook of the @fastify/cors that the application has registered around the routes of `instance`. */
export function findTheirs (instance: FastifyInstance, stages: readonly Stage[] = STAGES): CorsHook | null {
  return stages.flatMap(stage => listHooks(instance, stage)).find(isTheirs) as CorsHook | undefined ?? null
}

/**
 * Has the @fastify/cors of the application answer a preflight where it stands, although it is not recognized among the hooks: a framework, such as Nest,
 * may call it from a hook of its own. From version 11.2 on, it reads in the `config` of a route whether to continue.
 */
export const answerPreflights: CorsHook = (request, _reply, ...rest) => {
  const { cors } = request.routeOptions.config as CorsConfig
  if (cors && isPreflight(request) && cors.preflightContinue !== true) {
    const { routeOptions } = withOptions(request, { ...cors, preflightContinue: false })
    Object.defineProperty(request, 'routeOptions', { value: routeOptions, configurable: true })
  }
  getNext(rest)()
}

/** Whether this is how @fastify/cors, and no route, answers a preflight. */
export function isPreflightAnswer (reply: FastifyReply): boolean {
  return answers.has(reply)
}

function isTheirs (hook: AnyHook): boolean {
  return hook.name === NAME
}

/** In the place of the hook of the application. For routes that are none of ours, nothing changes. */
function replace (hook: CorsHook): AnyHook {
  if (originals.has(hook)) return hook
  const inPlace: CorsHook = (request, reply, ...rest) => {
    const route = getRoute(request)
    if (route === undefined) return hook(request, reply, ...rest)
    return route.scope.getFirst() === inPlace ? getNext(rest)() : run(hook, route, request, reply, rest)
  }
  originals.set(inPlace, hook)
  return Object.defineProperty(inPlace, 'name', { value: NAME })
}

function createFirst (stage: Stage): CorsHook {
  return (request, reply, ...rest) => {
    const route = getRoute(request)
    const hook = route?.scope.stage === stage ? route.scope.getFirst() : null
    return route === undefined || hook === null ? getNext(rest)() : run(originals.get(hook) ?? hook, route, request, reply, rest)
  }
}

function run (hook: CorsHook, { scope, own }: CorsRoute, request: FastifyRequest, reply: FastifyReply, rest: unknown[]): unknown {
  const options = { ...scope.options, ...own }
  if (request.raw.method !== 'OPTIONS') return hook(withOptions(request, options), reply, ...rest)
  if (!isPreflight(request)) return hook(leaveToRoute(request, options), reply, ...rest)
  answers.add(reply)
  const next = (...results: unknown[]) => {
    answers.delete(reply)
    getNext(rest)(...results)
  }
  return hook(withOptions(request, options), reply, ...rest.slice(0, -1), next)
}

/** "A CORS-preflight request is a CORS request that checks to see if the CORS protocol is understood": Fetch Standard. */
function isPreflight ({ headers }: FastifyRequest): boolean {
  return Boolean(headers.origin) && Boolean(headers['access-control-request-method'])
}

/** To @fastify/cors, every OPTIONS request is a preflight, perhaps a wrong one. `strictPreflight` decides about that, if it is given for these routes. */
function leaveToRoute (request: FastifyRequest, options: FastifyCorsOptions): FastifyRequest {
  if (options.strictPreflight !== undefined) return withOptions(request, { ...options, preflightContinue: true })
  return substitute(withOptions(request, options), 'raw', Object.create(request.raw, { method: { value: 'GET' } }))
}

/** The request as @fastify/cors is to see it. From version 11.2 on, it reads the options of a route from its `config`. */
function withOptions (request: FastifyRequest, options: FastifyCorsOptions): FastifyRequest {
  const { routeOptions } = request
  const config = { ...routeOptions.config, cors: options }
  return substitute(request, 'routeOptions', { ...routeOptions, config })
}

function substitute<Name extends keyof FastifyRequest> (request: FastifyRequest, property: Name, value: FastifyRequest[Name]): FastifyRequest {
  return new Proxy(request, { get: (target, name) => name === property ? value : Reflect.get(target, name) })
}

function getRoute (request: FastifyRequest): CorsRoute | undefined {
  return (request.routeOptions.config as CorsConfig | undefined)?.[CORS_ROUTE]
}

function getNext (rest: unknown[]): (...results: unknown[]) => void {
  return rest.at(-1) as () => void
}

/** The name that @fastify/cors gives its hook, in all versions for Fastify 5. */
const NAME = 'handleCors'
const STAGES = ['onRequest', 'preParsing', 'preValidation', 'preHandler', 'preSerialization'] as const
const FIRST = Object.fromEntries(STAGES.map(stage => [stage, createFirst(stage)])) as Record<Stage, CorsHook>
/** Of a hook that has taken the place of another one, that one. */
const originals = new WeakMap<CorsHook, CorsHook>()
const answers = new WeakSet<FastifyReply>()
