import cors from '@fastify/cors'
import Fastify, { type FastifyRequest } from 'fastify'
import type { AddressInfo } from 'node:net'
import t from 'tap'
import { createMemoryStorage } from '../../adapters/memory/index.js'
import fastifyTus from '../../lib/index.js'
import { append, ask, begin, retrieve } from '../support/ietf.js'

t.test('a browser on an allowed origin may use a route of the application, and reads what the protocols say', async t => {
  const app = Fastify()
  t.teardown(() => app.close())
  await app.register(cors, { origin: ['http://mine.example'], methods: ['GET', 'POST', 'PATCH', 'DELETE'], allowedHeaders: ['X-Mine'], exposedHeaders: ['X-Theirs'] })
  await app.register(fastifyTus, { storage: createMemoryStorage() })
  const onRequest = async ({ headers }: FastifyRequest) => { if (!headers.authorization) throw Object.assign(new Error('who?'), { statusCode: 401 }) }
  app.post('/documents', { onRequest }, app.tus.resumable(async () => 'fine'))
  app.post('/other', async () => 'fine')
  await app.listen({ host: '127.0.0.1', port: 0 })
  const { port } = app.server.address() as AddressInfo

  const mine = { origin: 'http://mine.example', authorization: 'me' }
  const path = await begin(t, port, 'hello', mine, '/documents')
  const preflight = { origin: mine.origin, 'access-control-request-method': 'PATCH', 'access-control-request-headers': 'upload-offset,upload-complete,content-type' }
  for (const url of ['/documents', path]) {
    const { status, headers } = await ask(t, port, 'OPTIONS', url, preflight)
    t.match({ status, headers }, { status: 204, headers: { 'access-control-allow-origin': mine.origin, 'access-control-allow-methods': /PATCH/ } })
    t.match(headers['access-control-allow-headers'], /^X-Mine, .*Content-Type.*Upload-Complete.*Upload-Offset/)
  }
  const answers = [await ask(t, port, 'POST', '/documents', { ...mine, 'upload-complete': '?0' }, 'x'), await retrieve(t, port, path, mine), await append(t, port, path, 5, '', '?1', mine), await append(t, port, path, 4, '', '?1', mine)]
  for (const { headers } of answers) t.match(headers['access-control-expose-headers'], /^X-Theirs, .*Location.*Upload-Complete.*Upload-Offset/)
  t.equal((await ask(t, port, 'POST', '/other', { origin: mine.origin }, null)).headers['access-control-expose-headers'], 'X-Theirs', 'other routes are as they were')
  const foreign = await retrieve(t, port, path, { authorization: 'me', origin: 'http://other.example' })
  t.not(foreign.headers['access-control-allow-origin'], 'http://other.example')
})
