import Fastify, { type FastifyInstance } from 'fastify'
import type { AddressInfo } from 'node:net'
import fastifyTus from '../index.js'
import { limitConnections } from './connections.js'
import type { ServeFlags } from './flags.js'
import { registerPage } from './page.js'
import { exposeMetrics } from './metrics.js'
import { stopOnSignals } from './stop.js'
import { createStorage } from './storage.js'

/** Starts a server, which stops in order at SIGTERM and SIGINT, and resolves to the URL where uploads are created. */
export async function serve (flags: ServeFlags): Promise<string> {
  const app = Fastify({
    logger: { level: flags.logLevel, stream: process.stderr },
    trustProxy: flags.trustProxy ?? false,
    ...limitConnections(flags),
    // While it stops, HEAD is answered as ever: tus-js-client takes a 5xx for an upload that is lost, and starts from byte 0.
    return503OnClosing: false,
    ...flags.tusdUrls && { rewriteUrl: rewriteTusdUrl }
  })
  app.get('/health', async () => ({ status: 'ok' }))
  if (flags.page) registerPage(app, flags)
  await app.register(fastifyTus, {
    prefix: flags.prefix,
    storage: await createStorage(flags),
    maxSize: flags.maxSize,
    // Not long after they expire they are gone: uploads that live shorter are looked for more often.
    ...flags.expire !== null && { expiration: { incomplete: flags.expire, sweepInterval: Math.min(SWEEP, Math.max(1000, flags.expire)) } },
    ...await exposeMetrics(app, flags),
    download: flags.download,
    protocols: flags.ietf ? ['tus', 'ietf'] : ['tus'],
    cors: flags.cors === null ? false : { origin: flags.cors }
  })
  if (flags.maxConnections !== null) app.server.maxConnections = flags.maxConnections
  stopOnSignals(app)
  await app.listen({ host: flags.host, port: flags.port })
  return getUrl(app, flags)
}

function getUrl (app: FastifyInstance, { host, prefix }: ServeFlags): string {
  const { port } = app.server.address() as AddressInfo
  return `http://${host.includes(':') ? `[${host}]` : host}:${port}${prefix}`
}

/**
 * tusd names an upload on S3 by an id, `+`, and the id of the multipart upload; this server by the first alone. Takes time in proportion to the length
 * of the URL.
 */
export function rewriteTusdUrl ({ url = '/' }: { readonly url?: string | undefined }): string {
  return url.replace(/^([^?]*\/[^/?+%]*(?:%(?!2B)[^/?+%]*)*)(?:\+|%2B)[^/?]*(?=$|\?)/i, '$1')
}

/** How often to look for expired uploads, in ms, at least. */
const SWEEP = 10 * 60_000
