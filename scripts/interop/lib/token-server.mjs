import { readdirSync } from 'node:fs'
import Fastify from 'fastify'
import { createFsStorage } from '../../../dist/adapters/fs/index.js'
import fastifyTus from '../../../dist/lib/index.js'

/**
 * A server that asks for a token, and gives the current one away at `/token`. It notes its requests, in the order in which they began, and what it answered.
 *
 * @param cors of which origin, if any, browsers are let in
 */
export async function startTokenServer (directory, cors = false) {
  const app = Fastify()
  const server = { port: 0, token: 'first', requests: [], isDue: () => false, countUploads, close: () => app.close() }
  const noted = new WeakMap()
  app.get('/token', async (request, reply) => reply.header('Access-Control-Allow-Origin', '*').send(server.token))
  await app.register(async scope => {
    scope.addHook('onRequest', check)
    await scope.register(fastifyTus, { storage: createFsStorage({ directory }), cors: cors && { origin: cors } })
    scope.addHook('onResponse', async (request, reply) => { if (noted.has(request)) noted.get(request).status = reply.statusCode })
  })

  async function check (request, reply) {
    if (server.token === 'first' && server.isDue(getMethod(request))) server.token = 'second'
    if (request.method !== 'OPTIONS') note(request)
    if (request.headers.authorization !== `Bearer ${server.token}`) return reply.code(401).header('WWW-Authenticate', 'Bearer').send({ message: 'The token has expired' })
  }

  function countUploads () {
    return readdirSync(directory).filter(name => name.endsWith('.json')).length
  }

  function note (request) {
    const entry = { method: getMethod(request), status: 0 }
    noted.set(request, entry)
    server.requests.push(entry)
  }

  /** tus-java-client sends its PATCH as POST. */
  function getMethod ({ method, headers }) {
    return headers['x-http-method-override'] ?? method
  }

  await app.listen({ host: '127.0.0.1', port: 0 })
  server.port = app.server.address().port
  return server
}
