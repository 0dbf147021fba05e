import Fastify, { type FastifyInstance } from 'fastify'
import { once } from 'node:events'
import http2 from 'node:http2'
import type { AddressInfo, Socket } from 'node:net'
import t, { type Test } from 'tap'
import fastifyTus from '../../lib/index.js'
import { createMemoryStorage } from '../../adapters/memory/index.js'
import { startApp } from '../support/app.js'
import { BYTES, TUS, createComplete, createUpload, getOffset, patch, until } from '../support/http-tus.js'
import { untilReceived } from '../support/observed.js'
import { formatHead, openRaw, type RawClient } from '../support/raw-socket.js'

const MIB = 1024 * 1024

/** Sends `size` bytes, in chunks where the request is chunked, and looks at no answer before it has done so. */
async function sendBody (client: RawClient, size: number, framing: 'plain' | 'chunked'): Promise<void> {
  const piece = Buffer.alloc(MIB, 'x')
  for (let sent = 0; sent < size; sent += MIB) {
    await client.send(framing === 'plain' ? piece : Buffer.concat([Buffer.from('100000\r\n'), piece, Buffer.from('\r\n')]))
  }
  if (framing === 'chunked') await client.send('0\r\n\r\n')
}

function countConnections ({ server }: FastifyInstance): Promise<number> {
  return new Promise((resolve, reject) => server.getConnections((error, count) => error ? reject(error) : resolve(count)))
}

function expectNoConnection (app: FastifyInstance): Promise<void> {
  return until('no connection is left', async () => await countConnections(app) === 0)
}

t.test('a client that sends 60 MB before it reads still sees why it was refused', async t => {
  const { app, port } = await startApp(t, { maxSize: 100 * MIB, maxAppendSize: 80 * MIB })
  const url = await createUpload(app, { 'upload-length': '1000' })
  const deferred = await createUpload(app, { 'upload-defer-length': '1' })
  const size = 60 * MIB
  const plain = { ...TUS, ...BYTES, 'upload-offset': '0', 'content-length': String(size) }
  const { 'content-length': _length, ...rest } = plain
  const chunked = { ...rest, 'transfer-encoding': 'chunked' }
  const cases: ReadonlyArray<readonly [status: number, method: string, path: string, headers: Record<string, string>]> = [
    [413, 'PATCH', url, plain],
    [413, 'PATCH', url, chunked],
    [415, 'PATCH', url, { ...plain, 'content-type': 'text/plain' }],
    [409, 'PATCH', url, { ...chunked, 'upload-offset': '7' }],
    [404, 'PATCH', '/files/no-such-upload', plain],
    [412, 'PATCH', url, { ...plain, 'tus-resumable': '0.2.2' }],
    [405, 'PATCH', '/files', plain],
    [413, 'POST', '/files', { ...plain, 'upload-length': String(101 * MIB) }],
    [413, 'POST', '/files', { ...chunked, 'upload-length': String(MIB) }],
    [400, 'PATCH', deferred, { ...plain, 'upload-length': 'x' }]
  ]
  for (const [status, method, path, headers] of cases) {
    const client = openRaw(t, port)
    await client.send(formatHead(method, path, headers))
    await sendBody(client, size, 'transfer-encoding' in headers ? 'chunked' : 'plain')
    t.match(await client.receive(method), { status }, `${status} to ${method} ${path}`)
    client.socket.destroy()
  }
  await expectNoConnection(app)
  t.equal(await getOffset(app, url), '0')
})

// Each of them takes the seconds that such a client is given.
t.test('connections that were refused', { jobs: 3 }, async t => {
  await Promise.all([
    t.test('a client that reads the refusal and stays leaves no socket behind', { buffered: true }, async t => {
      const { app, port } = await startApp(t)
      const url = await createUpload(app, { 'upload-length': '1000' })
      const client = openRaw(t, port)
      await client.send(formatHead('PATCH', url, { ...TUS, ...BYTES, 'upload-offset': '0', 'content-length': '100000' }) + 'x'.repeat(500))
      t.match(await client.receive('PATCH'), { status: 413, headers: { connection: 'close' } })
      await client.waitForEnd()
      await expectNoConnection(app)
    }),

    t.test('a client that never reads and never stops leaves no socket behind', { buffered: true }, async t => {
      const { app, port } = await startApp(t)
      const url = await createUpload(app, { 'upload-length': '1000' })
      const client = openRaw(t, port)
      await client.send(formatHead('PATCH', url, { ...TUS, ...BYTES, 'upload-offset': '0', 'transfer-encoding': 'chunked' }))
      const piece = Buffer.from(`1000\r\n${'x'.repeat(4096)}\r\n`)
      const timer = setInterval(() => client.socket.write(piece), 20)
      t.teardown(() => clearInterval(timer))
      await until('the server has let the connection go', () => client.socket.destroyed || client.socket.errored !== null)
      await expectNoConnection(app)
    }),

    t.test('app.close() does not wait for a client that was refused', { buffered: true }, async t => {
      const { app, port } = await startApp(t)
      const url = await createUpload(app, { 'upload-length': '1000' })
      const client = openRaw(t, port)
      await client.send(formatHead('PATCH', url, { ...TUS, ...BYTES, 'upload-offset': '0', 'transfer-encoding': 'chunked' }) + `1000\r\n${'x'.repeat(4096)}`)
      t.match(await client.receive('PATCH'), { status: 413 })
      // The client stays, and the test ends.
      await app.close()
    })
  ])
})

t.test('a refusal whose body has arrived keeps the connection', async t => {
  const { app, port } = await startApp(t)
  const url = await createUpload(app)
  const client = openRaw(t, port)
  await client.send(formatHead('PATCH', url, { ...TUS, ...BYTES, 'upload-offset': '3', 'content-length': '2' }) + 'lo')
  const refused = await client.receive('PATCH')
  t.match(refused, { status: 409 })
  t.not(refused!.headers.connection, 'close')
  await client.send(formatHead('PATCH', url, { ...TUS, ...BYTES, 'upload-offset': '0', 'content-length': '5' }) + 'hello')
  t.match(await client.receive('PATCH'), { status: 204 })
})

t.test('a connection on which many short bodies were refused before they came holds nothing of them', async t => {
  const { app, port } = await startApp(t)
  const url = await createUpload(app)
  const connected = once(app.server, 'connection') as Promise<[Socket]>
  const client = openRaw(t, port)
  const [socket] = await connected
  const counts: number[] = []
  for (let count = 0; count < 30; count++) {
    await client.send(formatHead('PATCH', url, { ...TUS, ...BYTES, 'upload-offset': '3', 'content-length': '2' }))
    t.match(await client.receive('PATCH'), { status: 409 })
    await client.send('lo')
    counts.push(socket.listenerCount('close'))
  }
  t.ok(Math.max(...counts) <= counts[0]! + 1, counts.join(' '))
})

t.test('a body that comes in a packet of its own keeps the connection, however fast the storage is', async t => {
  const { port, app } = await startApp(t, { storage: createMemoryStorage() })
  const url = await createUpload(app)
  const client = openRaw(t, port)
  for (const [offset, piece] of [[0, 'hel'], [3, 'lo']] as const) {
    await client.send(formatHead('PATCH', url, { ...TUS, ...BYTES, 'upload-offset': String(offset), 'content-length': String(piece.length) }))
    await untilReceived(url, offset)
    await client.send(piece)
    const response = await client.receive('PATCH')
    t.match(response, { status: 204 })
    t.not(response?.headers.connection, 'close')
  }
})

t.test('requests behind each other on one connection are answered in their order', async t => {
  const { app, port } = await startApp(t)
  const url = await createUpload(app, { 'upload-length': '10' })
  const client = openRaw(t, port)
  const piece = (offset: number, bytes: string) => formatHead('PATCH', url, { ...TUS, ...BYTES, 'upload-offset': String(offset), 'content-length': String(bytes.length) }) + bytes
  await client.send(piece(0, 'hel') + formatHead('HEAD', url, TUS) + piece(9, 'x') + piece(3, 'lo'))
  t.match(await client.receive('PATCH'), { status: 204, headers: { 'upload-offset': '3' } })
  t.match(await client.receive('HEAD'), { status: 200, headers: { 'upload-offset': '3' } })
  t.match(await client.receive('PATCH'), { status: 409 })
  t.match(await client.receive('PATCH'), { status: 204, headers: { 'upload-offset': '5' } })
})

t.test('a hook of the application that refuses reaches a client that is sending, too', async t => {
  const { app, port } = await startApp(t, { routeOptions: { preHandler: async () => { throw Object.assign(new Error('who are you?'), { statusCode: 401 }) } } })
  const client = openRaw(t, port)
  await client.send(formatHead('PATCH', '/files/x', { ...TUS, ...BYTES, 'upload-offset': '0', 'content-length': String(20 * MIB) }))
  await sendBody(client, 20 * MIB, 'plain')
  t.match(await client.receive('PATCH'), { status: 401 })
  client.socket.destroy()
  await expectNoConnection(app)
})

t.test('Expect: 100-continue', async t => {
  const { app, port } = await startApp(t)
  const url = await createUpload(app)
  const expect = { ...TUS, ...BYTES, expect: '100-continue', 'content-length': '5' }

  await t.test('is not answered by 100 where the request is refused', async t => {
    const cases: ReadonlyArray<readonly [number, string, Record<string, string>]> = [
      [409, url, { 'upload-offset': '3' }], [415, url, { 'upload-offset': '0', 'content-type': 'text/plain' }],
      [413, url, { 'upload-offset': '0', 'content-length': '6' }], [404, '/files/none', { 'upload-offset': '0' }],
      [412, url, { 'upload-offset': '0', 'tus-resumable': '9' }], [400, url, {}]
    ]
    for (const [status, path, headers] of cases) {
      const client = openRaw(t, port)
      await client.send(formatHead('PATCH', path, { ...expect, ...headers }))
      t.match(await client.receive('PATCH'), { status, interim: [], headers: { connection: 'close' } })
      client.socket.destroy()
    }
  })

  await t.test('is answered by 100 where it is accepted', async t => {
    const client = openRaw(t, port)
    await client.send(formatHead('PATCH', url, { ...expect, 'upload-offset': '0' }))
    t.match(await client.receiveAny(), { status: 100 })
    await client.send('hello')
    t.match(await client.receive('PATCH'), { status: 204, interim: [] })
  })

  await expectNoConnection(app)
})

t.test('Expect: 100-continue on a route of the application is answered as ever', async t => {
  const app = Fastify()
  t.teardown(() => app.close())
  app.post('/echo', async request => request.body)
  await app.register(fastifyTus, { storage: createMemoryStorage() })
  await app.listen({ host: '127.0.0.1', port: 0 })
  const client = openRaw(t, (app.server.address() as AddressInfo).port)
  await client.send(formatHead('POST', '/echo', { 'content-type': 'application/json', 'content-length': '7', expect: '100-continue' }))
  t.match(await client.receiveAny(), { status: 100 })
  await client.send('{"a":1}')
  t.match(await client.receive('POST'), { status: 200, body: '{"a":1}' })
})

t.test('an application that answers Expect itself keeps doing so', async t => {
  const app = Fastify()
  t.teardown(() => app.close())
  let asked = 0
  app.server.on('checkContinue', (request, response) => {
    asked++
    response.writeContinue()
    app.server.emit('request', request, response)
  })
  await app.register(fastifyTus, { storage: createMemoryStorage() })
  await app.listen({ host: '127.0.0.1', port: 0 })
  const url = await createUpload(app)
  const client = openRaw(t, (app.server.address() as AddressInfo).port)
  await client.send(formatHead('PATCH', url, { ...TUS, ...BYTES, 'upload-offset': '0', 'content-length': '5', expect: '100-continue' }) + 'hello')
  t.match(await client.receive('PATCH'), { status: 204 })
  t.equal(asked, 1)
})

async function startHttp2 (t: Test) {
  const app = Fastify({ http2: true })
  t.teardown(() => app.close())
  await app.register(fastifyTus, { storage: createMemoryStorage() })
  await app.listen({ host: '127.0.0.1', port: 0 })
  const session = http2.connect(`http://127.0.0.1:${(app.server.address() as AddressInfo).port}`)
  session.on('error', () => {})
  t.teardown(() => { session.destroy() })
  return { app: app as unknown as FastifyInstance, session }
}

t.test('over HTTP/2', async t => {
  await t.test('appends, and tells what a body that was cut has left', async t => {
    const { app, session } = await startHttp2(t)
    const url = await createUpload(app, { 'upload-length': '10' })
    const stream = session.request({ ':method': 'PATCH', ':path': url, ...TUS, ...BYTES, 'upload-offset': '0', 'content-length': '5' })
    stream.end('hello')
    const [headers] = await once(stream, 'response') as [http2.IncomingHttpHeaders]
    t.match(headers, { ':status': 204, 'upload-offset': '5' })

    const cut = session.request({ ':method': 'PATCH', ':path': url, ...TUS, ...BYTES, 'upload-offset': '5' })
    cut.on('error', () => {})
    cut.write('wor')
    await untilReceived(url, 8)
    cut.close(http2.constants.NGHTTP2_CANCEL)
    await once(cut, 'close')
    await until('the bytes count', async () => await getOffset(app, url) === '8')
    t.equal((await patch(app, url, 8, 'ld')).statusCode, 204)
  })

  await t.test('a refused body does not block its stream or the session', async t => {
    const { app, session } = await startHttp2(t)
    const url = await createUpload(app, { 'upload-length': '1000' })
    for (const offset of ['0', '7']) {
      const stream = session.request({ ':method': 'PATCH', ':path': url, ...TUS, ...BYTES, 'upload-offset': offset })
      stream.on('error', () => {})
      const answered = once(stream, 'response') as Promise<[http2.IncomingHttpHeaders]>
      const closed = once(stream, 'close')
      stream.resume()
      for (let sent = 0; sent < 4 * MIB && stream.writable; sent += MIB) stream.write(Buffer.alloc(MIB, 'x'))
      stream.end()
      t.match((await answered)[0], { ':status': offset === '0' ? 413 : 409 })
      await closed
    }
    t.equal(await getOffset(app, url), '0')
  })
})

t.test('a stream that an application puts in front of the body is read in its place', async t => {
  const { Transform } = await import('node:stream')
  const { app, port } = await startApp(t, {
    routeOptions: {
      preParsing: async (_request, _reply, payload) => payload.pipe(new Transform({
        transform (chunk, _encoding, done) { done(null, String(chunk).toUpperCase()) }
      }))
    }
  })
  const url = await createUpload(app)
  const client = openRaw(t, port)
  await client.send(formatHead('PATCH', url, { ...TUS, ...BYTES, 'upload-offset': '0', 'content-length': '5' }) + 'hello')
  t.match(await client.receive('PATCH'), { status: 204 })
  t.equal((await app.inject(await createComplete(app, 'x'))).body.toLowerCase(), 'x')
  t.equal((await app.inject(url)).body, 'HELLO')
})
