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

t.test('CR-14: behind a trusted proxy, host, port and prefix are those that the client has asked', async t => {
  const cases: Array<readonly [headers: Headers, origin: string]> = [
    [{ 'x-forwarded-port': '8443' }, 'http://localhost:80'],
    [{ host: 'example.org', 'x-forwarded-port': '8443' }, 'http://example.org:8443'],
    [{ host: 'example.org', 'x-forwarded-port': '80' }, 'http://example.org'],
    [{ host: 'example.org', 'x-forwarded-port': '443' }, 'http://example.org:443'],
    [{ host: 'example.org', 'x-forwarded-proto': 'https', 'x-forwarded-port': '443' }, 'https://example.org'],
    [{ host: 'example.org', 'x-forwarded-proto': 'https', 'x-forwarded-port': '80' }, 'https://example.org:80'],
    [{ 'x-forwarded-host': 'example.org', 'x-forwarded-proto': 'https', 'x-forwarded-port': '8443' }, 'https://example.org:8443'],
    [{ 'x-forwarded-host': 'example.org:8444', 'x-forwarded-proto': 'https', 'x-forwarded-port': '8443' }, 'https://example.org:8444'],
    [{ 'x-forwarded-host': 'example.org:443', 'x-forwarded-proto': 'https' }, 'https://example.org'],
    [{ 'x-forwarded-host': 'example.org:80' }, 'http://example.org'],
    [{ 'x-forwarded-host': '[::1]', 'x-forwarded-port': '8080' }, 'http://[::1]:8080'],
    [{ 'x-forwarded-host': 'evil.example, example.org', 'x-forwarded-proto': 'http, https', 'x-forwarded-port': '1, 8443' }, 'https://example.org:8443'],
    [{ 'x-forwarded-host': 'example.org', 'x-forwarded-port': '8443', 'x-forwarded-prefix': '/app' }, 'http://example.org:8443/app'],
    [{ 'x-forwarded-host': 'example.org', 'x-forwarded-prefix': '/evil, /app/v1/' }, 'http://example.org/app/v1'],
    [{ 'x-forwarded-host': 'example.org', 'x-forwarded-prefix': '/%D1%84%20x' }, 'http://example.org/%D1%84%20x']
  ]
  for (const port of ['', '0', '-1', '65536', '99999', '080', '1e3', '80 81', 'http', '8443, x', '8443/x']) cases.push([{ 'x-forwarded-host': 'example.org', 'x-forwarded-port': port }, 'http://example.org'])
  for (const prefix of ['app', '//evil.example', '/a//b', '/..', '/a/../b', '/%2e%2e', '/a?b', '/a#b', '/a%2Fb', '/a%5Cb', '/a\\b', '/%0a', '/%zz', '/a b']) cases.push([{ 'x-forwarded-host': 'example.org', 'x-forwarded-prefix': prefix }, 'http://example.org'])
  for (const [headers, origin] of cases) {
    t.equal(await getLocation(await makeMemoryApp(t, {}, { trustProxy: true }), headers), `${origin}/files/one`, JSON.stringify(headers))
    const { host = 'localhost:80' } = headers
    for (const trustProxy of [false, '10.0.0.1']) t.equal(await getLocation(await makeMemoryApp(t, {}, { trustProxy }), headers), `http://${host}/files/one`, 'and nothing of it from anybody else')
  }
  const asked: unknown[] = []
  const trustProxy = (address: string, hop: number) => { asked.push([address, hop]); return address === '127.0.0.1' && hop === 0 }
  t.equal(await getLocation(await makeMemoryApp(t, {}, { trustProxy }), { host: 'example.org', 'x-forwarded-port': '8080', 'x-forwarded-for': '192.0.2.1' }), 'http://example.org:8080/files/one')
  t.ok(asked.every(([address]: any) => ['127.0.0.1', '192.0.2.1'].includes(address)))
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
