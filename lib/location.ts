import type { FastifyRequest } from 'fastify'
import type { ResolvedOptions } from './options.js'
import { isValidId } from './upload.js'

/**
 * The URL of an upload: absolute, from what the request says of scheme and host (`trustProxy` decides what that is).
 * Where that is not the form of a URL, a path: nothing that a client invents may end in a `Location`.
 */
export function getLocation ({ location, relativeLocation }: ResolvedOptions, request: FastifyRequest, id: string): string {
  if (location) return location(request, id)
  return toUrl(relativeLocation, request, `${getCollectionPath(request)}/${id}`)
}

/**
 * The URL of an upload that belongs to a request of the application: behind the one of that request, with the same query, which its handler may need at the end.
 *
 * @param below what leads from the URL of that request to the uploads of it
 */
export function getTargetLocation ({ relativeLocation }: ResolvedOptions, request: FastifyRequest, below: string, id: string): string {
  const [path = '', query] = request.url.replace(/^[a-z][a-z0-9+.-]*:\/\/[^/]*/i, '').split(/\?(.*)/s)
  const clean = `/${path.split('/').filter(segment => segment !== '').map(encode).join('/')}`.replace(/^\/$/, '')
  const own = clean.endsWith(`${below}/${id}`) ? clean : `${clean}${below}/${id}`
  return toUrl(relativeLocation, request, query === undefined ? own : `${own}?${encode(query)}`)
}

/** What a client sent, without what may not be in a URL. */
function encode (text: string): string {
  return text.replace(/[^A-Za-z0-9._~!$&'()*+,;=:@%/?-]/g, character => encodeURIComponent(character))
}

function toUrl (relativeLocation: boolean, request: FastifyRequest, own: string): string {
  const path = `${getForwardedPrefix(request)}${own}`
  const { protocol, host } = request
  return relativeLocation || !/^https?$/.test(protocol) || host.length > LONGEST || !HOST.test(host) ? path : `${protocol}://${host}${path}`
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
export function getIdOf ({ location }: ResolvedOptions, request: FastifyRequest, url: string): string | null {
  const path = parsePath(url, getCollectionPath(request))
  const slash = path?.lastIndexOf('/') ?? -1
  if (path === null || slash < 0) return null
  const id = path.slice(slash + 1)
  const collection = path.slice(0, slash)
  const ours = location ? location(request, id) === url : collection.endsWith(getCollectionPath(request))
  return ours && isValidId(id) ? id : null
}

function parsePath (url: string, collection: string): string | null {
  try {
    return new URL(url, `http://localhost${collection}/`).pathname
  } catch {
    return null
  }
}

/** A prefix that a trusted proxy took off the path, in the form of a path and nothing else. */
function getForwardedPrefix ({ headers, ips }: FastifyRequest): string {
  const prefix = headers['x-forwarded-prefix']
  const trusted = ips !== undefined && ips.length > 1
  return trusted && typeof prefix === 'string' && prefix.length <= LONGEST && FORWARDED_PREFIX.test(prefix) ? prefix.replace(/\/$/, '') : ''
}

/** As the route has it; where the scope's prefix has parameters, as the request has it. */
function getCollectionPath ({ server, url }: FastifyRequest): string {
  const { prefix } = server
  return prefix.includes(':') ? url.replace(/[?#].*$/s, '').replace(/\/\*?$/, '') : prefix
}

/** Of a host, and of the prefix that a proxy took off: more is nobody's address. */
const LONGEST = 255
const FORWARDED_PREFIX = /^(?:\/[A-Za-z0-9_~-][A-Za-z0-9._~-]*)+\/?$/
const HOST = /^(?:[A-Za-z0-9._-]+|\[[0-9A-Fa-f:.]+\])(?::\d{1,5})?$/
