import type { FastifyInstance } from 'fastify'
import { createFsStorage } from '../adapters/fs/index.js'
import { createApi } from './api.js'
import { createContext } from './context.js'
import { createCors } from './cors.js'
import { TUS_ERR_DECORATOR_PRESENT, TUS_ERR_OPTION_INVALID } from './errors.js'
import { answerExpectContinue } from './expect-continue.js'
import { drainTogether } from './open-bodies.js'
import { resolveOptions, type TusOptions } from './options.js'
import { retryLaterWhileClosing } from './retry-later.js'
import { decorateRequests } from './request-upload.js'
import { hasRepeatedParameter } from './prefix.js'
import { createResumable } from './resumable.js'
import { registerRoutes } from './routes.js'
import { SharedStorage } from './shared-storage.js'
import { startSweeper } from './sweeper.js'

/** Options → context → `app.tus` → routes in a scope of their own → an orderly end. */
export async function plugin (app: FastifyInstance, given: TusOptions): Promise<void> {
  if (Object.hasOwn(app, 'tus')) throw TUS_ERR_DECORATOR_PRESENT({ decorator: 'tus' })
  const options = resolveOptions(given)
  const cors = createCors(app, options.cors)
  const storage = options.storage ?? createFsStorage({ directory: './uploads' })
  const prefix = `${app.prefix.replace(/\/$/, '')}${options.prefix}`
  if (hasRepeatedParameter(prefix)) throw TUS_ERR_OPTION_INVALID({ option: 'prefix', expected: 'without a parameter that the scope around it has in its own prefix' })
  const context = createContext(options, storage, prefix)
  // Closed after all that is stopped below: hooks of this kind run from the last to the first.
  app.addHook('onClose', await SharedStorage.of(storage).open(app.log))
  // Only who wants metrics has the package for them.
  const stopMetrics = options.metrics && await (await import('./metrics/start.js')).startMetrics(options.metrics, app.server)

  app.decorate('tus', { ...createApi(context, app.log), resumable: createResumable(app, context, cors) })
  decorateRequests(app)
  const drain = drainTogether(app.server, context.openBodies)
  app.addHook('preClose', () => {
    retryLaterWhileClosing(app.server)
    context.compositions.stopAfter(COPY_GRACE)
    return drain(DRAIN_DEADLINE)
  })
  const sweeper = startSweeper(context, app.log)
  app.addHook('onClose', async () => {
    context.arrivals.close()
    stopMetrics?.()
    await sweeper.stop()
    await context.background.drain()
    context.compositions.close()
    await context.digestPool.close()
  })
  answerExpectContinue(app)

  await app.register(async scope => {
    scope.addHook('onRoute', route => { route.config = cors.prepare(scope, route.config) })
    if (cors.isOwn) scope.addHook('onSend', cors.addNames)
    registerRoutes(scope, { ...context, target: null })
  }, { prefix: options.prefix })
}

/** How long final uploads may still be copied then, in ms. */
const COPY_GRACE = 4_000
/** How long running requests may take to end when the server stops, in ms. */
const DRAIN_DEADLINE = 8_000
