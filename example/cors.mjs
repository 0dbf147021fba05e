import Fastify from 'fastify'
import tus from 'fastify-tus'

/** Uploads with a token, from pages of other origins. */
export async function createServer ({ origins, isAllowed, ...options }) {
  const app = Fastify()
  app.addHook('onRequest', async (request, reply) => {
    if (!isAllowed(request.headers.authorization)) return reply.code(401).send({ error: 'A token, please' })
  })
  await app.register(tus, { ...options, cors: { origin: origins, allowedHeaders: ['traceparent'] } })
  return app
}
