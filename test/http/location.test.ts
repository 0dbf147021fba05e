import Fastify, { type FastifyInstance, type FastifyServerOptions } from 'fastify'
import t, { type Test } from 'tap'
import { createMemoryStorage } from '../../adapters/memory/index.js'
import fastifyTus, { type TusOptions } from '../../lib/index.js'
import { startApp } from '../support/app.js'
import { TUS, type Headers } from '../support/http-tus.js'
import { exchangeRaw } from '../support/raw-socket.js'

const ID = { generateId: () => 'one' }

async function makeMemoryApp (t: Test, options: TusOptions = {}, server: FastifyServerOptions = {}): Promise<FastifyInstance> {
  const app = Fastify(server)
  t.teardown(() => app.close())
  await app.register(fastifyTus, { storage: createMemoryStorage(), ...ID, ...options })
  return app
}

async function getLocation (app: FastifyInstance, headers: Headers = {}, url = '/files'): Promise<string | undefined> {
  const response = await app.inject({ method: 'POST', url, headers: { ...TUS, 'upload-length': '5', ...headers } })
  if (response.statusCode !== 201) throw new Error(`POST was answered with ${response.statusCode}`)
  return response.headers.location
}

t.test('CR-14: the URL of an upload is absolute, from the host that the client asked', async t => {
  for (const host of ['uploads.example.org', 'localhost:8080', '127.0.0.1:1080', '[::1]:1080', 'a_b.example']) {
    t.equal(await getLocation(await makeMemoryApp(t), { host }), `http://${host}/files/one`)
  }
})

t.test('CR-14: a host that is none ends in no URL', async t => {
  for (const host of ['evil.example/x?', 'a b', 'user@evil.example', '<script>', 'a:b:c', 'example.org:port', '"']) {
    t.equal(await getLocation(await makeMemoryApp(t), { host }), '/files/one', host)
  }
})

t.test('CR-14: a request without a host gets a path', async t => {
  const { port } = await startApp(t, ID)
  const response = await exchangeRaw(t, port, 'POST /files HTTP/1.0\r\ntus-resumable: 1.0.0\r\nupload-length: 5\r\n\r\n', 'POST')
  t.match(response, { status: 201, headers: { location: '/files/one' } })
})

t.test('CR-14: headers of a proxy count where trustProxy says so, and not elsewhere', async t => {
  const forwarded = { 'x-forwarded-proto': 'https', 'x-forwarded-host': 'uploads.example.org' }
  t.equal(await getLocation(await makeMemoryApp(t), forwarded), 'http://localhost:80/files/one')
  t.equal(await getLocation(await makeMemoryApp(t, {}, { trustProxy: true }), forwarded), 'https://uploads.example.org/files/one')
  t.equal(await getLocation(await makeMemoryApp(t, {}, { trustProxy: '10.0.0.1' }), forwarded), 'http://localhost:80/files/one')
})

t.test('CR-14: nonsense from a proxy ends in no URL', async t => {
  const nonsense = [{ 'x-forwarded-proto': 'javascript' }, { 'x-forwarded-proto': 'http://evil.example/?' }, { 'x-forwarded-host': 'evil.example/x?' }, { 'x-forwarded-host': 'a, b c' }]
  for (const headers of nonsense) {
    t.equal(await getLocation(await makeMemoryApp(t, {}, { trustProxy: true }), headers), '/files/one', JSON.stringify(headers))
  }
})

t.test('CR-14: it may be a path, or what the application says', async t => {
  t.equal(await getLocation(await makeMemoryApp(t, { relativeLocation: true })), '/files/one')
  t.equal(await getLocation(await makeMemoryApp(t, { location: ({ headers }, id) => `https://cdn.example/${String(headers['x-user'])}/${id}` }), { 'x-user': 'ann' }), 'https://cdn.example/ann/one')
})

t.test('CR-14: it is below the prefix, however that is written', async t => {
  for (const [prefix, path] of [['/files/', '/files'], ['/a/b/c', '/a/b/c'], ['/', '']] as const) {
    const app = await makeMemoryApp(t, { prefix, relativeLocation: true })
    t.equal(await getLocation(app, {}, path || '/'), `${path}/one`, prefix)
    t.equal((await app.inject({ method: 'HEAD', url: `${path}/one`, headers: TUS })).statusCode, 200)
  }
})

t.test('CR-14: a query string of the collection is no part of it', async t => {
  t.equal(await getLocation(await makeMemoryApp(t), {}, '/files?token=secret'), 'http://localhost:80/files/one')
  t.equal(await getLocation(await makeMemoryApp(t), {}, '/files/?token=secret'), 'http://localhost:80/files/one')
})

t.test('CR-14: it is below the prefix of the scope', async t => {
  const app = Fastify()
  t.teardown(() => app.close())
  await app.register(async scope => { await scope.register(fastifyTus, { storage: createMemoryStorage(), ...ID, relativeLocation: true }) }, { prefix: '/api/v1' })
  t.equal(await getLocation(app, {}, '/api/v1/files'), '/api/v1/files/one')
})

t.test('CR-14: parameters in the prefix of the scope are those of the request', async t => {
  const app = Fastify()
  t.teardown(() => app.close())
  await app.register(async scope => { await scope.register(fastifyTus, { storage: createMemoryStorage(), ...ID, relativeLocation: true }) }, { prefix: '/tenants/:tenant' })
  const location = await getLocation(app, {}, '/tenants/acme%20inc/files')
  t.equal(location, '/tenants/acme%20inc/files/one')
  t.equal((await app.inject({ method: 'HEAD', url: location!, headers: TUS })).statusCode, 200)
})
