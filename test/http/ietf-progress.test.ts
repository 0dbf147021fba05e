import Fastify, { type FastifyInstance } from 'fastify'
import { connect, type IncomingHttpHeaders } from 'node:http2'
import type { AddressInfo } from 'node:net'
import t, { type Test } from 'tap'
import { createFsStorage } from '../../adapters/fs/index.js'
import { createMemoryStorage } from '../../adapters/memory/index.js'
import fastifyTus, { type Storage, type TusOptions } from '../../lib/index.js'
import { makeDirectory, startApp } from '../support/app.js'
import { BYTES, TUS, createUpload } from '../support/http-tus.js'
import { PARTIAL, begin, open, receiveAll } from '../support/ietf.js'
import { formatHead, openRaw } from '../support/raw-socket.js'
import { skip as noAzure } from '../support/azure/azurite.js'
import { setUp as setUpAzure } from '../support/azure/storages.js'
import { setUp } from '../support/s3/storages.js'
import { until } from '../support/waiting.js'

// Progress is told while a body pauses: what came just before it stalls is known to the client before the connection ends.

const INTERVAL = 50
const STORAGES: Readonly<Record<string, (t: Test) => Promise<Storage>>> = {
  memory: async () => createMemoryStorage(),
  filesystem: async t => createFsStorage({ directory: await makeDirectory(t) }),
  // What fills no part yet is durable at this interval.
  S3: async t => (await (await setUp(t)).open({ commitInterval: 2 * INTERVAL })).storage,
  ...!noAzure && { Azure: async (t: Test) => (await (await setUpAzure(t)).open({ commitInterval: 2 * INTERVAL })).storage }
}

for (const [name, openStorage] of Object.entries(STORAGES)) {
  t.test(`${name}: AP-13, CN-7: a body that pauses is told how much of it is durable, once, without another byte`, async t => {
    const { port, app } = await startApp(t, { storage: await openStorage(t), progressInterval: INTERVAL })
    for (const version of ['5', '6', '8', '9', '10']) {
      const says = { 'upload-draft-interop-version': version, 'upload-complete': '?1', 'content-length': '11' }
      const created = await open(t, port, 'POST', '/files', says, 'hello')
      t.match(await created.receiveAny(), { status: 104, headers: { location: /\/files\// } })
      const appended = await open(t, port, 'PATCH', await begin(t, port), { ...says, ...PARTIAL, 'upload-offset': '0' }, 'hello')
      for (const client of [created, appended]) {
        const told = await client.receiveAny()
        t.match(told, { status: 104, headers: { 'upload-offset': '5', 'upload-draft-interop-version': version } }, `version ${version}`)
        t.notOk(told !== null && 'location' in told.headers, 'AP-14')
        await client.send(' wor')
        t.match(await client.receiveAny(), { status: 104, headers: { 'upload-offset': '9' } }, 'again after the next bytes')
        await client.send('ld')
        t.match(await receiveAll(client), { status: 201, headers: { 'upload-offset': '11', 'upload-complete': '?1' }, interim: [] })
      }
    }
    for await (const { offset, complete } of app.tus.list()) t.match({ offset, complete }, { offset: 11, complete: true })
  })
}

t.test('version 3 has one 104, and a client of no version none', async t => {
  const { port } = await startApp(t, { progressInterval: 20, stallTimeout: 300 })
  const old = await open(t, port, 'POST', '/files', { 'upload-draft-interop-version': '3', 'upload-incomplete': '?0', 'content-length': '11' }, 'hello')
  t.match(await old.receiveAny(), { status: 104 })
  t.equal(await old.receiveAny(), null, 'it stalls')
  const unknown = await open(t, port, 'POST', '/files', { 'upload-complete': '?1', 'content-length': '11' }, 'hello')
  t.match(await receiveAll(unknown), { status: 503, interim: [] })
})

t.test('each offset is told once, until the body stalls', async t => {
  const { port } = await startApp(t, { progressInterval: 20, stallTimeout: 400 })
  const client = await open(t, port, 'POST', '/files', { 'upload-draft-interop-version': '8', 'upload-complete': '?1', 'content-length': '11' }, 'hello')
  const told: Array<string | undefined> = []
  for (let response; (response = await client.receiveAny()) !== null;) told.push(response.headers['upload-offset'])
  t.strictSame(told, [undefined, '5'])
})

t.test('what counts as a whole or not at all is not told of', async t => {
  const { port } = await startApp(t, { progressInterval: 20, stallTimeout: 300 })
  const client = await open(t, port, 'POST', '/files', {
    'upload-draft-interop-version': '8', 'upload-complete': '?1', 'content-length': '11', 'content-digest': `sha-256=:${Buffer.alloc(32).toString('base64')}:`
  }, 'hello')
  t.match(await client.receiveAny(), { status: 104, headers: { location: /./ } })
  t.equal(await client.receiveAny(), null)
})

t.test('a postReceive hook hears of what came before a pause', async t => {
  const { app, port } = await startApp(t, { progressInterval: 20 })
  const offsets: number[] = []
  app.tus.addHook('postReceive', (_request, { offset }) => { offsets.push(offset) })
  const path = await createUpload(app, { 'upload-length': '10' })
  const client = openRaw(t, port)
  await client.send(formatHead('PATCH', path, { ...TUS, ...BYTES, 'upload-offset': '0', 'content-length': '10' }) + 'hello')
  await until('the hook has heard of it', () => offsets.length > 0)
  await client.send('world')
  t.match(await client.receive('PATCH'), { status: 204 })
  t.strictSame(offsets, [5, 10])
})

async function startHttp2 (t: Test, options: TusOptions): Promise<number> {
  const app = Fastify({ http2: true }) as unknown as FastifyInstance
  t.teardown(() => app.close())
  await app.register(fastifyTus, { storage: createFsStorage({ directory: await makeDirectory(t) }), ...options })
  await app.listen({ host: '127.0.0.1', port: 0 })
  return (app.server.address() as AddressInfo).port
}

t.test('HTTP/2: a body that pauses is told how much of it is durable', async t => {
  const session = connect(`http://127.0.0.1:${await startHttp2(t, { progressInterval: INTERVAL })}`)
  t.teardown(() => { session.destroy() })
  for (const version of ['5', '6', '8', '9']) {
    const stream = session.request({ ':method': 'POST', ':path': '/files', 'upload-draft-interop-version': version, 'upload-complete': '?1', 'content-length': '11' })
    const interim: IncomingHttpHeaders[] = []
    stream.on('headers', headers => interim.push(headers))
    stream.write('hello')
    await until('the progress is told', () => interim.length === 2)
    t.match(interim[1], { ':status': 104, 'upload-offset': '5', 'upload-draft-interop-version': version })
    const answered = new Promise<IncomingHttpHeaders>(resolve => stream.once('response', resolve))
    stream.end(' world')
    t.match(await answered, { ':status': 201, 'upload-offset': '11', 'upload-complete': '?1' })
    t.equal(interim.length, 2)
    stream.destroy()
  }
})
