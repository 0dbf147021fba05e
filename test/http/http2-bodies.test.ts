import { tracingChannel } from 'node:diagnostics_channel'
import type { FastifyInstance, FastifyServerOptions } from 'fastify'
import { constants, type IncomingHttpHeaders } from 'node:http2'
import type { AddressInfo } from 'node:net'
import { text } from 'node:stream/consumers'
import t, { type Test } from 'tap'
import { createFsStorage } from '../../adapters/fs/index.js'
import { createMemoryStorage } from '../../adapters/memory/index.js'
import type { TusOptions } from '../../lib/index.js'
import { makeApp, makeDirectory, startApp } from '../support/app.js'
import { ask, openSession, send } from '../support/http2.js'
import { BYTES, TUS, createGate, createUpload, getOffset, listFiles, patch, until } from '../support/http-tus.js'
import { PARTIAL, V8 } from '../support/ietf.js'
import { untilReceived } from '../support/observed.js'
import { openRawHttp2, type RawHttp2Client } from '../support/raw-http2.js'
import { exchangeRaw, formatChunk, formatHead, openRaw } from '../support/raw-socket.js'

// HTTP/2 tells by a flag that a body ends: no header needs to say that there is one, and a stream that is reset looks as if it had ended.

interface Server {
  readonly app: FastifyInstance
  readonly port: number
  readonly directory: string
  /** Bodies that failed, by the code of their error. */
  readonly failed: string[]
  /** What the handler of the route read, each time it ran. */
  readonly handled: string[]
}

const requests = tracingChannel('fastify-tus:request')
const HTTP2 = { http2: true } as FastifyServerOptions

/** Uploads get the id `one`. */
async function start (t: Test, options: TusOptions = {}, directory?: string): Promise<Server> {
  const folder = directory ?? await makeDirectory(t)
  const { app } = await makeApp(t, { storage: createFsStorage({ directory: folder }), generateId: () => 'one', ...options }, HTTP2)
  const failed: string[] = []
  const handled: string[] = []
  app.tus.addHook('postFail', (_request, _upload, error) => { failed.push(String((error as { code?: string }).code)) })
  app.post('/documents', app.tus.resumable(async request => {
    handled.push(await text(app.tus.createReadStream(request.upload!)))
    return {}
  }))
  await app.listen({ host: '127.0.0.1', port: 0 })
  return { app, port: (app.server.address() as AddressInfo).port, directory: folder, failed, handled }
}

async function list (app: FastifyInstance): Promise<Array<{ offset: number, complete: boolean }>> {
  const found = []
  for await (const { offset, complete } of app.tus.list()) found.push({ offset, complete })
  return found
}

/** A request whose client sends `hello` of something longer: all that only its end would tell to be complete, and two that a length tells. */
const REQUESTS: Readonly<Record<string, { method: string, path: string, headers: Record<string, string>, before?: Record<string, string>, left: number | null }>> = {
  'a creation of the draft': { method: 'POST', path: '/files', headers: { ...V8, 'upload-complete': '?1' }, left: 5 },
  'a creation of the draft with a length': { method: 'POST', path: '/files', headers: { ...V8, 'upload-complete': '?1', 'upload-length': '9' }, left: 5 },
  'an append of the draft': {
    method: 'PATCH', path: '/files/one', headers: { ...V8, ...PARTIAL, 'upload-offset': '0', 'upload-complete': '?1' }, before: { ...V8, 'upload-complete': '?0' }, left: 5
  },
  'a resumable request to a route': { method: 'POST', path: '/documents', headers: { ...V8, 'upload-complete': '?1', 'content-type': 'text/plain' }, left: 5 },
  'a plain request to a route': { method: 'POST', path: '/documents', headers: { 'content-type': 'text/plain' }, left: null },
  'a chunk of tus': { method: 'PATCH', path: '/files/one', headers: { ...TUS, ...BYTES, 'upload-offset': '0' }, before: { ...TUS, 'upload-length': '9' }, left: 5 },
  'a chunk of tus that tells the length': {
    method: 'PATCH', path: '/files/one', headers: { ...TUS, ...BYTES, 'upload-offset': '0', 'upload-length': '9' }, before: { ...TUS, 'upload-defer-length': '1' }, left: 5
  },
  'a creation of tus': { method: 'POST', path: '/files', headers: { ...TUS, ...BYTES, 'upload-length': '9' }, left: 5 }
}

/** Ways in which a client, or what is between, breaks a stream off. */
const BREAKS: Readonly<Record<string, (client: RawHttp2Client) => void>> = {
  ...Object.fromEntries(['NO_ERROR', 'PROTOCOL_ERROR', 'INTERNAL_ERROR', 'STREAM_CLOSED', 'REFUSED_STREAM', 'CANCEL', 'ENHANCE_YOUR_CALM'].map((name, index) =>
    [`RST_STREAM ${name}`, (client: RawHttp2Client) => client.reset([0, 1, 2, 5, 7, 8, 11][index]!)])),
  'RST_STREAM with a code that nobody knows': client => client.reset(0xfeed),
  'an end and RST_STREAM CANCEL behind it': client => client.endAndReset(8),
  'an end and RST_STREAM NO_ERROR behind it': client => client.endAndReset(0),
  'GOAWAY and the end of the connection': client => {
    client.goAway(0)
    client.socket.end()
  },
  'GOAWAY with an error': client => {
    client.goAway(2)
    client.socket.end()
  },
  'the end of the connection': client => { client.socket.end() },
  'a reset of the connection': client => { client.socket.resetAndDestroy() }
}

for (const [what, { method, path, headers, before, left }] of Object.entries(REQUESTS)) {
  t.test(`${what} without Content-Length that breaks off in the middle is not complete`, async t => {
    for (const [how, breakOff] of Object.entries(BREAKS)) {
      await t.test(how, async t => {
        const { app, port, failed, handled } = await start(t)
        if (before) t.equal((await app.inject({ method: 'POST', url: '/files', headers: before })).statusCode, 201)
        const client = openRawHttp2(t, port)
        client.request(method, path, headers)
        client.data('hello')
        await untilReceived('one', 5)
        breakOff(client)
        // What is only a piece may end before the reset is seen: then it was one, and is stored.
        const mayEnd = what.includes('of tus') && how.startsWith('an end')
        await until('the request has ended', async () => failed.length > 0 || (mayEnd && (await list(app))[0]?.offset === 5))
        if (!mayEnd || failed.length > 0) t.strictSame(failed, ['TUS_ERR_BODY_CUT'])
        await until('it is undone, where nobody can resume it', async () => left !== null || (await list(app)).length === 0)
        t.strictSame(await list(app), left === null ? [] : [{ offset: left, complete: false }])
        t.strictSame(handled, [])
      })
    }
  })
}

t.test('a client of the draft resumes after a reset, and the handler gets the whole', async t => {
  const { app, port, failed, handled } = await start(t)
  const client = openRawHttp2(t, port)
  client.request('POST', '/documents', { ...V8, 'upload-complete': '?1', 'content-type': 'text/plain' })
  client.data('hello')
  await untilReceived('one', 5)
  client.reset(0)
  await until('the request has ended', () => failed.length > 0)
  const session = openSession(t, port)
  const path = '/documents/~post/one'
  t.match(await ask(session, 'HEAD', path, V8), { status: 204, headers: { 'upload-offset': '5', 'upload-complete': '?0' } })
  t.match(await ask(session, 'PATCH', path, { ...V8, ...PARTIAL, 'upload-offset': '5', 'upload-complete': '?1' }, ' world'), { status: 200 })
  t.strictSame(handled, ['hello world'])
  t.strictSame(await list(app), [{ offset: 11, complete: true }])
})

for (const [what, headers] of Object.entries({ 'a plain request': { 'content-type': 'text/plain' }, 'a creation': { ...V8, 'upload-complete': '?1' } })) {
  t.test(`${what} whose stream is reset before its body is read leaves nothing that looks complete`, async t => {
    const { app, port, handled } = await start(t)
    const asked = createGate()
    const decided = createGate()
    const reset = createGate()
    const ended = createGate()
    app.tus.addHook('preCreate', ({ raw }) => {
      raw.once('close', reset.open)
      asked.open()
      return decided.passed
    })
    const hear = () => ended.open()
    requests.asyncEnd.subscribe(hear)
    t.teardown(() => requests.asyncEnd.unsubscribe(hear))
    const client = openRawHttp2(t, port)
    client.request('POST', '/documents', headers)
    client.data('hello')
    await asked.passed
    client.reset(0)
    await reset.passed
    decided.open()
    await ended.passed
    t.strictSame(await list(app), [])
    t.strictSame(handled, [])
  })
}

t.test('a client that ends each stream that it resets, as that of Node does, completes nothing', async t => {
  const { app, port, failed, handled } = await start(t, { storage: createMemoryStorage() })
  const session = openSession(t, port)
  for (const code of [constants.NGHTTP2_NO_ERROR, constants.NGHTTP2_CANCEL, constants.NGHTTP2_INTERNAL_ERROR]) {
    for (const [path, headers] of [['/files', { ...V8, 'upload-complete': '?1' }], ['/documents', { 'content-type': 'text/plain' }]] as const) {
      const before = failed.length
      const { stream } = send(session, 'POST', path, headers)
      stream.write('hello')
      await untilReceived('one', 5)
      stream.close(code)
      await until('the request has ended', () => failed.length > before)
      t.strictSame((await list(app)).filter(({ complete }) => complete), [])
      await app.tus.terminate('one')
    }
  }
  t.strictSame(handled, [])
})

for (const path of ['/files', '/documents']) {
  t.test(`a server that closes in the middle of a body at ${path} keeps what came, as incomplete`, async t => {
    const server = await start(t)
    const session = openSession(t, server.port)
    const { stream } = send(session, 'POST', path, { ...V8, 'upload-complete': '?1', 'content-type': 'text/plain' })
    const gone = new Promise(resolve => stream.once('close', resolve))
    stream.write('hello')
    await untilReceived('one', 5)
    const closed = server.app.close()
    await gone
    t.equal(stream.rstCode, constants.NGHTTP2_INTERNAL_ERROR)
    session.destroy()
    await closed
    t.strictSame(server.failed, ['TUS_ERR_SHUTTING_DOWN'])
    t.strictSame(server.handled, [])
    const { app } = await start(t, {}, server.directory)
    t.strictSame(await list(app), [{ offset: 5, complete: false }])
  })
}

t.test('CU-4, CU-5: a creation of tus without Content-Length stores its body', async t => {
  const { app, port } = await start(t)
  const answer = await ask(openSession(t, port), 'POST', '/files', { ...TUS, ...BYTES, 'upload-length': '5' }, 'hello')
  t.match(answer, { status: 201, headers: { 'upload-offset': '5' } })
  t.equal((await app.inject('/files/one')).body, 'hello')
})

t.test('CU-2, CU-3, CU-6: and is refused as any other, before anything is stored', async t => {
  const refused: Array<[number, Record<string, string>, TusOptions?]> = [
    [415, { 'content-type': 'text/plain', 'upload-length': '5' }],
    [415, { 'upload-length': '5' }],
    [415, { ...BYTES, 'content-encoding': 'gzip', 'upload-length': '5' }],
    [400, { ...BYTES, 'upload-length': '5' }, { extensions: ['creation'] }],
    [403, { ...BYTES, 'upload-concat': 'final;/files/a' }]
  ]
  for (const [status, headers, options] of refused) {
    const { port, directory } = await start(t, options)
    const session = openSession(t, port)
    t.match(await ask(session, 'POST', '/files', { ...TUS, ...headers }, 'hello'), { status })
    t.match(await ask(session, 'POST', '/files', { ...TUS, ...headers, 'content-length': '5' }, 'hello'), { status })
    t.match(await ask(session, 'OPTIONS', '/files', TUS), { status: 204 }, 'the session serves another request')
    t.same(await listFiles(directory), [])
  }
  const { app, port, directory } = await start(t)
  t.match(await ask(openSession(t, port), 'POST', '/files', { ...TUS, ...BYTES, 'upload-length': '4' }, 'hello'), { status: 413 })
  t.strictSame(await list(app), [])
  t.same(await listFiles(directory), [])
})

t.test('a body without Content-Length is counted by maxConcurrentUploads', async t => {
  const { app, port } = await start(t, { maxConcurrentUploads: 1, generateId: (_request, { filename }) => filename! })
  const named = (name: string) => ({ 'upload-metadata': `filename ${Buffer.from(name).toString('base64')}` })
  const make = (name: string) => app.inject({ method: 'POST', url: '/files', headers: { ...TUS, 'upload-length': '5', ...named(name) } })
  await make('a')
  await make('b')
  const running = send(openSession(t, port), 'PATCH', '/files/a', { ...TUS, ...BYTES, 'upload-offset': '0' })
  running.stream.write('he')
  await untilReceived('a', 2)
  const session = openSession(t, port)
  t.match(await ask(session, 'PATCH', '/files/b', { ...TUS, ...BYTES, 'upload-offset': '0' }, 'hello'), { status: 429 })
  t.match(await ask(session, 'POST', '/files', { ...TUS, ...BYTES, 'upload-length': '5', ...named('c') }, 'hello'), { status: 429 })
  t.match(await ask(session, 'POST', '/files', { ...V8, 'upload-complete': '?1', ...named('d') }, 'hello'), { status: 429 })
  t.match(await ask(session, 'POST', '/documents', { 'content-disposition': 'attachment; filename="e"' }, 'hello'), { status: 429 })
  t.match(await ask(session, 'POST', '/files', { ...TUS, 'upload-length': '5', ...named('f') }), { status: 201 }, 'what brings no body is not')
  running.stream.end('llo')
  t.match(await running.answer, { status: 204 })
  t.match(await ask(session, 'PATCH', '/files/b', { ...TUS, ...BYTES, 'upload-offset': '0' }, 'hello'), { status: 204 })
})

/** The empty end of a body that a creation announced, and what such a creation may say beside it. */
const EMPTY: ReadonlyArray<readonly [what: string, headers: Record<string, string>, offset: string | undefined]> = [
  ['without a type', { 'upload-length': '5' }, undefined],
  ['with a type of its own', { 'upload-length': '5', 'content-type': 'application/json' }, undefined],
  ['with the type of a body', { 'upload-length': '5', ...BYTES }, '0'],
  ['without a length', { 'upload-defer-length': '1' }, undefined],
  ['of an empty file', { 'upload-length': '0' }, undefined]
]

for (const [what, headers, offset] of EMPTY) {
  t.test(`CU-3: a creation ${what} and with an empty body of unknown size is 201`, async t => {
    const { app, port } = await start(t)
    const stream = send(openSession(t, port), 'POST', '/files', { ...TUS, ...headers })
    stream.stream.end()
    const answer = await stream.answer
    t.match(answer, { status: 201 }, 'HTTP/2')
    t.equal(answer.headers['upload-offset'], offset)
    t.equal(await getOffset(app, '/files/one'), '0')

    const chunked = await startApp(t, { generateId: () => 'two' })
    const head = formatHead('POST', '/files', { ...TUS, ...headers, 'transfer-encoding': 'chunked' })
    const client = openRaw(t, chunked.port)
    for (let round = 0; round < 2; round++) {
      await client.send(head + formatChunk(''))
      t.match(await client.receive('POST'), { status: round === 0 ? 201 : 409 }, 'HTTP/1, on a connection that stays')
    }
    t.equal(await getOffset(chunked.app, '/files/two'), '0')
  })
}

t.test('CU-3: an end that comes later than its headers is waited for, and so is a byte, which is refused', async t => {
  const { app, port } = await start(t)
  for (const end of ['', 'x']) {
    const { stream, answer } = send(openSession(t, port), 'POST', '/files', { ...TUS, 'upload-length': '5', 'content-type': 'text/plain' })
    setImmediate(() => stream.end(end))
    t.match(await answer, { status: end === '' ? 201 : 415 })
    await app.tus.terminate('one')
  }
  const chunked = await startApp(t)
  const client = openRaw(t, chunked.port)
  await client.send(formatHead('POST', '/files', { ...TUS, 'upload-length': '5', 'transfer-encoding': 'chunked' }))
  await client.send(formatChunk('x'))
  t.match(await client.receive('POST'), { status: 415, headers: { connection: 'close' } })
  t.same(await listFiles(chunked.directory), [])
})

t.test('CU-3, CU-7: a client that asks whether to send an empty-typed body is refused before it sends', async t => {
  const { port, directory } = await startApp(t)
  const head = formatHead('POST', '/files', { ...TUS, 'upload-length': '5', 'transfer-encoding': 'chunked', expect: '100-continue' })
  t.match(await exchangeRaw(t, port, head, 'POST'), { status: 415, interim: [] })
  t.same(await listFiles(directory), [])
})

t.test('CC-5: a final upload whose creation has an empty body of unknown size', async t => {
  const { app, port } = await startApp(t)
  const part = await createUpload(app, { 'upload-length': '5', 'upload-concat': 'partial' })
  await patch(app, part, 0, 'hello')
  const head = formatHead('POST', '/files', { ...TUS, 'upload-concat': `final;${part}`, 'transfer-encoding': 'chunked' })
  t.match(await exchangeRaw(t, port, head + formatChunk('x') + formatChunk(''), 'POST'), { status: 403 })
  t.match(await exchangeRaw(t, port, formatHead('POST', '/files', { ...TUS, 'upload-concat': 'final;/files/none', 'transfer-encoding': 'chunked' }) + formatChunk(''), 'POST'), { status: 400 })
  const made = await exchangeRaw(t, port, head + formatChunk(''), 'POST')
  t.match(made, { status: 201 })
  t.equal((await app.inject(new URL(made!.headers.location!).pathname)).body, 'hello')
})

t.test('a creation of the draft and a request to a route with an empty body of unknown size', async t => {
  const { port, handled } = await start(t, { generateId: (request) => String(request.headers['x-id']) })
  const session = openSession(t, port)
  const askEmpty = (path: string, headers: Record<string, string>) => {
    const { stream, answer } = send(session, 'POST', path, headers)
    stream.end()
    return answer
  }
  t.match(await askEmpty('/files', { ...V8, 'upload-complete': '?1', 'x-id': 'a' }), { status: 201, headers: { 'upload-offset': '0', 'upload-complete': '?1' } })
  t.match(await askEmpty('/files', { ...V8, 'upload-complete': '?0', 'x-id': 'b' }), { status: 201, headers: { 'upload-offset': '0', 'upload-complete': '?0' } })
  t.match(await askEmpty('/documents', { 'x-id': 'c' }), { status: 200 })
  t.strictSame(handled, [''])
})

const getPath = ({ location }: IncomingHttpHeaders) => new URL(location!).pathname

t.test('CD-3, CD-5: a chunk of tus without Content-Length, of an upload whose length follows later', async t => {
  const { port } = await start(t)
  const session = openSession(t, port)
  const made = await ask(session, 'POST', '/files', { ...TUS, ...BYTES, 'upload-defer-length': '1' }, 'hel')
  t.match(made, { status: 201, headers: { 'upload-offset': '3' } })
  t.match(await ask(session, 'PATCH', getPath(made.headers), { ...TUS, ...BYTES, 'upload-offset': '3', 'upload-length': '5' }, 'lo'), { status: 204, headers: { 'upload-offset': '5' } })
  t.match(await ask(session, 'GET', getPath(made.headers), {}), { status: 200, body: 'hello' })
})
