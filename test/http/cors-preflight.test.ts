import cors, { type FastifyCorsOptions } from '@fastify/cors'
import Fastify, { type FastifyInstance, type FastifyReply, type FastifyRequest, type FastifyServerOptions, type onRequestHookHandler } from 'fastify'
import fp from 'fastify-plugin'
import { connect } from 'node:http2'
import type { AddressInfo } from 'node:net'
import t, { type Test } from 'tap'
import { createMemoryStorage } from '../../adapters/memory/index.js'
import fastifyTus, { type Storage, type TusOptions } from '../../lib/index.js'
import { BYTES, TUS, type Headers } from '../support/http-tus.js'
import { ask } from '../support/ietf.js'

const ORIGIN = 'https://app.example.org'
const TOKEN = { authorization: 'Bearer good' }
const PREFLIGHT = { origin: ORIGIN, 'access-control-request-method': 'PATCH', 'access-control-request-headers': 'authorization,tus-resumable,upload-offset' }

/** What is no preflight, although it looks like one. */
const NEARLY: ReadonlyArray<readonly [string, Headers]> = [
  ['nothing', {}],
  ['an origin', { origin: ORIGIN }],
  ['a method', { 'access-control-request-method': 'PATCH' }],
  ['an empty origin', { origin: '', 'access-control-request-method': 'PATCH' }],
  ['an empty method', { origin: ORIGIN, 'access-control-request-method': '' }],
  ['headers alone', { origin: ORIGIN, 'access-control-request-headers': 'authorization' }]
]

interface Guarded {
  /** How often the application's hook has run. */
  count: number
}

type Add = (app: FastifyInstance) => unknown
/** Ways in which a hook refuses. */
const REFUSALS: Readonly<Record<string, (guarded: Guarded) => (request: FastifyRequest, reply: FastifyReply) => unknown>> = {
  'returns the reply': guarded => async ({ headers }, reply) => {
    guarded.count++
    if (headers.authorization !== TOKEN.authorization) return reply.code(401).send({ error: 'who?' })
  },
  throws: guarded => async ({ headers }) => {
    guarded.count++
    if (headers.authorization !== TOKEN.authorization) throw Object.assign(new Error('who?'), { statusCode: 401 })
  }
}
type Place = 'root before' | 'root after' | 'scope before' | 'scope after' | 'onRequest' | 'preParsing' | 'preValidation' | 'preHandler'
const PLACES: readonly Place[] = ['root before', 'root after', 'scope before', 'scope after', 'onRequest', 'preParsing', 'preValidation', 'preHandler']
/** Where the application registers @fastify/cors, if it does. */
type Theirs = 'none' | 'root first' | 'root last' | 'scope first' | 'scope last'
const THEIRS: readonly Theirs[] = ['none', 'root first', 'root last', 'scope first', 'scope last']

interface Setup {
  readonly place: Place
  readonly refusal: (guarded: Guarded) => (request: FastifyRequest, reply: FastifyReply) => unknown
  readonly theirs: Theirs
  readonly options: TusOptions
  readonly server?: FastifyServerOptions
}

interface Made {
  readonly app: FastifyInstance
  readonly guarded: Guarded
  /** The names of the methods of the storage that were called. */
  readonly calls: string[]
}

/** An application that asks for a token, with uploads of its own at `/t/files` and at `/t/documents`. */
async function makeApp (t: Test, { place, refusal, theirs, options, server = {} }: Setup): Promise<Made> {
  const guarded: Guarded = { count: 0 }
  const hook = refusal(guarded)
  const app = Fastify(server)
  t.teardown(() => app.close())
  const calls: string[] = []
  const at = (here: Theirs | Place, add: Add, instance: FastifyInstance) => here === place || here === theirs ? add(instance) : undefined
  const authorize: Add = instance => instance.addHook('onRequest', hook)
  const open: Add = instance => instance.register(cors, { origin: [ORIGIN] })
  const own = PLACES.indexOf(place) >= 4 ? { [place]: hook } : {}
  await at('root before', authorize, app)
  await at('root first', open, app)
  await app.register(async scope => {
    await at('scope before', authorize, scope)
    await at('scope first', open, scope)
    await scope.register(fastifyTus, { storage: watch(createMemoryStorage(), calls), routeOptions: own, ...options })
    scope.post('/documents', own, scope.tus.resumable(async () => 'fine'))
    await at('scope after', authorize, scope)
    await at('scope last', open, scope)
  }, { prefix: '/t' })
  await at('root after', authorize, app)
  await at('root last', open, app)
  await app.ready()
  return { app, guarded, calls }
}

/** Notes what is called, once the server runs. */
function watch (storage: Storage, calls: string[]): Storage {
  return new Proxy(storage, {
    get (target, name: keyof Storage) {
      const value = target[name]
      return typeof value === 'function' && name !== 'open' && name !== 'close' ? (...args: never[]) => { calls.push(name); return (value as (...args: never[]) => unknown).apply(target, args) } : value
    }
  })
}

async function checkPreflights (t: Test, { app, guarded, calls }: Made): Promise<void> {
  for (const url of ['/t/files', '/t/files/', '/t/files/some-id', '/t/documents', '/t/documents/~post/some-id']) {
    const response = await app.inject({ method: 'OPTIONS', url, headers: PREFLIGHT })
    t.match(response, { statusCode: 204, payload: '', headers: { 'access-control-allow-origin': ORIGIN, 'access-control-allow-methods': /PATCH/, 'access-control-allow-headers': /Tus-Resumable/i } }, url)
    t.same(Object.keys(response.headers).filter(name => !/^(?:access-control-|vary$|date$|connection$|content-length$)/.test(name)), [], 'and nothing else')
  }
  t.equal(guarded.count, 0, 'no hook has run')
  t.same(calls, [], 'the storage has heard of nothing')
}

async function checkOthers (t: Test, { app, guarded, calls }: Made, isFirst: boolean): Promise<void> {
  for (const url of ['/t/files', '/t/files/some-id', '/t/documents', '/t/documents/~post/some-id']) {
    for (const [name, headers] of NEARLY) {
      const { count } = guarded
      t.equal((await app.inject({ method: 'OPTIONS', url, headers })).statusCode, 401, `OPTIONS ${url} with ${name}`)
      t.ok(guarded.count > count)
      t.match(await app.inject({ method: 'OPTIONS', url, headers: { ...headers, ...TOKEN } }), { statusCode: 204, headers: { 'tus-version': '1.0.0' } }, 'and with a token, it is ours')
    }
  }
  for (const [method, url] of [['POST', '/t/files'], ['HEAD', '/t/files/some-id'], ['PATCH', '/t/files/some-id'], ['GET', '/t/files/some-id'], ['DELETE', '/t/files/some-id'], ['POST', '/t/documents'], ['PATCH', '/t/documents/~post/some-id']] as const) {
    for (const [headers, status] of [[{}, 401], [TOKEN, method === 'POST' ? 201 : 404]] as const) {
      const response = await app.inject({ method, url, headers: { ...TUS, ...BYTES, ...PREFLIGHT, 'upload-length': '5', 'upload-offset': '0', ...headers } })
      t.equal(response.statusCode, status, `${method} ${url}`)
      if (isFirst) t.match(response.headers, { 'access-control-allow-origin': ORIGIN, 'access-control-expose-headers': /Location.*Upload-Offset/ }, `${status} can be read`)
    }
    if (method !== 'POST') t.notOk(calls.includes('append') || calls.includes('remove'))
  }
}

for (const theirs of THEIRS) {
  t.test(`the option cors, and the application's @fastify/cors: ${theirs}`, async t => {
    for (const place of PLACES) {
      for (const [way, refusal] of Object.entries(REFUSALS)) {
        t.test(`a hook in ${place} that ${way} hears of no preflight, and of everything else`, async t => {
          const made = await makeApp(t, { place, refusal, theirs, options: { cors: theirs === 'none' ? { origin: [ORIGIN] } : {} } })
          await checkPreflights(t, made)
          await checkOthers(t, made, true)
        })
      }
    }
  })
}

t.test('the application\'s @fastify/cors alone answers preflights where it stands, and leaves other OPTIONS to tus', async t => {
  for (const theirs of ['root first', 'scope first'] as const) {
    for (const place of PLACES) {
      const isBefore = place === 'root before' || (place === 'scope before')
      t.test(`${theirs}, and a hook in ${place}`, async t => {
        const made = await makeApp(t, { place, refusal: REFUSALS.throws!, theirs, options: {} })
        const asked = await made.app.inject({ method: 'OPTIONS', url: '/t/files/some-id', headers: PREFLIGHT })
        if (isBefore && (place === 'root before' || theirs === 'scope first')) t.equal(asked.statusCode, 401, 'the application has its hook first')
        else {
          t.match(asked, { statusCode: 204, headers: { 'access-control-allow-origin': ORIGIN, 'access-control-allow-methods': 'GET,HEAD,POST' } })
          t.notOk('tus-resumable' in asked.headers)
          t.equal(made.guarded.count, 0)
        }
        await checkOthers(t, made, false)
      })
    }
  }
})

t.test('where there is no cors, a preflight is an OPTIONS request like any other', async t => {
  const made = await makeApp(t, { place: 'root before', refusal: REFUSALS.throws!, theirs: 'none', options: {} })
  await checkOthers(t, made, false)
  t.equal((await made.app.inject({ method: 'OPTIONS', url: '/t/files', headers: PREFLIGHT })).statusCode, 401)
})

t.test('routes of the application below the same hooks are as they were', async t => {
  const guarded: Guarded = { count: 0 }
  const app = Fastify()
  t.teardown(() => app.close())
  app.addHook('onRequest', REFUSALS.throws!(guarded))
  await app.register(cors, { origin: [ORIGIN] })
  await app.register(fastifyTus, { storage: createMemoryStorage(), cors: {} })
  app.post('/documents', app.tus.resumable(async () => 'fine'))
  app.all('/other', async () => 'fine')
  for (const url of ['/other', '/filesystem', '/nowhere']) {
    t.equal((await app.inject({ method: 'OPTIONS', url, headers: PREFLIGHT })).statusCode, 401, url)
  }
  const { headers } = await app.inject({ method: 'OPTIONS', url: '/other', headers: { ...PREFLIGHT, ...TOKEN } })
  t.equal(headers['access-control-allow-methods'], 'GET,HEAD,POST')
  t.equal((await app.inject({ url: '/other', headers: { origin: ORIGIN, ...TOKEN } })).headers['access-control-expose-headers'], undefined)
  t.equal((await app.inject({ method: 'OPTIONS', url: '/other', headers: TOKEN })).statusCode, 400, 'strict as ever')
})

t.test('a header that overrides the method makes no difference to a preflight, and has no effect by it', async t => {
  const made = await makeApp(t, { place: 'root before', refusal: REFUSALS.throws!, theirs: 'none', options: { cors: { origin: [ORIGIN] } } })
  for (const override of ['DELETE', 'POST', '']) {
    const response = await made.app.inject({ method: 'OPTIONS', url: '/t/files/some-id', headers: { ...TUS, ...PREFLIGHT, 'upload-length': '5', 'x-http-method-override': override } })
    t.equal(response.statusCode, 204)
  }
  t.same(made.calls, [])
  const asked = await made.app.inject({ method: 'OPTIONS', url: '/t/files/some-id', headers: { ...PREFLIGHT, 'access-control-request-method': 'POST', 'access-control-request-headers': 'x-http-method-override' } })
  t.match(asked.headers, { 'access-control-allow-methods': /POST/, 'access-control-allow-headers': /X-HTTP-Method-Override/ })
  t.equal((await made.app.inject({ method: 'OPTIONS', url: '/t/files/some-id', headers: { ...TOKEN, 'x-http-method-override': 'DELETE' } })).statusCode, 400)
})

t.test('the hooks onSend and onResponse of the application see the answer to a preflight', async t => {
  const app = Fastify()
  t.teardown(() => app.close())
  const seen: string[] = []
  app.addHook('onSend', async () => { seen.push('onSend') })
  app.addHook('onResponse', async ({ method }, { statusCode }) => { seen.push(`${method} ${statusCode}`) })
  await app.register(fastifyTus, { storage: createMemoryStorage(), cors: {} })
  await app.inject({ method: 'OPTIONS', url: '/files', headers: PREFLIGHT })
  t.same(seen, ['onSend', 'OPTIONS 204'])
})

t.test('a minified @fastify/cors, which has no names, answers as before', async t => {
  const minified = fp((app: FastifyInstance, options: FastifyCorsOptions, done: (error?: Error) => void) => {
    const addHook = (stage: string, hook: (...args: unknown[]) => unknown) => app.addHook(stage as 'onRequest', (...args) => hook(...args))
    cors(Object.create(app, { addHook: { value: addHook } }) as FastifyInstance, options, done)
  })
  for (const order of ['before', 'after'] as const) {
    const app = Fastify()
    t.teardown(() => app.close())
    if (order === 'before') await app.register(minified, { origin: [ORIGIN] })
    await app.register(fastifyTus, { storage: createMemoryStorage(), cors: {} })
    if (order === 'after') await app.register(minified, { origin: [ORIGIN] })
    t.match(await app.inject({ method: 'OPTIONS', url: '/files', headers: PREFLIGHT }), { statusCode: 204, headers: { 'access-control-allow-origin': ORIGIN, 'access-control-allow-methods': /PATCH/ } }, order)
    t.match(await app.inject({ method: 'OPTIONS', url: '/files' }), { statusCode: 204, headers: { 'tus-version': '1.0.0' } }, order)
    t.notOk('access-control-allow-origin' in (await app.inject({ method: 'OPTIONS', url: '/files', headers: { ...PREFLIGHT, origin: 'https://evil.example' } })).headers, order)
  }
})

t.test('a @fastify/cors that a framework calls from a hook of its own answers preflights before the hooks after it', async t => {
  for (const preflightContinue of [undefined, false, true]) {
    const app = Fastify()
    t.teardown(() => app.close())
    const hooks: onRequestHookHandler[] = []
    app.addHook('onRequest', function (request, reply, done) { hooks[0]!.call(this, request, reply, done) })
    await app.register(fp((app: FastifyInstance, options: FastifyCorsOptions, done: (error?: Error) => void) => {
      cors(Object.create(app, { addHook: { value: (_stage: string, hook: onRequestHookHandler) => { hooks.push(hook) } } }) as FastifyInstance, options, done)
    }), { origin: [ORIGIN] })
    const onRequest = async (request: FastifyRequest, reply: FastifyReply) => request.headers.authorization === TOKEN.authorization ? undefined : reply.code(401).send('')
    await app.register(fastifyTus, { storage: createMemoryStorage(), routeOptions: { onRequest }, cors: preflightContinue === undefined ? {} : { preflightContinue } })
    const headers = { 'access-control-allow-origin': ORIGIN, 'access-control-allow-methods': /PATCH/, 'access-control-allow-headers': /upload-offset/i }
    t.match(await app.inject({ method: 'OPTIONS', url: '/files', headers: PREFLIGHT }), preflightContinue ? { statusCode: 401 } : { statusCode: 204, headers })
    t.equal((await app.inject({ method: 'OPTIONS', url: '/files' })).statusCode, 401, 'what is no preflight is asked for a token')
    t.match(await app.inject({ method: 'OPTIONS', url: '/files', headers: TOKEN }), { statusCode: 204, headers: { 'tus-version': '1.0.0' } })
    const post = { method: 'POST', url: '/files', headers: { origin: ORIGIN, 'tus-resumable': '1.0.0', 'upload-length': '5' } } as const
    t.match(await app.inject(post), { statusCode: 401, headers: { 'access-control-allow-origin': ORIGIN } })
    t.match(await app.inject({ ...post, headers: { ...post.headers, ...TOKEN } }), { statusCode: 201, headers: { 'access-control-expose-headers': /Location/ } })
  }
})

t.test('over HTTP/1 and HTTP/2 the same holds', async t => {
  for (const http2 of [false, true]) {
    const server = { http2 } as FastifyServerOptions
    const made = await makeApp(t, { place: 'root before', refusal: REFUSALS['returns the reply']!, theirs: 'none', options: { cors: { origin: [ORIGIN] } }, server })
    await made.app.listen({ host: '127.0.0.1', port: 0 })
    const base = `http://127.0.0.1:${(made.app.server.address() as AddressInfo).port}`
    const send = http2 ? askHttp2(t, base) : askHttp1(t, base)
    t.match(await send('OPTIONS', PREFLIGHT), { status: 204, headers: { 'access-control-allow-origin': ORIGIN, 'access-control-allow-methods': /PATCH/ } })
    t.equal(made.guarded.count, 0)
    for (const [name, headers] of NEARLY.filter(([name]) => !name.startsWith('an empty'))) {
      t.equal((await send('OPTIONS', headers)).status, 401, name)
      t.match(await send('OPTIONS', { ...headers, ...TOKEN }), { status: 204, headers: { 'tus-version': '1.0.0' } })
    }
    t.match(await send('PATCH', { ...TUS, ...BYTES, ...PREFLIGHT, 'upload-offset': '0' }), { status: 401, headers: { 'access-control-allow-origin': ORIGIN } })
    t.same(made.calls, [])
  }
})

type Ask = (method: string, headers: Headers) => Promise<{ status: number, headers: Record<string, unknown> }>

function askHttp1 (t: Test, base: string): Ask {
  return (method, headers) => ask(t, Number(new URL(base).port), method, '/t/files/some-id', headers)
}

function askHttp2 (t: Test, base: string): Ask {
  const client = connect(base)
  t.teardown(() => client.destroy())
  return (method, headers) => new Promise((resolve, reject) => {
    const stream = client.request({ ':method': method, ':path': '/t/files/some-id', ...headers })
    stream.once('response', received => resolve({ status: Number(received[':status']), headers: received })).once('error', reject).resume().end()
  })
}
