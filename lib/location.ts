import type { FastifyRequest } from 'fastify'
import type { ResolvedOptions } from './options.js'

/**
 * The URL of an upload: absolute, from what the request says of scheme and host (`trustProxy` decides what that is).
 * Where that is not the form of a URL, a path: nothing that a client invents may end in a `Location`.
 */
export function getLocation ({ location, relativeLocation }: ResolvedOptions, request: FastifyRequest, id: string): string {
  if (location) return location(request, id)
  const path = `${getCollectionPath(request)}/${id}`
  const { protocol, host } = request
  return relativeLocation || !/^https?$/.test(protocol) || !HOST.test(host) ? path : `${protocol}://${host}${path}`
}

/** As the route has it; where the scope's prefix has parameters, as the request has it. */
function getCollectionPath ({ routeOptions, url }: FastifyRequest): string {
  const route = routeOptions.url!
  return (route.includes(':') ? url.replace(/[?#].*$/s, '') : route).replace(/\/\*?$/, '')
}

const HOST = /^(?:[A-Za-z0-9._-]+|\[[0-9A-Fa-f:.]+\])(?::\d{1,5})?$/
