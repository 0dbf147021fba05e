import Fastify, { type FastifyInstance, type FastifyReply, type FastifyServerOptions } from 'fastify'
import type { AddressInfo } from 'node:net'
import { Readable } from 'node:stream'
import { text } from 'node:stream/consumers'
import t, { type Test } from 'tap'
import { createFsStorage } from '../../adapters/fs/index.js'
import { createMemoryStorage } from '../../adapters/memory/index.js'
import fastifyTus, { type Storage, type TusOptions } from '../../lib/index.js'
import { listNames, makeDirectory } from '../support/app.js'
import { append, ask, begin, getPath, open, PARTIAL, receiveAll, retrieve, V8 } from '../support/ietf.js'
import { untilLockAsked, untilReceived } from '../support/observed.js'
import { until } from '../support/waiting.js'

interface Server {
  readonly app: FastifyInstance
  readonly port: number
  /** The bodies that the handler saw. */
  readonly seen: string[]
}

/** An application whose route takes documents of projects. */
async function start (t: Test, storage: Storage, { options = {}, server = {}, prepare = () => {} }: { options?: TusOptions, server?: FastifyServerOptions, prepare?: (app: FastifyInstance, seen: string[]) => void } = {}): Promise<Server> {
  const app = Fastify(server)
  const seen: string[] = []
  t.teardown(() => app.close())
  await app.register(fastifyTus, { storage, ...options })
  app.post<{ Params: { id: string }, Querystring: { tag?: string } }>('/projects/:id/files', app.tus.resumable(async (request, reply) => {
    const { id, metadata, complete } = request.upload!
    const body = await text(app.tus.createReadStream(id))
    seen.push(body)
    return reply.code(202).header('x-project', request.params.id).send({ body, tag: request.query.tag, type: metadata.filetype, complete })
  }))
  app.put('/echo', app.tus.resumable(async request => await text(app.tus.createReadStream(request.upload!.id))))
  app.post('/json', async request => request.body)
  prepare(app, seen)
  await app.listen({ host: '127.0.0.1', port: 0 })
  return { app, seen, port: (app.server.address() as AddressInfo).port }
}

const TARGET = '/projects/7/files?tag=x'
const EXPECTED = { body: 'hello world', tag: 'x', type: 'application/json', complete: true }
const JSON_TYPE = { 'content-type': 'application/json' }

t.test('one route serves every client: plain, both strategies of the draft, and tus', async t => {
  const { port, seen } = await start(t, createFsStorage({ directory: await makeDirectory(t) }))
  const answers = {
    plain: await ask(t, port, 'POST', TARGET, JSON_TYPE, 'hello world'),
    chunked: await ask(t, port, 'POST', TARGET, { ...JSON_TYPE, 'transfer-encoding': 'chunked' }, 'hello world'),
    optimistic: await ask(t, port, 'POST', TARGET, { ...JSON_TYPE, ...V8, 'upload-complete': '?1' }, 'hello world'),
    careful: await append(t, port, await begin(t, port, '', JSON_TYPE, TARGET), 0, 'hello world', '?1'),
    'in pieces': await append(t, port, await begin(t, port, 'hello', JSON_TYPE, TARGET), 5, ' world', '?1'),
    'with an empty end': await append(t, port, await begin(t, port, 'hello world', JSON_TYPE, TARGET), 11, '', '?1')
  }
  for (const [how, { status, headers, body }] of Object.entries(answers)) {
    t.match({ status, headers }, { status: 202, headers: { 'x-project': '7', 'content-type': 'application/json; charset=utf-8' } }, how)
    t.strictSame(JSON.parse(body), EXPECTED, how)
    if (how !== 'plain' && how !== 'chunked') t.match(headers, { 'upload-complete': '?1', 'upload-offset': '11' }, how)
  }
  t.match(answers.optimistic.interim, [{ status: 104, headers: { location: /\/projects\/7\/files\/~post\/[0-9a-f]{32}\?tag=x$/ } }])
  t.notOk('upload-complete' in answers.plain.headers, 'a plain client sees nothing of it')

  const TUS = { 'tus-resumable': '1.0.0' }
  const made = await ask(t, port, 'POST', TARGET, { ...TUS, 'upload-length': '11', 'upload-metadata': 'filetype YXBwbGljYXRpb24vanNvbg==' })
  const last = await ask(t, port, 'PATCH', getPath(made), { ...TUS, 'content-type': 'application/offset+octet-stream', 'upload-offset': '0' }, 'hello world')
  t.match(last, { status: 202, headers: { 'tus-resumable': '1.0.0', 'upload-offset': '11' } })
  t.strictSame(JSON.parse(last.body), EXPECTED)
  t.equal(seen.length, 7)
})

t.test('nothing else of the application is changed', async t => {
  const { port } = await start(t, createMemoryStorage())
  t.match(await ask(t, port, 'POST', '/json', JSON_TYPE, '{"a":1}'), { status: 200, body: '{"a":1}' })
  t.equal((await ask(t, port, 'POST', '/json', { 'content-type': 'image/png' }, 'x')).status, 415)
  t.match(await ask(t, port, 'PUT', '/echo', { 'content-type': 'nonsense' }, 'hello'), { status: 200, body: 'hello' }, 'any type is taken by a resumable route')
  t.match(await ask(t, port, 'PUT', '/echo', {}, 'hello'), { status: 200, body: 'hello' })
  t.match(await ask(t, port, 'PUT', '/echo', {}), { status: 200, body: '' })
  t.match(await ask(t, port, 'OPTIONS', '/echo'), { status: 204, headers: { 'upload-limit': /max-age/, 'accept-patch': 'application/partial-upload' } }, 'LI-5')
})

t.test('AP-7: another process answers with the handler, the parameters and the query of the first request', async t => {
  const directory = await makeDirectory(t)
  const [first, second] = [await start(t, createFsStorage({ directory })), await start(t, createFsStorage({ directory }))]
  const path = await begin(t, first.port, 'hello', JSON_TYPE, TARGET)
  const answer = await append(t, second.port, path, 5, ' world', '?1')
  t.match(answer, { status: 202, headers: { 'x-project': '7', 'upload-complete': '?1' } })
  t.strictSame(JSON.parse(answer.body), EXPECTED)
  t.same([first.seen, second.seen], [[], ['hello world']])
  for (const { port } of [first, second]) t.match(await append(t, port, path, 11, '', '?1'), { status: 202, body: answer.body, headers: { 'x-project': '7', 'upload-complete': '?1' } }, 'AP-10')
  t.match(await retrieve(t, first.port, path), { status: 204, headers: { 'upload-complete': '?1', 'upload-offset': '11' } })
  t.same([first.seen.length, second.seen.length], [0, 1], 'and the handler ran once')
})

t.test('a client that lost the answer gets it again, also if it left while the handler ran', async t => {
  let release = () => {}
  let calls = 0
  let noteCall = () => {}
  const called = new Promise<void>(resolve => { noteCall = resolve })
  const { port } = await start(t, createFsStorage({ directory: await makeDirectory(t) }), {
    prepare (app) {
      app.post('/slow', app.tus.resumable(async () => {
        calls++
        noteCall()
        await new Promise<void>(resolve => { release = resolve })
        return { calls }
      }))
    }
  })
  const path = await begin(t, port, 'hello', {}, '/slow')
  const client = await open(t, port, 'PATCH', path, { ...PARTIAL, 'upload-offset': '5', 'upload-complete': '?1', 'content-length': '1' }, '!')
  await called
  client.reset()
  const { result: again } = await untilLockAsked(path, () => append(t, port, path, 6, '', '?1'))
  release()
  t.match(await again, { status: 200, body: '{"calls":1}', headers: { 'upload-complete': '?1' } })
  t.equal(calls, 1)
})

t.test('XX-7: an upload belongs to the request that it was created for, and is not there for any other', async t => {
  const { port, seen } = await start(t, createFsStorage({ directory: await makeDirectory(t) }))
  const path = await begin(t, port, 'hello', {}, TARGET)
  const id = /~post\/(\w+)/.exec(path)![1]!
  for (const other of [`/files/${id}`, `/projects/8/files/~post/${id}`, `/echo/~put/${id}`]) {
    t.equal((await retrieve(t, port, other, V8)).status, 404, other)
    t.equal((await append(t, port, other, 5, '', '?1')).status, 404, other)
    t.equal((await ask(t, port, 'DELETE', other, V8)).status, 404, other)
  }
  const own = getPath(await ask(t, port, 'POST', '/files', { 'upload-complete': '?0' }, 'x'))
  t.equal((await retrieve(t, port, `/projects/7/files/~post/${own.split('/').at(-1)}`, V8)).status, 404)
  t.same(seen, [])
  t.match(await retrieve(t, port, path.replaceAll('~', '%7E').replace('/7/', '/%37/')), { status: 204 }, 'however the path is written')
})

t.test('the hooks of the route decide on every request, and so do those of the plugin', async t => {
  const order: string[] = []
  const { port } = await start(t, createMemoryStorage(), {
    prepare (app) {
      app.tus.addHook('preFinish', async () => { order.push('preFinish') })
      app.tus.addHook('postFinish', async () => { order.push('postFinish') })
      app.post('/private', {
        onRequest: async request => { if (request.headers.authorization !== 'me') throw Object.assign(new Error('not you'), { statusCode: 401 }) },
        preHandler: async request => { order.push(request.method) },
        schema: { response: { 200: { type: 'object', properties: { ok: { type: 'boolean' } } } } }
      }, app.tus.resumable(async () => {
        order.push('handler')
        return { ok: true, secret: 'x' }
      }))
    }
  })
  t.equal((await ask(t, port, 'POST', '/private', {}, 'x')).status, 401)
  const me = { authorization: 'me' }
  const path = await begin(t, port, 'hello', me, '/private')
  for (const answer of [await retrieve(t, port, path), await append(t, port, path, 5, '!', '?1'), await ask(t, port, 'DELETE', path)]) t.equal(answer.status, 401)
  t.match(await append(t, port, path, 5, '!', '?1', me), { status: 200, body: '{"ok":true}' }, 'with the schema of the response')
  t.same(order, ['POST', 'PATCH', 'preFinish', 'postFinish', 'handler'])
})

t.test('the schema of the route holds for its uploads, and what it makes of parameters', async t => {
  const { port } = await start(t, createMemoryStorage(), {
    prepare (app) {
      const schema = {
        params: { type: 'object', additionalProperties: false, properties: { number: { type: 'integer' } } },
        querystring: { type: 'object', additionalProperties: false, properties: { deep: { type: 'boolean' } } },
        headers: { type: 'object', required: ['x-title'], properties: { 'x-title': { type: 'string' } } },
        body: { type: 'object', required: ['nothing'] }
      }
      app.post('/typed/:number', { schema }, app.tus.resumable(async ({ params, query }) => ({ params, query })))
    }
  })
  const expected = { status: 200, body: '{"params":{"number":7},"query":{"deep":true}}' }
  const title = { 'x-title': 'x' }
  t.match(await ask(t, port, 'POST', '/typed/7?deep=true', title, 'hello'), expected)
  t.equal((await ask(t, port, 'POST', '/typed/7', {}, 'hello')).status, 400)
  t.equal((await ask(t, port, 'POST', '/typed/x', title, 'hello')).status, 400)
  const path = await begin(t, port, 'hello', title, '/typed/7?deep=true')
  t.match(await append(t, port, path, 5, '', '?1'), expected)
  t.equal((await retrieve(t, port, path.replace('/7/', '/x/'))).status, 400)
})

t.test('limits hold there as everywhere', async t => {
  const { port, seen } = await start(t, createMemoryStorage(), { options: { maxSize: 10 } })
  t.match(await ask(t, port, 'POST', TARGET, {}, 'hello world'), { status: 413 })
  t.match(await ask(t, port, 'POST', TARGET, { 'transfer-encoding': 'chunked' }, 'hello world'), { status: 413 })
  t.match(await ask(t, port, 'POST', TARGET, { 'upload-complete': '?1' }, 'hello world'), { status: 413, headers: { 'upload-limit': /max-size=10/ } })
  t.same(seen, [])
})

t.test('a plain request that breaks off leaves nothing', async t => {
  const directory = await makeDirectory(t)
  const { port, seen } = await start(t, createFsStorage({ directory }))
  for (const [framing, begun] of [[{ 'content-length': '11' }, 'hello'], [{ 'transfer-encoding': 'chunked' }, '5\r\nhello\r\n']] as const) {
    const client = await open(t, port, 'POST', TARGET, framing, begun)
    await until('it is created', async () => (await listNames(directory)).length > 0)
    client.reset()
    await until('it is gone', async () => (await listNames(directory)).length === 0)
  }
  t.same(seen, [])
})

t.test('AP-8: what the handler refuses is answered as such, kept, and says that the upload is complete', async t => {
  let calls = 0
  const { port } = await start(t, createMemoryStorage(), {
    prepare (app) {
      app.post('/strict', app.tus.resumable(async () => {
        calls++
        throw Object.assign(new Error('no such thing'), { statusCode: 422 })
      }))
    }
  })
  const path = await begin(t, port, 'hello', {}, '/strict')
  for (let round = 0; round < 2; round++) {
    t.match(await append(t, port, path, 5, '', '?1'), { status: 422, headers: { 'upload-complete': '?1' }, body: /no such thing/ })
  }
  t.equal(calls, 1)
  t.match(await ask(t, port, 'POST', '/strict', { ...V8, 'upload-complete': '?1' }, 'x'), { status: 422, headers: { 'upload-complete': '?1' } })
  t.match(await ask(t, port, 'POST', '/strict', {}, 'x'), { status: 422 })
})

t.test('what failed on this side is tried again by the next request, also by a HEAD', async t => {
  let failures = 2
  const { port } = await start(t, createMemoryStorage(), {
    prepare (app) {
      app.post('/moody', app.tus.resumable(async () => {
        if (failures-- > 0) throw new Error('the database is away')
        return { fine: true }
      }))
    }
  })
  const path = await begin(t, port, 'hello', {}, '/moody')
  t.match(await append(t, port, path, 5, '', '?1'), { status: 500, headers: { 'upload-complete': '?1' } })
  t.match(await retrieve(t, port, path), { status: 204, headers: { 'upload-offset': '5', 'upload-complete': '?0' } }, 'it failed again')
  t.match(await retrieve(t, port, path), { status: 204, headers: { 'upload-offset': '5', 'upload-complete': '?1' } }, 'and then not')
  t.match(await append(t, port, path, 5, '', '?1'), { status: 200, body: '{"fine":true}' })
  t.equal(failures, -1)
})

t.test('a client that goes by the length hears that a handler failed, and it runs again until it has answered', async t => {
  const thrown: unknown = { statusCode: 502 }
  const failures: Readonly<Record<string, (reply: FastifyReply) => unknown>> = {
    throws: () => { throw new Error('the database is away') },
    'throws an error of its own status': () => { throw Object.assign(new Error('the database is away'), { statusCode: 503 }) },
    'throws what is no error': () => { throw thrown },
    'answers with 500': reply => reply.code(500).send('not now')
  }
  for (const [how, fail] of Object.entries(failures)) {
    for (const [client, headers, status] of [['tus', { 'tus-resumable': '1.0.0' }, 200], ['version 6', { 'upload-draft-interop-version': '6' }, 204]] as const) {
      let runs = 0
      const { port } = await start(t, createMemoryStorage(), {
        prepare (app) { app.post('/moody', app.tus.resumable(async (_request, reply) => ++runs < 4 ? fail(reply) : { fine: true })) }
      })
      const path = await begin(t, port, 'hello', {}, '/moody')
      const name = `${how}: ${client}`
      t.equal((await append(t, port, path, 5, '', '?1')).status >= 500, true, name)
      for (let round = 0; round < 2; round++) {
        const later = await retrieve(t, port, path, headers)
        t.match(later, { status: 423, headers: { 'retry-after': /^\d+$/, 'upload-offset': undefined } }, name)
      }
      t.match(await retrieve(t, port, path, headers), { status, headers: { 'upload-offset': '5' } }, name)
      t.match(await append(t, port, path, 5, '', '?1'), { status: 200, body: '{"fine":true}' }, name)
      t.equal(runs, 4, name)
    }
  }
})

t.test('handlers answer as Fastify lets them: by value, by reply, later, by a stream, with nothing', async t => {
  const big = 'x'.repeat(300_000)
  const { port } = await start(t, createFsStorage({ directory: await makeDirectory(t) }), {
    prepare (app) {
      app.post('/value', app.tus.resumable(async () => 'text'))
      app.post('/sync', app.tus.resumable((_request, reply) => { reply.send('text') }))
      app.post('/later', app.tus.resumable((_request, reply) => { setTimeout(() => reply.send('text'), 20) }))
      app.post('/stream', app.tus.resumable(async (_request, reply) => reply.type('text/plain').send(Readable.from(['te', 'xt']))))
      app.post('/nothing', app.tus.resumable(async (_request, reply) => reply.code(204).send()))
      app.post('/big', app.tus.resumable(async (_request, reply) => reply.type('text/plain').send(big)))
      app.post('/bigstream', app.tus.resumable(async (_request, reply) => reply.type('text/plain').send(Readable.from([big.slice(0, 1000), big.slice(1000)]))))
    }
  })
  for (const [route, status, body] of [['value', 200, 'text'], ['sync', 200, 'text'], ['later', 200, 'text'], ['stream', 200, 'text'], ['nothing', 204, '']] as const) {
    const path = await begin(t, port, 'hello', {}, `/${route}`)
    for (let round = 0; round < 2; round++) t.match(await append(t, port, path, 5, '', '?1'), { status, body, headers: { 'upload-complete': '?1' } }, `${route} ${round}`)
    t.match(await ask(t, port, 'POST', `/${route}`, {}, 'hello'), { status, body }, route)
  }
  for (const route of ['big', 'bigstream']) {
    const path = await begin(t, port, 'hello', {}, `/${route}`)
    t.ok((await append(t, port, path, 5, '', '?1')).body.length >= 300_000, 'whole')
    t.match(await append(t, port, path, 5, '', '?1'), { status: 200, headers: { 'upload-complete': '?1' }, body: '' }, 'too long to be kept')
  }
})

t.test('a route may be below a prefix, and several methods may share a path', async t => {
  const app = Fastify()
  t.teardown(() => app.close())
  await app.register(fastifyTus, { storage: createMemoryStorage() })
  await app.register(async scope => {
    scope.post('/', scope.tus.resumable(async () => 'posted'))
    scope.put('/', scope.tus.resumable(async () => 'put'))
  }, { prefix: '/api/:tenant' })
  await app.listen({ host: '127.0.0.1', port: 0 })
  const { port } = app.server.address() as AddressInfo
  for (const [method, said] of [['POST', 'posted'], ['PUT', 'put']] as const) {
    for (const target of ['/api/a', '/api/a/']) {
      const path = getPath(await ask(t, port, method, target, { 'upload-complete': '?0' }, 'x'))
      t.match(path, new RegExp(`^/api/a/~${method.toLowerCase()}/`))
      t.match(await append(t, port, path, 1, '', '?1'), { status: 200, body: said })
    }
  }
  t.throws(() => app.post('/w/*', app.tus.resumable(async () => '')))
  const foreign = Fastify()
  t.teardown(() => foreign.close())
  foreign.post('/x', app.tus.resumable(async () => ''))
  t.match((await foreign.inject({ method: 'POST', url: '/x' })).json(), { code: 'TUS_ERR_ROUTE_INVALID' })
})

t.test('104 with the progress, and an older connection that is dropped, as on the plugin\'s own routes', async t => {
  const { port, seen } = await start(t, createFsStorage({ directory: await makeDirectory(t) }))
  const old = await open(t, port, 'POST', TARGET, { ...V8, ...JSON_TYPE, 'upload-complete': '?1', 'content-length': '11' }, 'hello')
  const path = getPath((await old.receiveAny())!)
  await untilReceived(path, 5)
  t.match(await retrieve(t, port, path), { headers: { 'upload-offset': '5', 'upload-complete': '?0', 'upload-length': '11' } })
  t.match(await receiveAll(old), { status: 503, headers: { 'upload-complete': '?0', connection: 'close' } }, 'no success for less than the whole')
  t.match(await append(t, port, path, 5, ' world', '?1'), { status: 202 })
  t.same(seen, ['hello world'])
})
