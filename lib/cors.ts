import cors, { type FastifyCorsOptions } from '@fastify/cors'
import type { FastifyInstance, FastifyReply, onSendHookHandler } from 'fastify'
import { TUS_ERR_OPTION_INVALID } from './errors.js'

/**
 * Lets browsers use the routes that are registered on `scope` afterwards, with every header of tus. What `options` say wins.
 *
 * Where the application has registered @fastify/cors around this scope, a second one would be an error of Fastify. So that one goes on deciding, about the
 * origin and whatever `options` leave open, and each of our routes tells it what is different here.
 *
 * @throws TUS_ERR_OPTION_INVALID for a delegator beside the application's own cors, which would never be asked
 */
export async function registerCors (scope: FastifyInstance, options: FastifyCorsOptions): Promise<void> {
  const beside = scope.hasRequestDecorator('corsPreflightEnabled')
  if (beside && options.delegator) throw TUS_ERR_OPTION_INVALID({ option: 'cors', expected: 'without a delegator where @fastify/cors is registered around it' })
  const wanted = beside ? { ...DEFAULTS, ...getGiven(options), ...DISCOVERY } : getCorsOptions(options)
  if (!beside) await scope.register(cors, wanted)
  else scope.addHook('onSend', addHeaders(options))
  // A delegator decides per request; nothing that is fixed may stand in front of it.
  if (options.delegator) return
  scope.addHook('onRoute', route => { route.config = { ...{ cors: wanted }, ...route.config } })
}

/** Options for an instance of @fastify/cors of our own. */
export function getCorsOptions (options: FastifyCorsOptions): FastifyCorsOptions {
  return { ...DEFAULTS, allowedHeaders: [...ALLOWED], exposedHeaders: [...EXPOSED], ...getGiven(options), ...DISCOVERY }
}

function getGiven (options: FastifyCorsOptions): FastifyCorsOptions {
  return Object.fromEntries(Object.entries(options).filter(([, value]) => value !== undefined))
}

/** Adds the headers of tus to those that the application's own cors names. */
function addHeaders ({ allowedHeaders, exposedHeaders }: FastifyCorsOptions): onSendHookHandler {
  return (_request, reply, payload, done) => {
    if (reply.hasHeader('access-control-allow-origin')) {
      if (exposedHeaders === undefined) addToList(reply, 'access-control-expose-headers', EXPOSED)
      if (allowedHeaders === undefined && reply.hasHeader('access-control-allow-methods')) addToList(reply, 'access-control-allow-headers', ALLOWED)
    }
    done(null, payload)
  }
}

/** Lets the browsers of those origins that the application allows at a route of its own use it in both protocols. */
export const allowProtocols = addHeaders({})

function addToList (reply: FastifyReply, header: string, names: readonly string[]): void {
  const listed = String(reply.getHeader(header) ?? '').split(',').map(name => name.trim()).filter(name => name !== '')
  const known = new Set(listed.map(name => name.toLowerCase()))
  reply.header(header, [...listed, ...names.filter(name => !known.has(name.toLowerCase()))].join(', '))
}

const DEFAULTS = { methods: ['GET', 'HEAD', 'POST', 'PUT', 'PATCH', 'DELETE', 'OPTIONS'], maxAge: 86_400 }
/** OPTIONS without Origin is how tus clients discover the server: it must reach our own route. */
const DISCOVERY = { strictPreflight: false, preflightContinue: true } as const
const ALLOWED = [
  'Authorization', 'Content-Disposition', 'Content-Digest', 'Content-Type', 'Repr-Digest', 'Tus-Resumable', 'Upload-Concat', 'Upload-Checksum',
  'Upload-Complete', 'Upload-Defer-Length', 'Upload-Draft-Interop-Version', 'Upload-Length', 'Upload-Metadata', 'Upload-Offset', 'Want-Repr-Digest',
  'X-HTTP-Method-Override', 'X-Request-ID', 'X-Requested-With'
] as const
const EXPOSED = [
  'Accept-Patch', 'Location', 'Repr-Digest', 'Retry-After', 'Tus-Checksum-Algorithm', 'Tus-Extension', 'Tus-Max-Size', 'Tus-Resumable', 'Tus-Version',
  'Upload-Complete', 'Upload-Concat', 'Upload-Defer-Length', 'Upload-Expires', 'Upload-Length', 'Upload-Limit', 'Upload-Metadata', 'Upload-Offset'
] as const
