import cors, { type FastifyCorsOptions } from '@fastify/cors'
import type { FastifyInstance, onSendHookHandler } from 'fastify'
import { answerPreflights, CORS_ROUTE, findTheirs, watchHooks, type CorsConfig, type CorsHook, type CorsScope, type Stage } from './cors-hooks.js'
import { addNames, joinNames } from './cors-names.js'
import { TUS_ERR_OPTION_INVALID } from './errors.js'

/** Opens routes to browsers on other origins. */
export interface Cors {
  /** Whether the option of the plugin says so; otherwise it is up to the @fastify/cors of the application alone. */
  readonly isOwn: boolean
  /** The `config` of a route that is about to be added to `instance`. */
  readonly prepare: <Config extends object>(instance: FastifyInstance, config: Config | undefined) => Config
  /** An `onSend` hook, which adds what the protocols need to what is allowed and exposed. */
  readonly addNames: onSendHookHandler
}

/**
 * Has @fastify/cors answer preflights, and add its headers to all other responses, before any hook of the application: a preflight has
 * no token, and a browser shows nothing of a 401 without these headers. Other OPTIONS requests reach the route.
 *
 * Where the application has registered @fastify/cors around a route, that one decides about the origin and whatever `options`
 * leave open. With `false`, it does so where it stands among the hooks.
 *
 * @throws TUS_ERR_OPTION_INVALID for options that @fastify/cors refuses, and for a delegator beside the @fastify/cors of the application
 */
export function createCors (app: FastifyInstance, options: false | FastifyCorsOptions): Cors {
  const policy = options === false ? null : createPolicy(app, options)
  const scopes = new WeakMap<FastifyInstance, CorsScope>()
  const enter = (instance: FastifyInstance): CorsScope => {
    const scope = policy === null ? CLOSED : createScope(instance, policy)
    scopes.set(instance, scope)
    watchHooks(instance, scope)
    return scope
  }
  return {
    isOwn: policy !== null,
    prepare (instance, config) {
      const { cors: own } = (config ?? {}) as CorsConfig
      const scope = scopes.get(instance) ?? enter(instance)
      const route = own === false ? {} : { ...policy && { cors: { ...policy.unseen, ...own } }, [CORS_ROUTE]: { scope, own: own ?? {} } }
      return { ...config!, ...route }
    },
    addNames: addNames(policy?.names ?? { ...joinNames({}), methods: [], maxAge: null })
  }
}

/** What the option of the plugin says. */
interface Policy {
  readonly stage: Stage
  /** Decides where the application has no @fastify/cors of its own. */
  readonly hook: CorsHook
  readonly hasDelegator: boolean
  readonly names: Parameters<typeof addNames>[0]
  /** What goes before the options of the @fastify/cors of the application. */
  readonly options: FastifyCorsOptions
  /** The same for one that is not recognized among the hooks: it adds its headers, and lets every OPTIONS request pass but preflights. */
  readonly unseen: FastifyCorsOptions
}

function createPolicy (app: FastifyInstance, given: FastifyCorsOptions): Policy {
  const defined = Object.fromEntries(Object.entries(given).filter(([, value]) => value !== undefined)) as FastifyCorsOptions
  const { hook: stage = 'onRequest', delegator, methods: _methods, allowedHeaders, exposedHeaders: _exposed, ...rest } = defined
  const options = {
    ...rest,
    // `null`: whatever headers the browser asks for.
    ...allowedHeaders === null && { allowedHeaders },
    // Of a route, @fastify/cors takes text alone.
    ...Number.isInteger(rest.cacheControl) && { cacheControl: `max-age=${rest.cacheControl}` }
  }
  const names = joinNames(defined)
  const policy: Policy = {
    stage,
    hook: createHook(app, { hook: stage, ...delegator ? { delegator } : { ...names, ...options } }),
    hasDelegator: delegator !== undefined,
    names: { ...names, maxAge: defined.maxAge === undefined ? MAX_AGE : null },
    options,
    unseen: { strictPreflight: false, ...options, preflightContinue: true }
  }
  checkDelegator(policy, isDecorated(app))
  return policy
}

/** The hook by which @fastify/cors works, without the route for OPTIONS that it registers for paths that have none. */
function createHook (app: FastifyInstance, options: FastifyCorsOptions): CorsHook {
  const hooks: CorsHook[] = []
  const nothing = { value: () => {} }
  const instance = Object.create(app, { addHook: { value: (_stage: string, hook: CorsHook) => { hooks.push(hook) } }, decorateRequest: nothing, options: nothing })
  cors(instance as FastifyInstance, options, error => {
    if (error) throw TUS_ERR_OPTION_INVALID({ option: 'cors', expected: `options for @fastify/cors (${error.message})` }, error)
  })
  return hooks[0]!
}

function createScope (instance: FastifyInstance, policy: Policy): CorsScope {
  const { stage, options, hook } = policy
  let first: CorsHook | null = null
  // Until then, the application may still register one.
  instance.addHook('onReady', async () => {
    const isBeside = findTheirs(instance) !== null || isDecorated(instance)
    checkDelegator(policy, isBeside)
    if (!isBeside) first = hook
    else first = findTheirs(instance) === null ? answerPreflights : findTheirs(instance, [stage])
  })
  return { stage, options, getFirst: () => first }
}

/** A decorator of a scope around this one that came later is not seen in here. */
function isDecorated (instance: FastifyInstance): boolean {
  for (let scope = instance; 'hasRequestDecorator' in scope; scope = Object.getPrototypeOf(scope)) if (scope.hasRequestDecorator(DECORATOR)) return true
  return false
}

function checkDelegator ({ hasDelegator }: Policy, isBeside: boolean): void {
  if (hasDelegator && isBeside) throw TUS_ERR_OPTION_INVALID({ option: 'cors', expected: 'without a delegator where @fastify/cors is registered around it' })
}

const CLOSED: CorsScope = { stage: 'onRequest', options: null, getFirst: () => null }
/** What @fastify/cors decorates requests with. */
const DECORATOR = 'corsPreflightEnabled'
/** How long a browser may remember what a preflight says, in s, where no one says otherwise. */
const MAX_AGE = 86_400
