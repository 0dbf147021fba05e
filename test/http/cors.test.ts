import cors, { type FastifyCorsOptions } from '@fastify/cors'
import Fastify, { type FastifyInstance, type FastifyRequest } from 'fastify'
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

t.test('what the application says to tus wins, and what it names is added', async t => {
  for (const around of [false, true]) {
    const app = Fastify()
    t.teardown(() => app.close())
    if (around) await app.register(cors, { origin: 'https://other.example', maxAge: 5, credentials: true, optionsSuccessStatus: 200, exposedHeaders: ['X-Around'] })
    await register(app, { cors: { origin: ORIGIN, maxAge: 600, exposedHeaders: ['X-Only'], allowedHeaders: ['X-Only'], methods: ['PURGE'] } })
    const { statusCode, headers } = await preflight(app, '/files')
    t.match({ statusCode, ...headers }, { statusCode: around ? 200 : 204, 'access-control-allow-origin': ORIGIN, 'access-control-max-age': /^600$/ })
    t.equal(headers['access-control-allow-credentials'], around ? 'true' : undefined)
    assertLists(t, headers['access-control-expose-headers'], [...EXPOSED, 'X-Only', ...around ? ['X-Around'] : []])
    assertLists(t, headers['access-control-allow-headers'], [...ALLOWED, 'X-Only'])
    assertLists(t, headers['access-control-allow-methods'], [...METHODS, 'PURGE'])
  }
})

t.test('names are added in any form, and none comes twice', async t => {
  const forms: ReadonlyArray<readonly [unknown, readonly string[]]> = [
    [['X-Csrf-Token', 'traceparent'], ['x-csrf-token', 'traceparent']],
    ['X-Csrf-Token,traceparent', ['x-csrf-token', 'traceparent']],
    [' x-csrf-token ,, TUS-RESUMABLE, location', ['x-csrf-token']],
    [['tus-resumable', 'LOCATION', 'X-CSRF-TOKEN', 'x-csrf-token'], ['x-csrf-token']],
    ['*', ['*']],
    [[], []], ['', []]
  ]
  for (const around of [false, true]) {
    for (const [given, names] of forms) {
      const app = Fastify()
      t.teardown(() => app.close())
      if (around) await app.register(cors, { origin: ORIGIN, allowedHeaders: ['x-around', 'upload-offset'] })
      await register(app, { cors: { origin: ORIGIN, allowedHeaders: given, exposedHeaders: given } as FastifyCorsOptions })
      const { headers } = await preflight(app, '/files')
      assertLists(t, headers['access-control-allow-headers'], [...ALLOWED, ...names, ...around ? ['x-around'] : []])
      assertLists(t, headers['access-control-expose-headers'], [...EXPOSED, ...names])
    }
  }
  const reflecting = await makeApp(t, own, { origin: ORIGIN, allowedHeaders: null } as unknown as FastifyCorsOptions)
  assertLists(t, (await preflight(reflecting, '/files', 'PATCH', { 'access-control-request-headers': 'x-whatever' })).headers['access-control-allow-headers'], [...ALLOWED, 'x-whatever'])
  for (const methods of ['patch, purge', ['Patch', 'purge'], 'PURGE']) {
    const app = await makeApp(t, own, { origin: ORIGIN, methods })
    assertLists(t, (await preflight(app, '/files')).headers['access-control-allow-methods'], [...METHODS, 'purge'])
    t.match((await preflight(app, '/files')).headers['access-control-allow-methods'], /\bPATCH\b/, 'methods are told apart by case')
  }
})

t.test('the origin may be decided in every way of @fastify/cors', async t => {
  const origins: ReadonlyArray<readonly [FastifyCorsOptions['origin'], allowed: string | undefined, other: string | undefined]> = [
    [undefined, '*', '*'],
    [true, ORIGIN, 'https://evil.example'],
    [false, undefined, undefined],
    ['*', '*', '*'],
    [ORIGIN, ORIGIN, ORIGIN],
    [[ORIGIN], ORIGIN, undefined],
    [/\.example\.org$/, ORIGIN, undefined],
    [(origin: string | undefined, done: (error: null, origin: boolean) => void) => { setImmediate(done, null, origin === ORIGIN) }, ORIGIN, undefined],
    [async (origin: string | undefined) => origin === ORIGIN, ORIGIN, undefined]
  ]
  for (const setup of [own, beside, before, nested]) {
    for (const [origin, allowed, other] of origins) {
      const app = await makeApp(t, setup, { ...origin !== undefined && { origin } })
      for (const [from, expected] of [[ORIGIN, allowed], ['https://evil.example', other]] as const) {
        t.equal((await preflight(app, '/files', 'PATCH', { origin: from })).headers['access-control-allow-origin'], expected, `${String(origin)}: ${from}`)
        t.equal((await app.inject({ method: 'HEAD', url: '/files/x', headers: { ...TUS, origin: from } })).headers['access-control-allow-origin'], expected)
      }
    }
  }
})

t.test('an origin function that fails is an error, and nothing is stored', async t => {
  for (const origin of [async () => { throw new Error('away') }, (_origin: unknown, done: (error: Error, origin: boolean) => void) => done(new Error('away'), false)]) {
    const app = await makeApp(t, own, { origin } as FastifyCorsOptions)
    t.equal((await preflight(app, '/files')).statusCode, 500)
    t.equal((await app.inject({ method: 'POST', url: '/files', headers: { ...TUS, origin: ORIGIN, 'upload-length': '5' } })).statusCode, 500)
    for await (const { id } of app.tus.list()) t.fail(id)
  }
})

t.test('an origin function of the application is asked once for each request', async t => {
  for (const setup of [own, beside, before]) {
    let count = 0
    const app = await makeApp(t, setup, { origin: async () => { count++; return true } })
    for (const method of ['OPTIONS', 'HEAD'] as const) {
      count = 0
      await app.inject({ method, url: '/files/x', headers: { ...TUS, origin: ORIGIN, 'access-control-request-method': 'PATCH' } })
      t.equal(count, 1, method)
    }
  }
})

t.test('what else a preflight is answered with is as @fastify/cors says', async t => {
  for (const setup of [own, beside, before, nested]) {
    const ask = async (options: FastifyCorsOptions, headers?: Record<string, string>) => preflight(await makeApp(t, setup, { origin: ORIGIN, ...options }), '/files', 'PATCH', headers)
    t.equal((await ask({ optionsSuccessStatus: 200 })).statusCode, 200)
    t.equal((await ask({ credentials: true })).headers['access-control-allow-credentials'], 'true')
    t.equal((await ask({ maxAge: 7 })).headers['access-control-max-age'], '7')
    t.equal((await ask({})).headers['access-control-max-age'], '86400')
    t.equal((await ask({ cacheControl: 5 })).headers['cache-control'], 'max-age=5')
    t.match(await ask({ preflightContinue: true }), { statusCode: 204, headers: { 'tus-version': '1.0.0', 'access-control-allow-methods': /PATCH/ } }, 'the route answers')
    const none = await ask({ preflight: false })
    t.match(none, { statusCode: 204, headers: { 'tus-version': '1.0.0', 'access-control-allow-origin': ORIGIN } })
    t.notOk('access-control-allow-methods' in none.headers)
    t.equal((await ask({ hideOptionsRoute: false, logLevel: 'silent' })).statusCode, 204)
  }
})

t.test('strictPreflight of the option of tus says what other OPTIONS requests are', async t => {
  for (const around of [false, true]) {
    const make = async (strictPreflight?: boolean) => {
      const app = Fastify()
      t.teardown(() => app.close())
      if (around) await app.register(cors, { origin: ORIGIN })
      await register(app, { cors: { origin: ORIGIN, ...strictPreflight !== undefined && { strictPreflight } } })
      return app.inject({ method: 'OPTIONS', url: '/files', headers: { origin: ORIGIN } })
    }
    t.equal((await make(true)).statusCode, 400)
    t.match(await make(false), { statusCode: 204, headers: { 'tus-version': '1.0.0', 'access-control-allow-methods': /PATCH/ } })
    const unsaid = await make()
    t.match(unsaid, { statusCode: 204, headers: { 'tus-version': '1.0.0' } })
    t.notOk('access-control-allow-methods' in unsaid.headers)
  }
})

t.test('the hook that the option names is where it works', async t => {
  for (const hook of ['preParsing', 'preValidation', 'preHandler'] as const) {
    const app = Fastify()
    t.teardown(() => app.close())
    const order: string[] = []
    app.addHook(hook as 'onRequest', async () => { order.push(hook) })
    app.addHook('onRequest', async () => { order.push('onRequest') })
    await register(app, { cors: { origin: ORIGIN, hook } })
    t.match(await preflight(app, '/files'), { statusCode: 204, headers: { 'access-control-allow-origin': ORIGIN, 'access-control-allow-methods': /PATCH/ } })
    t.same(order, ['onRequest'])
    t.equal((await app.inject({ method: 'POST', url: '/files', headers: { ...TUS, 'upload-length': '5' } })).statusCode, 201)
  }
})

t.test('options that @fastify/cors refuses are refused at registration', async t => {
  const app = Fastify()
  t.teardown(() => app.close())
  await t.rejects(register(app, { cors: { hook: 'onError' } as unknown as FastifyCorsOptions }), { code: 'TUS_ERR_OPTION_INVALID', message: /'cors'.*hook/ })
})

t.test('what a route says to @fastify/cors in its config holds', async t => {
  for (const around of [false, true]) {
    const app = Fastify()
    t.teardown(() => app.close())
    if (around) await app.register(cors, { origin: 'https://other.example' })
    await register(app, { cors: {}, routeOptions: { config: { cors: { origin: ORIGIN, maxAge: 3 } } as object } })
    app.post('/documents', { config: { cors: { origin: 'https://third.example' } } as object }, app.tus.resumable(async () => 'fine'))
    app.post('/closed', { config: { cors: false } as object }, app.tus.resumable(async () => 'fine'))
    t.match((await preflight(app, '/files')).headers, { 'access-control-allow-origin': ORIGIN, 'access-control-max-age': '3' })
    t.equal((await preflight(app, '/documents')).headers['access-control-allow-origin'], 'https://third.example')
    t.notOk('access-control-allow-origin' in (await preflight(app, '/closed')).headers)
  }
})

t.test('two registrations keep their options apart, on routes of the application too', async t => {
  const app = Fastify()
  t.teardown(() => app.close())
  for (const name of ['a', 'b']) {
    await app.register(async scope => {
      await register(scope, { prefix: `/${name}`, cors: { origin: `https://${name}.example` } })
      scope.post(`/documents-${name}`, scope.tus.resumable(async () => 'fine'))
    })
  }
  for (const name of ['a', 'b']) {
    for (const path of [`/${name}`, `/documents-${name}`]) t.equal((await preflight(app, path)).headers['access-control-allow-origin'], `https://${name}.example`, path)
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
  const late = Fastify()
  t.teardown(() => late.close())
  await register(late, { cors: { delegator } })
  await late.register(cors)
  await t.rejects(Promise.resolve(late.ready()), { code: 'TUS_ERR_OPTION_INVALID', message: /'cors'.*delegator/ })
})

t.test('a delegator leaves open what it does not say, and may answer later or by a callback', async t => {
  const delegators: ReadonlyArray<NonNullable<FastifyCorsOptions['delegator']>> = [
    async ({ headers }: FastifyRequest) => ({ origin: headers.origin === ORIGIN, exposedHeaders: ['X-Mine'] }),
    ({ headers }: FastifyRequest, done: (error: null, options: FastifyCorsOptions) => void) => { setImmediate(done, null, { origin: headers.origin === ORIGIN, exposedHeaders: ['X-Mine'] }) }
  ]
  for (const delegator of delegators) {
    for (const setup of [own, beside, before]) {
      const app = await makeApp(t, setup, { delegator })
      const { headers } = await preflight(app, '/files')
      assertLists(t, headers['access-control-allow-methods'], METHODS)
      assertLists(t, headers['access-control-allow-headers'], ALLOWED)
      assertLists(t, headers['access-control-expose-headers'], [...EXPOSED, 'X-Mine'])
      t.notOk('access-control-allow-origin' in (await preflight(app, '/files', 'PATCH', { origin: 'https://evil.example' })).headers)
      t.match(await app.inject({ method: 'OPTIONS', url: '/files', headers: { origin: ORIGIN } }), { statusCode: 204, headers: { 'tus-version': '1.0.0', 'access-control-allow-origin': ORIGIN } })
    }
  }
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
