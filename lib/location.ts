import type { FastifyRequest } from 'fastify'
import { getForwardedPrefix, getOrigin } from './forwarded.js'
import type { ResolvedOptions } from './options.js'
import { encodePrefix } from './prefix.js'
import { isValidId } from './upload.js'

/** The URL of an upload: absolute, below the one at which its client creates uploads; a path where nothing tells scheme and host. */
export function getLocation ({ relativeLocation }: ResolvedOptions, request: FastifyRequest, id: string): string {
  return toUrl(relativeLocation, request, `${getCollectionPath(request)}/${id}`)
}

/**
 * The URL of an upload that belongs to a request of the application: behind the one of that request, with the same query, which its handler may need at the end.
 *
 * @param below what leads from the URL of that request to the uploads of it
 */
export function getTargetLocation ({ relativeLocation }: ResolvedOptions, request: FastifyRequest, below: string, id: string): string {
  const [path = '', query] = removeOrigin(request.originalUrl).split(/\?(.*)/s)
  const clean = `/${path.split('/').filter(segment => segment !== '').map(encode).join('/')}`.replace(/^\/$/, '')
  const own = clean.endsWith(`${below}/${id}`) ? clean : `${clean}${below}/${id}`
  return toUrl(relativeLocation, request, query === undefined ? own : `${own}?${encode(query)}`)
}

/** What a client sent, without what may not be in a URL. */
function encode (text: string): string {
  return text.replace(/[^A-Za-z0-9._~!$&'()*+,;=:@%/?-]/g, character => encodeURIComponent(character))
}

function toUrl (relativeLocation: boolean, request: FastifyRequest, own: string): string {
  return `${relativeLocation ? '' : getOrigin(request)}${getForwardedPrefix(request)}${own}`
}

/** The id that the URL of an upload of a request of the application names; `null` if it names none. Whether it is one of the same request, the upload knows. */
export function getTargetIdOf (below: string, url: string): string | null {
  const [, id = ''] = parsePath(url, '')?.split(`${below}/`) ?? []
  return isValidId(id) ? id : null
}

/**
 * The id that a URL of this server names, absolute or relative; `null` if it names none. The host is not compared: it is the
 * client's own view of this server, and the id alone decides.
 */
export function getIdOf (request: FastifyRequest, url: string): string | null {
  const own = getCollectionPath(request)
  const path = parsePath(url, own)
  const slash = path?.lastIndexOf('/') ?? -1
  if (path === null || slash < 0) return null
  const id = path.slice(slash + 1)
  return decode(path.slice(0, slash)).endsWith(decode(own)) && isValidId(id) ? id : null
}

function parsePath (url: string, collection: string): string | null {
  try {
    const { protocol, pathname } = new URL(url, `http://localhost${collection}/`)
    return /^https?:$/.test(protocol) ? pathname : null
  } catch {
    return null
  }
}

/** Two ways to write a path are one path; what can't be decoded is the same in none. */
function decode (path: string): string {
  try {
    return decodeURI(path)
  } catch {
    return path
  }
}

/**
 * Where uploads are created, as the client sees it: as the route has it; where its prefix has parameters, or the application has rewritten the URL
 * (`rewriteUrl`), as the request had it.
 */
function getCollectionPath (request: FastifyRequest): string {
  const { prefix } = request.server
  return !prefix.includes(':') && request.originalUrl === request.url ? encodePrefix(prefix) : getRequestedCollection(request)
}

function getRequestedCollection ({ originalUrl, params }: FastifyRequest): string {
  const path = encode(removeOrigin(originalUrl).replace(/[?#].*$/s, ''))
  const isUpload = Boolean((params as { '*'?: string })['*'])
  return trimEnd(isUpload ? path.slice(0, path.lastIndexOf('/')) : path).replace(/^\/+/, '/')
}

/** Without slashes at the end: an expression would look at each of many slashes again and again. */
function trimEnd (path: string): string {
  let end = path.length
  while (path[end - 1] === '/') end--
  return path.slice(0, end)
}

/** A request to a proxy has it. */
function removeOrigin (url: string): string {
  return url.replace(/^[a-z][a-z0-9+.-]*:\/\/[^/?#]*/i, '')
}
