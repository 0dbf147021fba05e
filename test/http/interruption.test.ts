import Fastify, { type FastifyInstance } from 'fastify'
import { stat } from 'node:fs/promises'
import { join } from 'node:path'
import { mock } from 'node:test'
import t, { type Test } from 'tap'
import { createFsStorage } from '../../adapters/fs/index.js'
import fastifyTus from '../../lib/index.js'
import { startApp, type TestApp } from '../support/app.js'
import { BYTES, TUS, createGate, createUpload, getOffset, head, makeBytes, patch, post, sleep, terminate, until } from '../support/http-tus.js'
import { untilLockAsked, untilReceived } from '../support/observed.js'
import { exchangeRaw, formatChunk, formatHead, openRaw, type RawClient } from '../support/raw-socket.js'

const LENGTH = 100_000
const CONTENT = makeBytes(LENGTH)

/** A PATCH from byte 0 whose client sent `sent` bytes and no more; they are on the disk. */
async function startStalled (t: Test, { app, port, directory }: TestApp, sent: number): Promise<{ url: string, client: RawClient }> {
  const url = await createUpload(app, { 'upload-length': String(LENGTH) })
  const client = openRaw(t, port)
  await client.send(formatHead('PATCH', url, { ...TUS, ...BYTES, 'upload-offset': '0', 'content-length': String(LENGTH) }))
  await client.send(CONTENT.subarray(0, sent))
  await until('the bytes that were sent are written', async () => (await stat(getFile(directory, url))).size === sent)
  return { url, client }
}

function getFile (directory: string, url: string): string {
  return join(directory, url.slice('/files/'.length))
}

/** Sends what is missing, as a client does that resumes. */
async function finish (app: FastifyInstance, url: string): Promise<boolean> {
  const offset = Number(await getOffset(app, url))
  await patch(app, url, offset, CONTENT.subarray(offset))
  return (await app.inject(url)).rawPayload.equals(CONTENT)
}

for (const [how, leave] of [['FIN', (client: RawClient) => client.finish()], ['RST', (client: RawClient) => client.reset()]] as const) {
  t.test(`CO-31, CO-33: keeps the 60 000 bytes that arrived before the client left with ${how}`, async t => {
    const server = await startApp(t)
    const failed: string[] = []
    server.app.tus.addHook('postFail', (_request, _upload, error) => { failed.push((error as { code?: string }).code ?? '') })
    const { url, client } = await startStalled(t, server, 60_000)
    leave(client)
    await until('the request has ended', () => failed.length > 0)
    t.strictSame(failed, ['TUS_ERR_BODY_CUT'])
    t.equal(await getOffset(server.app, url), '60000')
    t.ok(await finish(server.app, url))
  })
}

t.test('CO-31, CO-33: keeps the chunks that came before one that is no chunk', async t => {
  const { app, port } = await startApp(t)
  const url = await createUpload(app, { 'upload-length': '10' })
  const client = openRaw(t, port)
  await client.send(formatHead('PATCH', url, { ...TUS, ...BYTES, 'upload-offset': '0', 'transfer-encoding': 'chunked' }) + formatChunk('hello'))
  await untilReceived(url, 5)
  await client.send('nonsense\r\n')
  t.match(await client.receive('PATCH'), { status: 400 })
  await until('the bytes count', async () => await getOffset(app, url) === '5')
  t.equal((await patch(app, url, 5, 'world')).statusCode, 204)
  t.equal((await app.inject(url)).body, 'helloworld')
})

t.test('CO-31, CO-33: keeps what came with a POST whose client left', async t => {
  const { app, port, directory } = await startApp(t, { generateId: () => 'one' })
  const client = openRaw(t, port)
  await client.send(formatHead('POST', '/files', { ...TUS, ...BYTES, 'upload-length': '10', 'content-length': '10' }) + 'hello')
  await until('the bytes are written', async () => await stat(join(directory, 'one')).then(({ size }) => size === 5, () => false))
  client.reset()
  t.equal(await getOffset(app, '/files/one'), '5')
})

t.test('CO-31, CO-32, CO-33: a body that stalls is answered 503 with the offset, and its connection closed', async t => {
  const server = await startApp(t, { stallTimeout: 1500 })
  const { url, client } = await startStalled(t, server, 60_000)
  const response = await client.receive('PATCH')
  t.match(response, { status: 503, headers: { 'upload-offset': '60000', connection: 'close' } })
  await client.waitForEnd()
  t.equal(await getOffset(server.app, url), '60000')
  t.ok(await finish(server.app, url))
})

t.test('CO-32: a body that is slow but does not stall is taken whole', async t => {
  const { app, port } = await startApp(t, { stallTimeout: 3000 })
  const url = await createUpload(app, { 'upload-length': '20' })
  const client = openRaw(t, port)
  await client.send(formatHead('PATCH', url, { ...TUS, ...BYTES, 'upload-offset': '0', 'content-length': '20' }))
  for (let sent = 0; sent < 20; sent++) {
    await client.send('x')
    await sleep(200)
  }
  t.match(await client.receive('PATCH'), { status: 204, headers: { 'upload-offset': '20' } }, 'after more than stallTimeout in all')
})

t.test('CO-31: a stalled chunked body ends the same way', async t => {
  const { app, port } = await startApp(t, { stallTimeout: 200 })
  const url = await createUpload(app, { 'upload-length': '10' })
  const client = openRaw(t, port)
  await client.send(formatHead('PATCH', url, { ...TUS, ...BYTES, 'upload-offset': '0', 'transfer-encoding': 'chunked' }) + formatChunk('hello'))
  t.match(await client.receive('PATCH'), { status: 503, headers: { 'upload-offset': '5' } })
})

/** Longer than a test may take: what comes to its end does so without a timeout. In ms. */
const FOREVER = 3_600_000
const PATIENT = { stallTimeout: FOREVER, lockTimeout: FOREVER }

t.test('a request that meets a stalled PATCH takes the upload over at once', async t => {
  const server = await startApp(t, PATIENT)
  const { app } = server

  const takeovers: Record<string, (url: string) => Promise<void>> = {
    async HEAD (url) {
      t.match((await head(app, url)).headers, { 'upload-offset': '60000' })
      t.ok(await finish(app, url), 'and its client goes on there')
    },
    async PATCH (url) {
      t.match(await patch(app, url, 60_000, CONTENT.subarray(60_000)), { statusCode: 204, headers: { 'upload-offset': String(LENGTH) } })
    },
    async DELETE (url) {
      t.equal((await terminate(app, url)).statusCode, 204)
      t.equal((await head(app, url)).statusCode, 404)
    }
  }
  for (const [method, takeOver] of Object.entries(takeovers)) {
    await t.test(method, async t => {
      const { url, client } = await startStalled(t, server, 60_000)
      await takeOver(url)
      t.match(await client.receive('PATCH'), { status: 423, headers: { 'upload-offset': '60000', connection: 'close' } }, 'the stalled one is told')
    })
  }
})

t.test('a PATCH at a wrong offset takes a stalled upload over, too: the offset that it is told is final', async t => {
  const server = await startApp(t)
  const { url, client } = await startStalled(t, server, 60_000)
  t.match(await patch(server.app, url, 0, CONTENT), { statusCode: 409, headers: { 'upload-offset': '60000' } })
  t.match(await client.receive('PATCH'), { status: 423 })
  t.ok(await finish(server.app, url))
})

t.test('a GET disturbs nobody', async t => {
  const server = await startApp(t)
  const { url, client } = await startStalled(t, server, 60_000)
  t.equal((await server.app.inject(url)).statusCode, 404)
  await client.send(CONTENT.subarray(60_000))
  t.match(await client.receive('PATCH'), { status: 204 })
})

t.test('a request that preAccess refuses disturbs nobody', async t => {
  const server = await startApp(t)
  const { url, client } = await startStalled(t, server, 60_000)
  server.app.tus.addHook('preAccess', () => { throw Object.assign(new Error('not yours'), { statusCode: 403 }) })
  for (const response of [await head(server.app, url), await patch(server.app, url, 0, 'x'), await terminate(server.app, url)]) t.equal(response.statusCode, 403)
  await client.send(CONTENT.subarray(60_000))
  t.match(await client.receive('PATCH'), { status: 204 })
})

t.test('who waits longer than lockTimeout gets 423', async t => {
  const { app } = await startApp(t, { lockTimeout: 100 })
  const gate = createGate()
  const begun = createGate()
  app.tus.addHook('preFinish', () => {
    begun.open()
    return gate.passed
  })
  const url = await createUpload(app)
  const slow = patch(app, url, 0, 'hello')
  await begun.passed
  for (const response of [await head(app, url), await patch(app, url, 5, ''), await terminate(app, url)]) {
    t.equal(response.statusCode, 423)
    t.equal(response.headers['tus-resumable'], '1.0.0')
  }
  gate.open()
  t.equal((await slow).statusCode, 204)
  t.equal((await head(app, url)).statusCode, 200, 'and the upload is free again')
})

t.test('CO-25, CO-29: two writers that race lose no byte and write none twice', async t => {
  const { app, port } = await startApp(t)
  const content = makeBytes(2_000_000)
  const url = await createUpload(app, { 'upload-length': String(content.length) })
  const statuses = new Set<number>()

  async function write (): Promise<void> {
    for (;;) {
      const told = await exchangeRaw(t, port, formatHead('HEAD', url, TUS), 'HEAD')
      const offset = Number(told!.headers['upload-offset'])
      if (offset === content.length) return
      const piece = content.subarray(offset, offset + 150_000)
      const client = openRaw(t, port)
      await client.send(formatHead('PATCH', url, { ...TUS, ...BYTES, 'upload-offset': String(offset), 'content-length': String(piece.length) }))
      await client.send(piece.subarray(0, 70_000))
      await client.send(piece.subarray(70_000))
      const answer = await client.receive('PATCH')
      if (answer) statuses.add(answer.status)
      client.socket.destroy()
    }
  }
  await Promise.all([write(), write(), write()])
  t.ok([...statuses].every(status => [204, 409, 423].includes(status)), [...statuses].join(' '))
  t.ok((await app.inject(url)).rawPayload.equals(content))
})

t.test('requests that all wait for one upload get it in turn', async t => {
  const server = await startApp(t)
  const { url } = await startStalled(t, server, 60_000)
  const answers = await Promise.all(Array.from({ length: 20 }, () => head(server.app, url)))
  for (const { statusCode, headers } of answers) t.match({ statusCode, headers }, { statusCode: 200, headers: { 'upload-offset': '60000' } })
})

t.test('CO-33: a server that stops ends the running bodies, commits what arrived and says where', async t => {
  const server = await startApp(t)
  const { url, client } = await startStalled(t, server, 60_000)
  const closed = server.app.close()
  t.match(await client.receive('PATCH'), { status: 503, headers: { 'upload-offset': '60000', connection: 'close' } })
  client.socket.destroy()
  await closed

  const next = Fastify()
  t.teardown(() => next.close())
  await next.register(fastifyTus, { storage: createFsStorage({ directory: server.directory }) })
  t.equal(await getOffset(next, url), '60000')
  t.ok(await finish(next, url))
})

t.test('a server stops although its clients stall and hold their connections', async t => {
  const server = await startApp(t, PATIENT)
  for (let count = 0; count < 5; count++) await startStalled(t, server, 1000)
  await server.app.close()
})

t.test('a server stops at once if a client had left while it waited for its turn', async t => {
  const { app, port } = await startApp(t)
  const gate = createGate()
  const begun = createGate()
  app.tus.addHook('preTerminate', async () => {
    begun.open()
    await gate.passed
    throw Object.assign(new Error('stays'), { statusCode: 403 })
  })
  const url = await createUpload(app)
  const slow = terminate(app, url)
  await begun.passed
  const client = openRaw(t, port)
  await untilLockAsked(url, () => client.send(formatHead('PATCH', url, { ...TUS, ...BYTES, 'upload-offset': '0', 'content-length': '5' })))
  client.reset()
  await until('the server has seen that it left', async () => await countConnections(app) === 0)
  gate.open()
  t.equal((await slow).statusCode, 403)
  t.equal(await getOffset(app, url), '0')
  // No timer runs out meanwhile.
  mock.timers.enable({ apis: ['setTimeout'] })
  t.teardown(() => mock.timers.reset())
  await app.close()
})

t.test('an upload that another one awaits while it is created is not lost', async t => {
  const { app } = await startApp(t, { generateId: () => 'one' })
  const [created, told] = await Promise.all([post(app, { ...BYTES, 'upload-length': '5' }, 'hello'), head(app, '/files/one')])
  t.equal(created.statusCode, 201)
  t.ok([200, 404].includes(told.statusCode))
  t.equal((await app.inject('/files/one')).body, 'hello')
})

function countConnections ({ server }: FastifyInstance): Promise<number> {
  return new Promise((resolve, reject) => server.getConnections((error, count) => error ? reject(error) : resolve(count)))
}
