import Fastify, { type FastifyInstance, type FastifyReply, type FastifyRequest, type FastifyServerOptions } from 'fastify'
import { runInNewContext } from 'node:vm'
import t, { type Test } from 'tap'
import { createFsStorage } from '../../adapters/fs/index.js'
import { createMemoryStorage } from '../../adapters/memory/index.js'
import fastifyTus, { StorageFull, StorageUnavailable, type Storage, type TusOptions } from '../../lib/index.js'
import { Upload } from 'tus-js-client'
import { makeApp, startApp } from '../support/app.js'
import { BYTES, TUS, createGate, createUpload, head, makeBytes, patch, post, until } from '../support/http-tus.js'
import { formatHead, openRaw, type RawClient } from '../support/raw-socket.js'

/** A storage whose methods of these names fail while `failure` gives an error. */
function createFailing (names: ReadonlyArray<keyof Storage>, failure: () => Error | null): Storage {
  const storage = createMemoryStorage()
  const handler: ProxyHandler<Storage> = {
    get (target, name) {
      const method = Reflect.get(target, name)
      if (!names.includes(name as keyof Storage)) return typeof method === 'function' ? method.bind(target) : method
      return async (...args: unknown[]) => {
        const error = failure()
        if (error) throw error
        return method.apply(target, args)
      }
    }
  }
  return new Proxy(storage, handler)
}

const FAILURES: ReadonlyArray<readonly [name: string, create: () => Error, status: number]> = [
  ['that is away', () => new StorageUnavailable('away'), 503],
  ['that is full', () => new StorageFull('full'), 507],
  ['that says EACCES', () => Object.assign(new Error('no'), { code: 'EACCES' }), 500],
  ['that says EMFILE', () => Object.assign(new Error('no'), { code: 'EMFILE' }), 500],
  ['that says what is not known', () => new Error('?'), 500]
]

for (const [name, create, status] of FAILURES) {
  t.test(`a storage ${name}: HEAD is 423 with Retry-After, everything else says so`, async t => {
    let isAway = false
    const { app } = await startApp(t, { storage: createFailing(['find', 'create', 'append'], () => isAway ? create() : null) })
    const url = await createUpload(app)
    isAway = true
    t.match(await head(app, url), { statusCode: 423, headers: { 'retry-after': /^\d+$/, 'cache-control': 'no-store', 'tus-resumable': '1.0.0' } })
    t.match(await app.inject({ method: 'POST', url, headers: { ...TUS, 'x-http-method-override': 'HEAD' } }), { statusCode: 423, headers: { 'retry-after': /^\d+$/ } })
    for (const response of [await patch(app, url, 0, 'hello'), await post(app, { 'upload-length': '5' })]) {
      t.match(response, { statusCode: status, ...status === 503 && { headers: { 'retry-after': /^\d+$/ } } })
    }
    isAway = false
    t.match(await head(app, url), { statusCode: 200, headers: { 'upload-offset': '0' } })
    t.equal((await patch(app, url, 0, 'hello')).statusCode, 204)
  })
}

t.test('a creation whose bytes could not be stored, because the storage was away, tells the upload that it created', async t => {
  for (const readable of [true, false]) {
    let isAway = false
    const { app } = await startApp(t, { storage: createFailing(readable ? ['append'] : ['append', 'find'], () => isAway ? new StorageUnavailable('away') : null) })
    app.tus.addHook('postCreate', () => { isAway = true })
    const created = await post(app, { 'upload-length': '5', ...BYTES }, 'hello')
    t.match(created, { statusCode: 201, headers: { location: String, 'upload-offset': '0' } })
    isAway = false
    const url = created.headers.location!
    t.match(await head(app, url), { statusCode: 200, headers: { 'upload-offset': '0' } })
    t.equal((await patch(app, url, 0, 'hello')).statusCode, 204)
    t.equal((await app.inject(url)).body, 'hello')
  }
})

t.test('a creation whose bytes are all stored, while the completion fails, does not say so', async t => {
  let isAway = true
  const { app } = await startApp(t, { storage: createFailing(['complete'], () => isAway ? new StorageUnavailable('away') : null) })
  app.tus.addHook('preFinish', () => {})
  const created = await post(app, { 'upload-length': '5', ...BYTES }, 'hello')
  const url = created.headers.location!
  t.match(created, { statusCode: 201, headers: { 'upload-offset': '0' } })
  t.equal((await head(app, url)).statusCode, 423)
  isAway = false
  t.match(await patch(app, url, 0, 'hello'), { statusCode: 409, headers: { 'upload-offset': '5' } })
  t.match(await head(app, url), { statusCode: 200, headers: { 'upload-offset': '5' } })
})

t.test('a creation is refused where the storage was away and the upload is gone', async t => {
  let isAway = false
  const storage = createFailing(['append'], () => isAway ? new StorageUnavailable('away') : null)
  const { app } = await startApp(t, { storage })
  app.tus.addHook('postCreate', async (_request, { id }) => {
    await storage.remove(id)
    isAway = true
  })
  t.equal((await post(app, { 'upload-length': '5', ...BYTES }, 'hello')).statusCode, 503)
})

t.test('the draft: HEAD is 423 in the versions that tus-js-client speaks, and 503 in others', async t => {
  let isAway = false
  const { app } = await startApp(t, { storage: createFailing(['find'], () => isAway ? new StorageUnavailable('away') : null) })
  const url = await createUpload(app)
  isAway = true
  for (const [version, status] of [['3', 503], ['5', 423], ['6', 423], ['8', 503], ['9', 503]] as const) {
    const answer = await app.inject({ method: 'HEAD', url, headers: { 'upload-draft-interop-version': version } })
    t.match(answer, { statusCode: status, headers: { 'retry-after': /^\d+$/ } }, version)
  }
})

t.test('a hook that fails does not make a client forget its upload', async t => {
  const { app } = await startApp(t)
  const url = await createUpload(app)
  app.tus.addHook('preAccess', () => { throw new Error('the database is away') })
  t.match(await head(app, url), { statusCode: 423, headers: { 'retry-after': /^\d+$/ } })
  t.equal((await patch(app, url, 0, 'hello')).statusCode, 500)
})

t.test('a completion that fails for good is never told as a file', async t => {
  let fails = true
  let finished = 0
  const { app } = await startApp(t, { storage: createFailing(['complete'], () => fails ? Object.assign(new Error('AccessDenied'), { name: 'AccessDenied' }) : null) })
  app.tus.addHook('postFinish', () => { finished++ })
  const url = await createUpload(app)
  t.equal((await patch(app, url, 0, 'hello')).statusCode, 500)
  for (let asked = 0; asked < 3; asked++) t.match(await head(app, url), { statusCode: 423, headers: { 'upload-offset': undefined, 'retry-after': /^\d+$/ } })
  t.equal((await app.inject(url)).statusCode, 404)
  t.equal(finished, 0)
  fails = false
  t.match(await head(app, url), { statusCode: 200, headers: { 'upload-offset': '5' } })
  t.equal(finished, 1)
  t.equal((await app.inject(url)).body, 'hello')
})

t.test('a route whose handler could not be asked, because the storage was away, is not told as done', async t => {
  let isAway = false
  let runs = 0
  const storage = createFailing(['update'], () => isAway ? new StorageUnavailable('away') : null)
  // As on S3 and Azure, where no lock excludes other machines.
  const { app } = await makeApp(t, { storage: new Proxy(storage, { get: (target, name) => name === 'locker' ? undefined : Reflect.get(target, name) }) })
  app.post('/documents', app.tus.resumable(async () => ({ runs: ++runs })))
  const { headers: { location } } = await app.inject({ method: 'POST', url: '/documents', headers: { ...TUS, 'upload-length': '5' } })
  const url = new URL(location!, 'http://localhost').pathname
  isAway = true
  t.equal((await patch(app, url, 0, 'hello')).statusCode, 503)
  t.match(await head(app, url), { statusCode: 423, headers: { 'upload-offset': undefined, 'retry-after': /^\d+$/ } })
  t.equal(runs, 0)
  isAway = false
  t.match(await head(app, url), { statusCode: 200, headers: { 'upload-offset': '5' } })
  t.match(await patch(app, url, 5, ''), { statusCode: 200, body: '{"runs":1}' })
})

/** Uploads with tus-js-client as it comes; the storage is away from the moment that half of it is stored, for so many requests. */
async function uploadThroughOutage (t: Test, requests: number, options: object = {}): Promise<number> {
  const size = 8 * 64 * 1024
  let left = 0
  let creations = 0
  const { app, url } = await startApp(t, { storage: createFailing(['find', 'create', 'append'], () => left > 0 ? new StorageUnavailable('away') : null) })
  app.server.on('request', () => { left-- })
  app.tus.addHook('postCreate', () => { creations++ })
  await new Promise<void>((resolve, reject) => {
    new Upload(makeBytes(size), {
      endpoint: url,
      uploadSize: size,
      chunkSize: size / 8,
      retryDelays: [0, 20, 50, 100, 200, 400],
      onSuccess: () => resolve(),
      onError: reject,
      ...options,
      onChunkComplete: (_size, sent) => { if (sent === size / 2) left = requests }
    }).start()
  })
  return creations
}

t.test('tus-js-client resumes after an outage, and does not begin again', async t => {
  for (const requests of [1, 2, 3, 5]) t.equal(await uploadThroughOutage(t, requests), 1, `an outage of ${requests} requests`)
  for (const protocol of ['ietf-draft-03', 'ietf-draft-05']) t.equal(await uploadThroughOutage(t, 3, { protocol }), 1, protocol)
})

const BUSY: unknown = { statusCode: 503, message: 'busy' }
const TEXT: unknown = 'no'

const REFUSING: Readonly<Record<string, { readonly options?: TusOptions, readonly server?: FastifyServerOptions, readonly prepare?: (app: FastifyInstance) => unknown, readonly status: number }>> = {
  'a hook that sends an error': { status: 503, prepare: app => app.addHook('onRequest', async (request, reply) => { if (isRefused(request)) return reply.send(Object.assign(new Error('busy'), { statusCode: 503 })) }) },
  'a rate limit': {
    status: 429,
    prepare: app => app.addHook('preHandler', async (request, reply) => {
      if (!isRefused(request)) return
      reply.header('retry-after', '60')
      throw Object.assign(new Error('slow down'), { statusCode: 429 })
    })
  },
  'a hook that throws': { status: 500, prepare: app => app.addHook('preHandler', async request => { if (isRefused(request)) throw new Error('no') }) },
  'a hook that throws an object': { status: 503, prepare: app => app.addHook('onRequest', async request => { if (isRefused(request)) throw BUSY }) },
  'a hook that throws a text': { status: 500, prepare: app => app.addHook('preHandler', async request => { if (isRefused(request)) throw TEXT }) },
  'a hook that throws an error of another realm': {
    status: 503,
    prepare: app => app.addHook('preHandler', async request => { if (isRefused(request)) throw runInNewContext('Object.assign(new Error("x"), { statusCode: 503 })') })
  },
  'a hook that calls back with an object': {
    status: 503,
    prepare: app => app.addHook('preHandler', (request, _reply, done) => { if (isRefused(request)) done(BUSY as Error); else done() })
  },
  'a lifecycle hook with a status': { status: 502, prepare: app => app.tus.addHook('preAccess', request => { if (isRefused(request)) throw Object.assign(new Error('no'), { statusCode: 502 }) }) },
  'an error handler': { status: 504, prepare: app => app.tus.addHook('preAccess', request => { if (isRefused(request)) throw new Error('no') }), options: { routeOptions: { errorHandler: (_error, _request, reply) => { reply.code(504).send('no') } } } },
  handlerTimeout: {
    status: 503,
    server: { handlerTimeout: 100 },
    prepare: app => app.tus.addHook('preAccess', async request => { if (isRefused(request)) await new Promise(resolve => { setTimeout(resolve, 300) }) })
  }
}

function isRefused ({ headers }: Pick<FastifyRequest, 'headers'>): boolean {
  return headers['x-refuse'] !== undefined
}

for (const [name, { options, server, prepare, status }] of Object.entries(REFUSING)) {
  t.test(`${name}: HEAD of tus is 423 with Retry-After, and nothing else is`, async t => {
    const { app } = await makeApp(t, options, server)
    await app.after()
    prepare?.(app)
    const refused = { ...TUS, 'x-refuse': 'yes' }
    const { headers } = await app.inject({ method: 'POST', url: '/files', headers: { ...TUS, 'upload-length': '5' } })
    const url = new URL(headers.location!, 'http://localhost').pathname
    for (const request of [{ method: 'HEAD', url, headers: refused }, { method: 'POST', url, headers: { ...refused, 'x-http-method-override': 'HEAD' } }] as const) {
      t.match(await app.inject(request), { statusCode: 423, headers: { 'tus-resumable': '1.0.0', 'retry-after': name === 'a rate limit' ? '60' : /^\d+$/ } }, request.method)
    }
    t.equal((await app.inject({ method: 'PATCH', url, headers: { ...refused, ...BYTES, 'upload-offset': '0' }, payload: 'hello' })).statusCode, status)
    t.equal((await app.inject({ method: 'HEAD', url, headers: { 'upload-draft-interop-version': '8', 'x-refuse': 'yes' } })).statusCode, status, 'the draft')
    for (const version of ['5', '6']) {
      const answer = await app.inject({ method: 'HEAD', url, headers: { 'upload-draft-interop-version': version, 'x-refuse': 'yes' } })
      t.match(answer, { statusCode: 423, headers: { 'retry-after': /^\d+$/, 'tus-resumable': undefined } }, `the draft of tus-js-client, ${version}`)
    }
    t.match(await head(app, url), { statusCode: 200, headers: { 'upload-offset': '0' } })
  })
}

t.test('what a hook sends itself is its answer, also to HEAD', async t => {
  for (const status of [429, 500, 503]) {
    for (const stage of ['onRequest', 'preHandler'] as const) {
      const { app } = await makeApp(t)
      await app.after()
      app.addHook(stage, async (request: FastifyRequest, reply: FastifyReply) => { if (isRefused(request)) return reply.code(status).send('maintenance') })
      app.post('/documents', app.tus.resumable(async () => 'done'))
      for (const route of ['/files', '/documents']) {
        const { headers } = await app.inject({ method: 'POST', url: route, headers: { ...TUS, 'upload-length': '5' } })
        const url = new URL(headers.location!, 'http://localhost').pathname
        for (const method of ['HEAD', 'PATCH'] as const) t.equal((await app.inject({ method, url, headers: { ...TUS, 'x-refuse': 'yes' } })).statusCode, status, `${stage}, ${route}, ${method}`)
      }
    }
  }
})

t.test('a rate limit on the uploads of a resumable route: HEAD of tus is 423', async t => {
  const { app } = await makeApp(t)
  await app.after()
  app.addHook('onRequest', async request => { if (isRefused(request)) throw Object.assign(new Error('busy'), { statusCode: 429 }) })
  app.post('/documents', app.tus.resumable(async () => 'done'))
  const { headers } = await app.inject({ method: 'POST', url: '/documents', headers: { ...TUS, 'upload-length': '5' } })
  const url = new URL(headers.location!, 'http://localhost').pathname
  t.match(await app.inject({ method: 'HEAD', url, headers: { ...TUS, 'x-refuse': 'yes' } }), { statusCode: 423, headers: { 'retry-after': /^\d+$/ } })
  t.equal((await app.inject({ method: 'DELETE', url, headers: { ...TUS, 'x-refuse': 'yes' } })).statusCode, 429)
})

/** An application that closes, and does not get further as long as `gate` is shut: a hook of the last PATCH waits for it. */
async function startClosing (t: Test, options: TusOptions, server: FastifyServerOptions & { http2?: boolean } = {}) {
  const started = await startApp(t, options, server as FastifyServerOptions)
  const { app, port } = started
  const gate = createGate()
  const entered = createGate()
  const url = await createUpload(app)
  app.tus.addHook('postFinish', async (_request, { id }) => {
    if (!url.endsWith(id)) return
    entered.open()
    await gate.passed
  })
  return {
    ...started,
    url,
    gate,
    async close () {
      const request = server.http2 ? null : openRaw(t, port)
      if (request) await request.send(formatHead('PATCH', url, { ...TUS, ...BYTES, 'upload-offset': '0', 'content-length': '5' }) + 'hello')
      await entered.passed
      return app.close()
    }
  }
}

t.test('while Fastify closes and answers by itself: HEAD of tus is 423, everything else as Fastify has it', async t => {
  const { app, port, gate, close } = await startClosing(t, {})
  const other = await createUpload(app)
  const clients = Array.from({ length: 5 }, () => openRaw(t, port))
  // Connections that stay open for another request.
  for (const client of clients) {
    await client.send(formatHead('OPTIONS', '/files', {}))
    await client.receive('OPTIONS')
  }
  const closed = close()
  await until('it closes', async () => app.inject('/files').then(() => false, () => true))
  const [first, second, third, fourth, fifth] = clients as [RawClient, RawClient, RawClient, RawClient, RawClient]
  await first.send(formatHead('HEAD', other, TUS))
  t.match(await first.receive('HEAD'), { status: 423, headers: { 'retry-after': /^\d+$/, 'tus-resumable': '1.0.0', 'cache-control': 'no-store', connection: /close/i } })
  await second.send(formatHead('POST', other, { ...TUS, 'x-http-method-override': 'HEAD', 'content-length': '0' }))
  t.match(await second.receive('POST'), { status: 423 })
  await third.send(formatHead('HEAD', other, {}))
  t.match(await third.receive('HEAD'), { status: 503 })
  await fifth.send(formatHead('HEAD', other, { 'upload-draft-interop-version': '6' }))
  t.match(await fifth.receive('HEAD'), { status: 423, headers: { 'retry-after': /^\d+$/, 'tus-resumable': undefined } })
  await fourth.send(formatHead('PATCH', other, { ...TUS, ...BYTES, 'upload-offset': '0', 'content-length': '0' }))
  t.match(await fourth.receive('PATCH'), { status: 503 })
  gate.open()
  await closed
})

t.test('tus-js-client resumes over a graceful restart of an application that says nothing of return503OnClosing', async t => {
  const { app, port, directory, gate, close } = await startClosing(t, {})
  const size = 8 * 64 * 1024
  let creations = 0
  const statuses: string[] = []
  const note = (app: FastifyInstance) => app.server.prependListener('request', (request, response) => {
    if (request.method === 'POST') creations++
    response.once('finish', () => statuses.push(`${request.method} ${response.statusCode}`))
  })
  note(app)
  let restarted: Promise<unknown> | null = null
  const closing = createGate()
  app.tus.addHook('preAccess', async (_request, { offset }) => {
    if (offset < size / 2) return
    restarted ??= restart()
    await closing.passed
  })
  const restart = async () => {
    const closed = close()
    await until('it closes', async () => app.inject('/files').then(() => false, () => true))
    closing.open()
    await until('a client was told to ask later', () => statuses.includes('HEAD 423'))
    gate.open()
    await closed
    const next = Fastify()
    t.teardown(() => next.close())
    await next.register(fastifyTus, { storage: createFsStorage({ directory }) })
    await next.ready()
    note(next)
    await next.listen({ host: '127.0.0.1', port })
  }
  await new Promise<void>((resolve, reject) => {
    new Upload(makeBytes(size), {
      endpoint: `http://127.0.0.1:${port}/files`,
      uploadSize: size,
      chunkSize: size / 8,
      retryDelays: [0, ...Array.from({ length: 30 }, () => 100)],
      onSuccess: () => resolve(),
      onError: reject
    }).start()
  })
  await restarted
  t.equal(creations, 1, statuses.join(', '))
})
