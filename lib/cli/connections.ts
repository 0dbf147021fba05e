import type { FastifyHttpOptions, RawServerDefault } from 'fastify'
import type { ServeFlags } from './flags.js'

type Timeouts = Pick<FastifyHttpOptions<RawServerDefault>, 'http' | 'keepAliveTimeout' | 'requestTimeout'>

/** What bounds connections in time. A body may take as long as it likes: `stallTimeout` and `minRate` see to it that bytes come. */
export function limitConnections ({ headersTimeout }: ServeFlags): Timeouts {
  return {
    http: { headersTimeout, requestTimeout: 0, connectionsCheckingInterval: CHECK },
    requestTimeout: 0,
    keepAliveTimeout: KEEP_ALIVE
  }
}

/** How often to look for connections whose time is over, in ms. */
const CHECK = 2_000
/** How long a connection may wait for its next request, in ms: longer than the minute that proxies keep theirs, so that the proxy closes first. */
const KEEP_ALIVE = 72_000
