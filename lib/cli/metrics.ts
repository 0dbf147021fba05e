import type { FastifyInstance } from 'fastify'
import cluster from 'node:cluster'
import { once } from 'node:events'
import { createServer } from 'node:http'
import type { Registry } from 'prom-client'
import type { TusOptions } from '../options.js'
import type { ServeFlags } from './flags.js'
import { hasClient, loadClient } from './prometheus.js'
import { answerPrimary, askPrimary } from './worker-metrics.js'

/**
 * Answers `GET /metrics`: beside the uploads, or at a port of its own, where the primary does it if there is one. Resolves to the option of the plugin.
 *
 * @throws if they were asked for, and `prom-client` is not installed
 */
export async function exposeMetrics (app: FastifyInstance, { metrics, host }: ServeFlags): Promise<Pick<TusOptions, 'metrics'>> {
  if (metrics === null) return {}
  if (!metrics.needed && !await hasClient()) {
    app.log.info('there are no metrics at /metrics: prom-client is not installed')
    return {}
  }
  const register = await createRegister()
  const read = cluster.isWorker ? askPrimary : () => register.metrics()
  if (metrics.port === null) app.get('/metrics', async (_request, reply) => reply.type(TEXT).send(await read()))
  else if (!cluster.isWorker) app.addHook('onClose', await listen(host, metrics.port, read))
  return { metrics: { register, tusd: metrics.tusd } }
}

/** The register of this process, of which a worker tells its primary. */
async function createRegister (): Promise<Registry> {
  const { Registry, collectDefaultMetrics } = await loadClient()
  const register = new Registry()
  collectDefaultMetrics({ register })
  if (cluster.isWorker) {
    // Each keeps series of its own: a sum over workers would fall when one is replaced, and rates would then be wrong.
    register.setDefaultLabels({ worker: String(cluster.worker!.id) })
    answerPrimary(register)
  }
  return register
}

/**
 * Answers `GET /metrics` at a port of its own; resolves to what ends that.
 *
 * @throws if it can't listen there
 */
export async function listen (host: string, port: number, read: () => Promise<string>): Promise<() => Promise<void>> {
  const server = createServer((request, response) => {
    if (request.url !== '/metrics' || request.method !== 'GET') {
      response.writeHead(404).end()
      return
    }
    read().then(text => response.writeHead(200, { 'content-type': TEXT }).end(text), () => response.writeHead(500).end())
  })
  server.listen(port, host)
  await once(server, 'listening')
  return async () => {
    server.close()
    server.closeAllConnections()
  }
}

const TEXT = 'text/plain; version=0.0.4; charset=utf-8'
