import type { FastifyRequest } from 'fastify'

/**
 * Scheme, host and port that a client has asked, such as `https://example.org:8443`: `trustProxy` decides what that is. Of a trusted proxy, `X-Forwarded-Port`
 * counts where the host has no port, and the default port of the scheme is left out.
 *
 * Empty where that is not the form of a URL: nothing that a client invents may end in a `Location`.
 */
export function getOrigin (request: FastifyRequest): string {
  const { protocol, host } = request
  const [, name, given] = (host.length <= LONGEST && HOST.exec(host)) || []
  if (name === undefined || !Object.hasOwn(DEFAULT_PORTS, protocol) || (given !== undefined && !isPort(given))) return ''
  const forwarded = given ?? getForwardedPort(request)
  const isProxys = given === undefined || getForwarded(request, 'x-forwarded-host') !== null
  const port = forwarded === null || (isProxys && Number(forwarded) === DEFAULT_PORTS[protocol]) ? '' : `:${forwarded}`
  return `${protocol}://${name}${port}`
}

/** A prefix that a trusted proxy took off the path, in the form of a path and nothing else; empty where there is none. */
export function getForwardedPrefix (request: FastifyRequest): string {
  const prefix = getForwarded(request, 'x-forwarded-prefix') ?? ''
  return prefix.length <= LONGEST && FORWARDED_PREFIX.test(prefix) ? prefix.replace(/\/$/, '') : ''
}

function getForwardedPort (request: FastifyRequest): string | null {
  const port = getForwarded(request, 'x-forwarded-port')
  return port !== null && isPort(port) ? port : null
}

/** Of several values the last one counts, which is that of the nearest proxy: Fastify does so with host and scheme. */
function getForwarded (request: FastifyRequest, name: string): string | null {
  const value = request.headers[name]
  return typeof value === 'string' && isFromTrustedProxy(request) ? value.slice(value.lastIndexOf(',') + 1).trim() : null
}

/** Fastify does not tell whom it trusts; it takes the host from whom it does. */
function isFromTrustedProxy (request: FastifyRequest): boolean {
  const probe = Object.create(request, { headers: { value: { 'x-forwarded-host': PROBE } } }) as FastifyRequest
  return probe.host === PROBE
}

function isPort (port: string): boolean {
  return /^[1-9]\d{0,4}$/.test(port) && Number(port) < 65_536
}

const PROBE = 'probe.invalid'
const DEFAULT_PORTS: Readonly<Record<string, number>> = { http: 80, https: 443 }
/** Of a host, and of the prefix that a proxy took off: more is nobody's address. */
const LONGEST = 255
const HOST = /^([A-Za-z0-9._-]+|\[[0-9A-Fa-f:.]+\])(?::(\d+))?$/
/** Without dot segments, and without escapes that others take for a dot, a slash or a control character. */
const FORWARDED_PREFIX = /^(?:\/(?:[A-Za-z0-9_~-]|%(?!2[EF]|5C|7F|[01])[0-9A-F]{2})(?:[A-Za-z0-9._~-]|%(?!2[EF]|5C|7F|[01])[0-9A-F]{2})*)+\/?$/i
