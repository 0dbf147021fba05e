import cors, { type FastifyCorsOptions } from '@fastify/cors'
import Fastify, { type FastifyInstance } from 'fastify'
import t, { type Test } from 'tap'
import { createMemoryStorage } from '../../adapters/memory/index.js'
import fastifyTus, { type TusOptions } from '../../lib/index.js'
import { TUS, createComplete } from '../support/http-tus.js'

const ORIGIN = 'https://app.example.org'
const METHODS = ['POST', 'HEAD', 'PATCH', 'DELETE', 'GET']
const ALLOWED = ['Tus-Resumable', 'Upload-Length', 'Upload-Metadata', 'Upload-Offset', 'Upload-Defer-Length', 'Upload-Checksum', 'Upload-Concat', 'X-HTTP-Method-Override', 'Content-Type']
const EXPOSED = [
  'Location', 'Retry-After', 'Tus-Version', 'Tus-Resumable', 'Tus-Max-Size', 'Tus-Extension', 'Tus-Checksum-Algorithm', 'Upload-Offset', 'Upload-Length', 'Upload-Defer-Length',
  'Upload-Metadata', 'Upload-Expires', 'Upload-Concat'
]

/** How an application comes to cors on the tus routes. */
type Setup = (app: FastifyInstance, options: FastifyCorsOptions) => Promise<void>

const register = async (app: FastifyInstance, options: TusOptions): Promise<void> => { await app.register(fastifyTus, { storage: createMemoryStorage(), ...options }) }
const own: Setup = async (app, options) => { await register(app, { cors: options }) }
const beside: Setup = async (app, options) => {
  await app.register(cors, options)
  await register(app, { cors: {} })
}
const before: Setup = async (app, options) => {
  await register(app, { cors: {} })
  await app.register(cors, options)
}
const nested: Setup = async (app, options) => {
  await app.register(cors, options)
  await app.register(async scope => { await register(scope, { cors: {} }) })
}
const later: Setup = async (app, options) => {
  await app.register(cors, { ...options, hook: 'preHandler' })
  await register(app, { cors: {} })
}

async function makeApp (t: Test, setup: Setup, options: FastifyCorsOptions = { origin: ORIGIN }): Promise<FastifyInstance> {
  const app = Fastify()
  t.teardown(() => app.close())
  await setup(app, options)
  app.get('/elsewhere', async () => 'x')
  return app
}

function preflight (app: FastifyInstance, url: string, method = 'PATCH', headers: Record<string, string> = {}) {
  return app.inject({ method: 'OPTIONS', url, headers: { origin: ORIGIN, 'access-control-request-method': method, 'access-control-request-headers': 'tus-resumable,upload-offset', ...headers } })
}

function assertLists (t: Test, header: unknown, names: readonly string[]): void {
  const listed = String(header).split(/,\s*/)
  t.same(names.filter(name => !listed.some(item => item.toLowerCase() === name.toLowerCase())), [], `all are in ${String(header)}`)
  t.equal(new Set(listed.map(name => name.toLowerCase())).size, listed.length, 'none twice')
}

const setups: ReadonlyArray<readonly [string, Setup]> = [
  ['with cors of its own', own],
  ['beside the cors of the application', beside],
  ['beside a cors that the application registers afterwards', before],
  ['in a scope below the cors of the application', nested],
  ['beside a cors that works in preHandler', later]
]

for (const [name, setup] of setups) {
  t.test(name, async t => {
    const app = await makeApp(t, setup)
    const url = await createComplete(app, 'hello')

    t.test('a preflight is answered on both routes', async t => {
      for (const path of ['/files', '/files/', url]) {
        const { statusCode, headers } = await preflight(app, path)
        t.equal(statusCode, 204)
        t.equal(headers['access-control-allow-origin'], ORIGIN)
        assertLists(t, headers['access-control-allow-methods'], METHODS)
        assertLists(t, headers['access-control-allow-headers'], ALLOWED)
      }
    })

    t.test('discovery is left to tus, with an origin and without', async t => {
      t.match(await app.inject({ method: 'OPTIONS', url: '/files' }), { statusCode: 204, headers: { 'tus-version': '1.0.0' } })
      t.match(await app.inject({ method: 'OPTIONS', url: '/files', headers: { origin: ORIGIN } }), { statusCode: 204, headers: { 'tus-version': '1.0.0', 'access-control-allow-origin': ORIGIN } })
    })

    t.test('the headers are exposed, of errors too', async t => {
      const requests = [
        { method: 'HEAD', url, headers: { ...TUS, origin: ORIGIN } },
        { method: 'POST', url: '/files', headers: { ...TUS, origin: ORIGIN, 'upload-length': '5' } },
        { method: 'HEAD', url: '/files/none', headers: { ...TUS, origin: ORIGIN } },
        { method: 'PUT', url, headers: { origin: ORIGIN } },
        { method: 'GET', url, headers: { origin: ORIGIN } }
      ] as const
      for (const request of requests) {
        const { headers } = await app.inject(request)
        t.equal(headers['access-control-allow-origin'], ORIGIN)
        assertLists(t, headers['access-control-expose-headers'], EXPOSED)
      }
    })

    t.test('routes elsewhere hear nothing of tus', async t => {
      const { headers } = await app.inject({ url: '/elsewhere', headers: { origin: ORIGIN } })
      t.equal(headers['access-control-allow-origin'], setup === own ? undefined : ORIGIN)
      t.notOk('access-control-expose-headers' in headers)
      const asked = await preflight(app, '/elsewhere', 'PATCH')
      t.notMatch(String(asked.headers['access-control-allow-methods']), /PATCH/)
    })
  })
}

t.test('an origin that is not allowed gets no headers', async t => {
  for (const setup of [own, beside, nested]) {
    const app = await makeApp(t, setup, { origin: [ORIGIN] })
    const { headers } = await app.inject({ method: 'OPTIONS', url: '/files', headers: { origin: 'https://evil.example', 'access-control-request-method': 'POST' } })
    t.notOk('access-control-allow-origin' in headers)
  }
})

t.test('what the application says to its own cors stays', async t => {
  const app = await makeApp(t, beside, { origin: ORIGIN, credentials: true, exposedHeaders: ['X-Mine', 'location'], allowedHeaders: 'X-Token, Content-Type' })
  const asked = await preflight(app, '/files')
  t.equal(asked.headers['access-control-allow-credentials'], 'true')
  assertLists(t, asked.headers['access-control-allow-headers'], [...ALLOWED, 'X-Token'])
  assertLists(t, asked.headers['access-control-expose-headers'], [...EXPOSED, 'X-Mine'])
})

t.test('what the application says to tus wins', async t => {
  for (const around of [false, true]) {
    const app = Fastify()
    t.teardown(() => app.close())
    if (around) await app.register(cors, { origin: 'https://other.example', maxAge: 5 })
    await register(app, { cors: { origin: ORIGIN, maxAge: 600, exposedHeaders: ['X-Only'], allowedHeaders: ['X-Only'], methods: ['POST'] } })
    const { headers } = await preflight(app, '/files')
    t.match(headers, {
      'access-control-allow-origin': ORIGIN,
      'access-control-max-age': '600',
      'access-control-expose-headers': 'X-Only',
      'access-control-allow-headers': 'X-Only',
      'access-control-allow-methods': 'POST'
    })
  }
})

t.test('an option that is undefined leaves it to the cors around', async t => {
  const app = Fastify()
  t.teardown(() => app.close())
  await app.register(cors, { origin: ORIGIN })
  await register(app, { cors: { origin: undefined } as unknown as FastifyCorsOptions })
  t.equal((await preflight(app, '/files')).headers['access-control-allow-origin'], ORIGIN)
})

t.test('routeOptions can switch it off', async t => {
  const app = Fastify()
  t.teardown(() => app.close())
  await register(app, { cors: {}, routeOptions: { config: { cors: false } as object } })
  t.notOk('access-control-allow-origin' in (await preflight(app, '/files')).headers)
})

t.test('a delegator decides per request, and has no place beside another cors', async t => {
  const delegator = async () => ({ origin: ORIGIN, maxAge: 7 })
  const app = await makeApp(t, own, { delegator })
  t.match((await preflight(app, '/files')).headers, { 'access-control-allow-origin': ORIGIN, 'access-control-max-age': '7' })
  const other = Fastify()
  t.teardown(() => other.close())
  await other.register(cors)
  await t.rejects(register(other, { cors: { delegator } }), { code: 'TUS_ERR_OPTION_INVALID', message: /'cors'.*delegator/ })
})

t.test('two instances beside one cors', async t => {
  const app = await makeApp(t, async (app, options) => {
    await app.register(cors, options)
    for (const prefix of ['/a', '/b']) await app.register(async scope => { await register(scope, { prefix, cors: {} }) })
  })
  for (const url of ['/a', '/b']) assertLists(t, (await preflight(app, url)).headers['access-control-allow-methods'], METHODS)
})

t.test('at the root of a server', async t => {
  for (const around of [false, true]) {
    const app = Fastify()
    t.teardown(() => app.close())
    if (around) await app.register(cors)
    await app.register(async scope => { await register(scope, { prefix: '/', cors: {} }) }, { prefix: '/deep' })
    assertLists(t, (await preflight(app, '/deep/')).headers['access-control-allow-methods'], METHODS)
  }
})

t.test('it is off by default', async t => {
  const app = Fastify()
  t.teardown(() => app.close())
  await register(app, {})
  t.notOk('access-control-allow-origin' in (await app.inject({ method: 'OPTIONS', url: '/files', headers: { origin: ORIGIN } })).headers)
})
