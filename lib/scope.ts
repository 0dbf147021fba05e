import type { FastifyRequest } from 'fastify'
import type { Context } from './context.js'
import { TUS_ERR_HOOK_RESULT } from './errors.js'
import { asRefusal } from './hooks.js'

/**
 * Which uploads a request may meet: those of its own scope, and those that have none. Two requests share uploads if this
 * gives the same string for both.
 *
 * Called once per request, after the application's hooks. What it throws refuses the request, as a `pre…` hook does.
 */
export type ScopeFunction = (request: FastifyRequest) => string | Promise<string>

/** The scopes of one registration. */
export interface Scopes {
  /** What every request has; `null` if that depends on the request. */
  readonly fixed: string | null
  readonly get: ScopeFunction
  /** Whether it is the application that decides. */
  readonly isOwn: boolean
  /** Whether a request of this registration may have that scope: `true` where nobody can tell. */
  readonly mayInclude: (scope: string) => boolean
}

/**
 * By default the scope is the prefix of the routes, with the parameters that the request has in it, percent-encoded: that of
 * `/t/:tenant/files` is `/t/a/files`, however the client writes the `a`.
 *
 * @param prefix the whole, of the scopes around it too; empty for the root
 */
export function createScopes (own: ScopeFunction | null, prefix: string): Scopes {
  if (own !== null) return { fixed: null, get: request => ask(own, request), isOwn: true, mayInclude: () => true }
  const pieces = parsePrefix(prefix === '' ? '/' : prefix)
  if (pieces.every(({ name }) => name === null)) {
    const fixed = pieces.map(({ text }) => text).join('')
    return { fixed, get: () => fixed, isOwn: false, mayInclude: scope => scope === fixed }
  }
  const pattern = new RegExp(`^${pieces.map(({ text, name }) => escapeRegExp(text) + (name === null ? '' : '[^/]*')).join('')}$`)
  return { fixed: null, get: ({ params }) => resolve(pieces, params as Params), isOwn: false, mayInclude: scope => pattern.test(scope) }
}

/** What operations need for the uploads of one request. */
export type Enter = (request: FastifyRequest) => Promise<Context> | Context

/** For routes whose requests have the scopes of the registration. */
export function createEntrance (context: Context): Enter {
  const { fixed } = context.scopes
  if (fixed === null) return request => enterScope(context, request)
  const entered = { ...context, scope: fixed }
  return () => entered
}

export function enterScope (context: Context, request: FastifyRequest): Promise<Context> | Context {
  const scope = context.scopes.get(request)
  return typeof scope === 'string' ? { ...context, scope } : scope.then(scope => ({ ...context, scope }))
}

/** A function that fails must not mean that there are no tenants. */
async function ask (own: ScopeFunction, request: FastifyRequest): Promise<string> {
  const scope: unknown = await call(own, request)
  if (typeof scope !== 'string') throw TUS_ERR_HOOK_RESULT({ hook: 'scope', expected: 'a string' })
  return scope
}

async function call (own: ScopeFunction, request: FastifyRequest): Promise<unknown> {
  try {
    return await own(request)
  } catch (error) {
    throw asRefusal('scope', error, request.log)
  }
}

type Params = Readonly<Record<string, unknown>>

/** A piece of a prefix: what is written, and the parameter that follows; `null` for none. */
interface Piece {
  readonly text: string
  readonly name: string | null
}

/** As Fastify's router reads it: a name ends where a regular expression, `-`, `.` or `/` begins, and `::` is a colon. */
function parsePrefix (prefix: string): Piece[] {
  const [, text = '', name] = /^((?:::|[^:])*)(?::([^/().-]*))?/.exec(prefix)!
  const length = text.length + (name === undefined ? 0 : name.length + 1)
  const rest = skipExpression(prefix.slice(length))
  const piece = { text: text.replaceAll('::', ':'), name: name ?? null }
  return rest === '' ? [piece] : [piece, ...parsePrefix(rest)]
}

/** What follows the regular expression of a parameter. */
function skipExpression (text: string): string {
  if (!text.startsWith('(')) return text
  let depth = 0
  for (let i = 0; i < text.length; i++) {
    if (text[i] === '\\') i++
    else if (text[i] === '(') depth++
    else if (text[i] === ')' && --depth === 0) return text.slice(i + 1)
  }
  return ''
}

/** Encoded again, so that no two values make the same text. */
function resolve (pieces: readonly Piece[], params: Params): string {
  return pieces.map(({ text, name }) => name === null ? text : `${text}${encodeURIComponent(String(params[name] ?? ''))}`).join('')
}

function escapeRegExp (text: string): string {
  return text.replace(/[\\^$.*+?()[\]{}|]/g, '\\$&')
}
