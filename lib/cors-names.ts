import type { FastifyCorsOptions } from '@fastify/cors'
import type { FastifyReply, onSendHookHandler } from 'fastify'

/** The methods and headers that browsers on other origins may use. */
export interface Names {
  readonly methods: string[]
  readonly allowedHeaders: string[]
  readonly exposedHeaders: string[]
}

/** Those of the protocols, and what `options` add to them. */
export function joinNames ({ methods, allowedHeaders, exposedHeaders }: FastifyCorsOptions): Names {
  return { methods: join(METHODS, methods), allowedHeaders: join(ALLOWED, allowedHeaders), exposedHeaders: join(EXPOSED, exposedHeaders) }
}

/**
 * Adds the names to those that a response has, if it is for an origin that may read it.
 *
 * @param names with how long the browser may remember them where the response does not say, in s; `null`: as long as it does by itself
 */
export function addNames ({ methods, allowedHeaders, exposedHeaders, maxAge }: Names & { readonly maxAge: number | null }): onSendHookHandler {
  const [addMethods, addAllowed, addExposed] = [
    createAdder('access-control-allow-methods', methods), createAdder('access-control-allow-headers', allowedHeaders), createAdder('access-control-expose-headers', exposedHeaders)
  ]
  return (_request, reply, payload, done) => {
    if (reply.hasHeader('access-control-allow-origin')) {
      addExposed(reply)
      if (reply.hasHeader('access-control-allow-methods')) {
        addMethods(reply)
        addAllowed(reply)
        if (maxAge !== null && !reply.hasHeader('access-control-max-age')) reply.header('access-control-max-age', String(maxAge))
      }
    }
    done(null, payload)
  }
}

function createAdder (header: string, names: readonly string[]): (reply: FastifyReply) => void {
  const all = names.join(', ')
  return reply => {
    const given = String(reply.getHeader(header) ?? '')
    if (given !== all) reply.header(header, join(parse(given), names).join(', '))
  }
}

/** Without repetition; the case of letters makes no difference. */
function join (names: readonly string[], more: string | readonly string[] | null | undefined): string[] {
  const all = [...names, ...typeof more === 'string' ? parse(more) : more ?? []]
  return [...new Map(all.toReversed().map(name => [name.toLowerCase(), name])).values()].toReversed()
}

function parse (list: string): string[] {
  return list.split(',').map(name => name.trim()).filter(name => name !== '')
}

const METHODS = ['GET', 'HEAD', 'POST', 'PUT', 'PATCH', 'DELETE', 'OPTIONS']
const ALLOWED = [
  'Authorization', 'Content-Disposition', 'Content-Digest', 'Content-Type', 'Repr-Digest', 'Tus-Resumable', 'Upload-Concat', 'Upload-Checksum',
  'Upload-Complete', 'Upload-Defer-Length', 'Upload-Draft-Interop-Version', 'Upload-Incomplete', 'Upload-Length', 'Upload-Metadata', 'Upload-Offset',
  'Want-Repr-Digest', 'X-HTTP-Method-Override', 'X-Request-ID', 'X-Requested-With'
]
const EXPOSED = [
  'Accept-Patch', 'Location', 'Repr-Digest', 'Retry-After', 'Tus-Checksum-Algorithm', 'Tus-Extension', 'Tus-Max-Size', 'Tus-Resumable', 'Tus-Version',
  'Upload-Complete', 'Upload-Concat', 'Upload-Defer-Length', 'Upload-Expires', 'Upload-Incomplete', 'Upload-Length', 'Upload-Limit', 'Upload-Metadata', 'Upload-Offset'
]
