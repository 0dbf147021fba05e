import rateLimit from '@fastify/rate-limit'
import tus from 'fastify-tus'

/**
 * Each client may create `max` uploads per minute. What goes on with an upload is not counted: a client whose connection breaks often is no worse than another.
 *
 * Clients behind a proxy are told apart with Fastify's `trustProxy`.
 */
export async function limitCreation (app, { max, ...options }) {
  await app.register(rateLimit, { global: false })
  await app.register(tus, {
    ...options,
    routeOptions: {
      config: { rateLimit: { max, timeWindow: '1 minute', allowList: request => request.method !== 'POST' && request.method !== 'PUT' } }
    }
  })
}
