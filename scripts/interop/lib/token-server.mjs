import { readdirSync } from 'node:fs'
import Fastify from 'fastify'
import { createFsStorage } from '../../../dist/adapters/fs/index.js'
import fastifyTus from '../../../dist/lib/index.js'

/**
 * A server that asks for a token, and gives the current one away at `/token`. It notes what it answers.
 *
 * @param cors of which origin, if any, browsers are let in
 */
export async function startTokenServer (directory, cors = false) {
  const app = Fastify()
  const server = { port: 0, token: 'first', requests: [], isDue: () => false, countUploads, close: () => app.close() }
  app.get('/token', async (request, reply) => reply.header('Access-Control-Allow-Origin', '*').send(server.token))
  await app.register(async scope => {
    await scope.register(fastifyTus, { storage: createFsStorage({ directory }), cors: cors && { origin: cors }, routeOptions: { onRequest: check } })
    scope.addHook('onResponse', async (request, reply) => { if (request.method !== 'OPTIONS') server.requests.push({ method: getMethod(request), status: reply.statusCode }) })
  })

  async function check (request, reply) {
    if (request.method === 'OPTIONS') return
    if (server.token === 'first' && server.isDue(getMethod(request))) server.token = 'second'
    if (request.headers.authorization !== `Bearer ${server.token}`) return reply.code(401).header('WWW-Authenticate', 'Bearer').send({ message: 'The token has expired' })
  }

  function countUploads () {
    return readdirSync(directory).filter(name => name.endsWith('.json')).length
  }

  /** tus-java-client sends its PATCH as POST. */
  function getMethod ({ method, headers }) {
    return headers['x-http-method-override'] ?? method
  }

  await app.listen({ host: '127.0.0.1', port: 0 })
  server.port = app.server.address().port
  return server
}
