import type { FastifyInstance } from 'fastify'
import { Server } from 'node:net'
import { setTimeout as pause } from 'node:timers/promises'

/**
 * Stops a server in order at SIGTERM and SIGINT: it takes no connection any more, tells those that it has to come with their next
 * request elsewhere, ends the bodies that it receives, and exits when all is answered. To be called before it listens.
 */
export function stopOnSignals (app: FastifyInstance): void {
  let stopping = false
  app.addHook('onSend', async (_request, reply) => {
    if (stopping) reply.header('connection', 'close')
  })

  const stop = async () => {
    stopping = true
    // Of `net`, not of `http`: that would end connections on which a request is on its way.
    Server.prototype.close.call(app.server)
    await pause(GRACE)
    // A second signal, from somebody who can't wait, ends the process at once. One that follows the first directly is the same: a terminal and
    // a service manager tell all processes of a group, and those that started this one pass it on.
    process.off('SIGTERM', onSignal).off('SIGINT', onSignal)
    // A connection on which nothing was asked yet, or whose client does not read, would keep the server for ever.
    setTimeout(() => { app.server.closeAllConnections() }, PATIENCE).unref()
    await app.close()
  }
  const onSignal = () => {
    if (stopping) return
    stop().then(() => process.exit(0), error => {
      app.log.error({ err: error }, 'the server did not stop in order')
      process.exit(1)
    })
  }
  process.on('SIGTERM', onSignal).on('SIGINT', onSignal)
}

/** How long to answer those who did not know yet that the server stops, in ms. */
const GRACE = 300
/** How long connections may stay then, in ms. */
const PATIENCE = 8_200
