import Fastify, { type FastifyInstance, type FastifyRequest, type InjectOptions } from 'fastify'
import { connect } from 'node:http2'
import type { AddressInfo } from 'node:net'
import t, { type Test } from 'tap'
import { createMemoryStorage } from '../../adapters/memory/index.js'
import fastifyTus, { type TusOptions } from '../../lib/index.js'
import { makeApp } from '../support/app.js'
import { BYTES, TUS, createComplete, createUpload, getOffset, head, listFiles, patch } from '../support/http-tus.js'

type Method = NonNullable<InjectOptions['method']>
const CARRIERS: readonly Method[] = ['POST', 'PUT', 'PATCH', 'DELETE']
const SAFE: readonly Method[] = ['GET', 'HEAD', 'OPTIONS']
const IETF = { 'upload-draft-interop-version': '8' }

t.test('CO-15, CO-16: X-HTTP-Method-Override counts as PATCH, whatever method carries it', async t => {
  const { app } = await makeApp(t)
  for (const method of CARRIERS) {
    const url = await createUpload(app)
    const headers = { ...TUS, ...BYTES, 'upload-offset': '0', 'x-http-method-override': 'PATCH' }
    const response = await app.inject({ method, url, headers, payload: 'hello' })
    t.equal(response.statusCode, 204, method)
    t.equal(response.headers['upload-offset'], '5')
    t.equal((await app.inject(url)).body, 'hello')
  }
})

t.test('CO-15, CO-16: as HEAD', async t => {
  const { app } = await makeApp(t)
  const url = await createUpload(app)
  for (const method of CARRIERS) {
    const response = await app.inject({ method, url, headers: { ...TUS, 'x-http-method-override': 'HEAD' } })
    t.equal(response.statusCode, 200, method)
    t.match(response.headers, { 'upload-offset': '0', 'upload-length': '5', 'cache-control': 'no-store' })
  }
})

t.test('CO-15, CO-16: as DELETE', async t => {
  const { app } = await makeApp(t)
  for (const method of CARRIERS) {
    const url = await createUpload(app)
    t.equal((await app.inject({ method, url, headers: { ...TUS, 'x-http-method-override': 'DELETE' } })).statusCode, 204, method)
    t.equal((await head(app, url)).statusCode, 404)
  }
})

t.test('CO-15, CO-16: as POST', async t => {
  const { app } = await makeApp(t)
  for (const method of CARRIERS) {
    const response = await app.inject({ method, url: '/files', headers: { ...TUS, 'upload-length': '5', 'x-http-method-override': 'POST' } })
    t.equal(response.statusCode, 201, method)
    t.ok(response.headers.location)
  }
})

t.test('CO-15, CO-16, CO-36: as OPTIONS, and as GET', async t => {
  const { app } = await makeApp(t)
  const url = await createComplete(app, 'hello')
  for (const method of CARRIERS) {
    const options = await app.inject({ method, url, headers: { 'tus-resumable': '9', 'x-http-method-override': 'OPTIONS' } })
    t.match(options, { statusCode: 204, headers: { 'tus-version': '1.0.0' } }, method)
    const get = await app.inject({ method, url, headers: { 'x-http-method-override': 'GET' } })
    t.match(get, { statusCode: 200, body: 'hello' }, method)
  }
})

t.test('CO-15, CO-16: the name of the method may be written in lower case', async t => {
  const { app } = await makeApp(t)
  const url = await createUpload(app)
  const headers = { ...TUS, ...BYTES, 'upload-offset': '0', 'x-http-method-override': 'patch' }
  t.equal((await app.inject({ method: 'POST', url, headers, payload: 'hello' })).statusCode, 204)
})

t.test('CO-15: a request may name the method that it has', async t => {
  const { app } = await makeApp(t)
  const url = await createUpload(app)
  t.equal((await patch(app, url, 0, 'hello', { 'x-http-method-override': 'PATCH' })).statusCode, 204)
  t.equal((await app.inject({ method: 'DELETE', url, headers: { ...TUS, 'x-http-method-override': 'DELETE' } })).statusCode, 204)
})

t.test('CO-8, CO-15: the version is asked for by the method that counts', async t => {
  const { app } = await makeApp(t)
  const url = await createUpload(app)
  for (const method of CARRIERS) {
    for (const override of ['DELETE', 'HEAD']) {
      t.equal((await app.inject({ method, url, headers: { 'x-http-method-override': override } })).statusCode, 412, `${method} as ${override}`)
    }
  }
  t.equal(await getOffset(app, url), '0')
})

t.test('CO-16: an unknown method is 405, and the actual one does not step in', async t => {
  const { app } = await makeApp(t)
  const url = await createUpload(app)
  const overrides = ['PUT', 'TRACE', 'FOO', '', 'PATCH, PATCH', 'PATCH, DELETE', 'PATCH HEAD', '__proto__', 'constructor', 'toString']
  for (const method of ['PATCH', 'DELETE'] as const) {
    for (const override of overrides) {
      const headers = { ...TUS, ...BYTES, 'upload-offset': '0', 'x-http-method-override': override }
      const { statusCode, headers: { allow } } = await app.inject({ method, url, headers, payload: 'hello' })
      t.match({ statusCode, allow }, { statusCode: 405, allow: /HEAD, PATCH/ }, `${method} as '${override}'`)
    }
  }
  t.equal(await getOffset(app, url), '0')
})

t.test('a method that does not carry it has no use for it', async t => {
  const { app } = await makeApp(t)
  const url = await createUpload(app)
  t.equal((await app.inject({ method: 'TRACE' as Method, url, headers: { ...TUS, 'x-http-method-override': 'DELETE' } })).statusCode, 405)
  t.equal(await getOffset(app, url), '0')
})

const REFUSED = { statusCode: 400, headers: { 'cache-control': 'no-store' } }

t.test('GET, HEAD and OPTIONS with the header are refused, whatever it says and whatever the client speaks, and nothing changes', async t => {
  const setups: ReadonlyArray<readonly [string, TusOptions]> = [
    ['both protocols', {}], ['tus alone', { protocols: ['tus'] }], ['Resumable Uploads for HTTP alone', { protocols: ['ietf'] }]
  ]
  for (const [name, options] of setups) {
    const { app, directory } = await makeApp(t, { ...options, expiration: false })
    const before = await listFiles(directory)
    for (const method of SAFE) {
      for (const path of ['/files', '/files/', '/files/none', '/files/a/b']) {
        for (const override of ['DELETE', 'delete', 'PATCH', 'POST', 'PUT', method, 'FOO', '', 'PATCH, DELETE']) {
          for (const headers of [TUS, IETF, {}]) {
            const response = await app.inject({ method, url: path, headers: { ...headers, 'upload-length': '3', 'x-http-method-override': override } })
            t.match(response, REFUSED, `${name}: ${method} ${path} as '${override}'`)
          }
        }
      }
    }
    t.same(await listFiles(directory), before)
  }
})

t.test('the refusal has a code, also where Resumable Uploads for HTTP is spoken', async t => {
  const { app } = await makeApp(t)
  for (const headers of [TUS, IETF, {}]) {
    const response = await app.inject({ url: '/files/x', headers: { ...headers, 'x-http-method-override': 'DELETE' } })
    t.match(response.json(), { code: 'TUS_ERR_METHOD_OVERRIDE' })
    t.match(response.payload, /POST/)
  }
})

t.test('the refusal does not tell whether an upload exists, and disturbs none', async t => {
  const { app } = await makeApp(t)
  app.tus.addHook('preAccess', () => { throw Object.assign(new Error('hidden'), { statusCode: 404 }) })
  const [tus, ietf] = await Promise.all([createUpload(app), app.inject({ method: 'POST', url: '/files', headers: { ...IETF, 'upload-complete': '?0' } })])
  for (const method of SAFE) {
    const [first, ...others] = await Promise.all([tus, new URL(ietf.headers.location!, 'http://x').pathname, '/files/none'].map(async url => {
      const { statusCode, payload, headers: { date: _date, ...headers } } = await app.inject({ method, url, headers: { 'x-http-method-override': 'DELETE' } })
      return { statusCode, payload, headers }
    }))
    t.match(first, { statusCode: 400 })
    for (const other of others) t.same(other, first, method)
  }
})

t.test('a rule of the application by request.method holds: what it lets pass changes nothing', async t => {
  const { app } = await makeApp(t)
  app.addHook('onRequest', async (request, reply) => {
    if (!['GET', 'HEAD', 'OPTIONS'].includes(request.method) && request.headers.authorization !== 'good') return reply.code(401).send({})
  })
  const url = await createUpload(app, { 'upload-length': '5', authorization: 'good' })
  for (const method of [...SAFE, ...CARRIERS]) {
    for (const override of ['DELETE', 'PATCH', 'POST']) {
      const headers = { ...TUS, ...BYTES, 'upload-offset': '0', 'upload-length': '5', 'x-http-method-override': override }
      const status = SAFE.includes(method) ? 400 : 401
      t.equal((await app.inject({ method, url, headers })).statusCode, status, `${method} as ${override}`)
      t.equal((await app.inject({ method, url: '/files', headers })).statusCode, status)
    }
  }
  t.equal(await getOffset(app, url), '0')
})

t.test('methodOverride: false ignores the header on every method', async t => {
  const { app } = await makeApp(t, { methodOverride: false })
  const url = await createComplete(app, 'hello')
  const as = (override: string) => ({ ...TUS, 'x-http-method-override': override })
  for (const override of ['DELETE', 'PATCH', 'POST', 'FOO', '']) {
    t.match(await app.inject({ method: 'HEAD', url, headers: as(override) }), { statusCode: 200, headers: { 'upload-offset': '5' } }, override)
    t.match(await app.inject({ method: 'GET', url, headers: as(override) }), { statusCode: 200, body: 'hello' })
    t.match(await app.inject({ method: 'OPTIONS', url, headers: as(override) }), { statusCode: 204, headers: { 'tus-version': '1.0.0' } })
    t.equal((await app.inject({ method: 'POST', url, headers: as(override) })).statusCode, 405)
    t.equal((await app.inject({ method: 'POST', url: '/files', headers: { ...as(override), 'upload-length': '1' } })).statusCode, 201)
  }
  t.equal(await getOffset(app, url), '5', 'it is still there')
  t.equal((await app.inject({ method: 'DELETE', url, headers: as('GET') })).statusCode, 204, 'and the method of the request line removes it')
})

t.test('methodOverride: false leaves it to the upload which protocol a HEAD or DELETE without a word means', async t => {
  const answers = []
  for (const extra of [{}, { 'x-http-method-override': 'GET' }]) {
    const { app } = await makeApp(t, { methodOverride: false })
    const created = await app.inject({ method: 'POST', url: '/files', headers: { ...IETF, 'upload-complete': '?0' } })
    const url = new URL(created.headers.location!, 'http://x').pathname
    const asked = await app.inject({ method: 'HEAD', url, headers: extra })
    t.match(asked, { statusCode: 204, headers: { 'upload-complete': '?0' } })
    const removed = await app.inject({ method: 'DELETE', url, headers: extra })
    t.equal(removed.statusCode, 204)
    answers.push([asked, removed].map(({ headers: { date: _date, ...headers } }) => headers))
  }
  t.same(answers[1], answers[0], 'and the header makes no difference')
})

t.test('methodOverride must be true or false', async t => {
  for (const methodOverride of [0, 'false', null, {}]) {
    const app = Fastify()
    t.teardown(() => app.close())
    await t.rejects(async () => { await app.register(fastifyTus, { methodOverride } as unknown as TusOptions) }, { code: 'TUS_ERR_OPTION_INVALID', message: /methodOverride/ })
  }
})

/** An application with a route of its own that takes uploads. */
async function makeResumable (t: Test, options: TusOptions = {}): Promise<FastifyInstance> {
  const app = Fastify()
  t.teardown(() => app.close())
  await app.register(fastifyTus, { storage: createMemoryStorage(), ...options })
  app.post('/documents', app.tus.resumable(async (request: FastifyRequest) => ({ length: request.upload!.length })))
  return app
}

t.test('routes of the application: the header counts for tus on what has a body, and is refused on what has none', async t => {
  const app = await makeResumable(t)
  for (const method of CARRIERS) {
    const created = await app.inject({ method: 'POST', url: '/documents', headers: { ...TUS, 'upload-length': '5' } })
    const url = new URL(created.headers.location!, 'http://x').pathname
    for (const safe of SAFE) {
      for (const headers of [TUS, IETF, {}]) t.match(await app.inject({ method: safe, url, headers: { ...headers, 'x-http-method-override': 'DELETE' } }), REFUSED, `${safe} of an upload`)
    }
    const headers = { ...TUS, ...BYTES, 'upload-offset': '0', 'x-http-method-override': 'PATCH' }
    t.match(await app.inject({ method, url, headers, payload: 'hello' }), { statusCode: 200, body: '{"length":5}' }, method)
    t.equal((await app.inject({ method, url, headers: { ...TUS, 'x-http-method-override': 'DELETE' } })).statusCode, 204)
  }
  for (const headers of [TUS, IETF, {}]) t.match(await app.inject({ method: 'OPTIONS', url: '/documents', headers: { ...headers, 'x-http-method-override': 'POST' } }), REFUSED)
  t.match(await app.inject({ method: 'POST', url: '/documents', headers: { 'x-http-method-override': 'DELETE' }, payload: 'abc' }), { statusCode: 200, body: '{"length":3}' }, 'plain HTTP knows no such header')
  t.match(await app.inject({ method: 'POST', url: '/documents', headers: { ...IETF, 'upload-complete': '?1', 'x-http-method-override': 'DELETE' }, payload: 'abc' }), { statusCode: 200, body: '{"length":3}' }, 'nor do Resumable Uploads for HTTP')
})

t.test('routes of the application: methodOverride: false ignores it there too', async t => {
  const app = await makeResumable(t, { methodOverride: false })
  const created = await app.inject({ method: 'POST', url: '/documents', headers: { ...TUS, 'upload-length': '5', 'x-http-method-override': 'DELETE' } })
  t.equal(created.statusCode, 201)
  const url = new URL(created.headers.location!, 'http://x').pathname
  t.equal((await app.inject({ method: 'POST', url, headers: { ...TUS, 'x-http-method-override': 'DELETE' } })).statusCode, 405)
  t.match(await app.inject({ method: 'HEAD', url, headers: { ...TUS, 'x-http-method-override': 'DELETE' } }), { statusCode: 200, headers: { 'upload-offset': '0' } })
})

t.test('over HTTP/2 the same holds', async t => {
  const app = Fastify({ http2: true })
  t.teardown(() => app.close())
  await app.register(fastifyTus, { storage: createMemoryStorage() })
  await app.listen({ host: '127.0.0.1', port: 0 })
  const client = connect(`http://127.0.0.1:${(app.server.address() as AddressInfo).port}`)
  t.teardown(() => client.destroy())
  const ask = (method: string, path: string, headers: Readonly<Record<string, string>>) => new Promise<Record<string, unknown>>((resolve, reject) => {
    const stream = client.request({ ':method': method, ':path': path, ...headers })
    stream.once('response', resolve).once('error', reject).resume().end()
  })
  t.match(await ask('POST', '/files', { ...TUS, 'upload-length': '0', 'x-http-method-override': 'POST' }), { ':status': 201 })
  t.match(await ask('PUT', '/files', { ...TUS, 'upload-length': '0', 'x-http-method-override': 'POST' }), { ':status': 201 })
  for (const method of SAFE) t.match(await ask(method, '/files/x', { ...TUS, 'x-http-method-override': 'DELETE' }), { ':status': 400, 'cache-control': 'no-store' })
})
