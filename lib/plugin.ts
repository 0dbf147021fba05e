import type { FastifyInstance } from 'fastify'
import { createFsStorage } from '../adapters/fs/index.js'
import { createApi, type TusApi } from './api.js'
import { createContext } from './context.js'
import { registerCors } from './cors.js'
import { answerExpectContinue } from './expect-continue.js'
import { resolveOptions, type TusOptions } from './options.js'
import { createResumable } from './resumable.js'
import { registerRoutes } from './routes.js'
import { startSweeper } from './sweeper.js'
import type { Upload } from './upload.js'

declare module 'fastify' {
  interface FastifyInstance {
    tus: TusApi
  }
  interface FastifyRequest {
    /** The upload that this request is about, as it was last known; `null` where there is none. */
    upload: Upload | null
  }
}

/** Options → context → `app.tus` → routes in a scope of their own → an orderly end. */
export async function plugin (app: FastifyInstance, given: TusOptions): Promise<void> {
  const options = resolveOptions(given)
  const storage = options.storage ?? createFsStorage({ directory: './uploads' })
  const context = createContext(options, storage, `${app.prefix.replace(/\/$/, '')}${options.prefix}`)
  await storage.open?.()
  // Only who wants metrics has the package for them.
  const stopMetrics = options.metrics && await (await import('./metrics/start.js')).startMetrics(options.metrics, app.server)

  app.decorate('tus', { ...createApi(context, app.log), resumable: createResumable(app, context) })
  app.decorateRequest('upload', null)
  app.addHook('preClose', () => context.openBodies.drain(DRAIN_DEADLINE))
  const sweeper = startSweeper(context, app.log)
  app.addHook('onClose', async () => {
    context.arrivals.close()
    stopMetrics?.()
    await sweeper.stop()
    await context.background.drain()
    await context.digestPool.close()
    await storage.close?.()
  })
  answerExpectContinue(app)

  await app.register(async scope => {
    if (options.cors !== false) await registerCors(scope, options.cors)
    registerRoutes(scope, { ...context, target: null })
  }, { prefix: options.prefix })
}

/** How long running requests may take to end when the server stops, in ms. */
const DRAIN_DEADLINE = 8_000
