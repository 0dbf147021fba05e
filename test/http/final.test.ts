import Fastify, { type FastifyInstance, type FastifyServerOptions } from 'fastify'
import { once } from 'node:events'
import { constants } from 'node:http2'
import { connect, type AddressInfo } from 'node:net'
import t, { type Test } from 'tap'
import { createFsStorage } from '../../adapters/fs/index.js'
import { createMemoryStorage } from '../../adapters/memory/index.js'
import fastifyTus, { StorageUnavailable, type Storage, type TusOptions } from '../../lib/index.js'
import { makeDirectory } from '../support/app.js'
import { skip as lacksAzure } from '../support/azure/azurite.js'
import { setUp as setUpAzure } from '../support/azure/storages.js'
import { TUS, createUpload, getOffset, getPath, head, patch, post, terminate, until } from '../support/http-tus.js'
import { openSession, send } from '../support/http2.js'
import { setUp as setUpS3 } from '../support/s3/storages.js'
import { slowDown, type SlowConcatenation } from '../support/slow-concatenation.js'

// A final upload whose copy takes longer than its client is to wait.

const PARTIAL = { 'upload-concat': 'partial' }
const PARTS = ['hello ', 'world'] as const
const WHOLE = 'hello world'

const STORAGES: Readonly<Record<string, { skip?: string | false, open: (t: Test) => Promise<Storage> }>> = {
  memory: { open: async () => createMemoryStorage() },
  filesystem: { open: async t => createFsStorage({ directory: await makeDirectory(t) }) },
  S3: { open: async t => (await (await setUpS3(t)).open()).storage },
  Azure: { skip: lacksAzure, open: async t => (await (await setUpAzure(t)).open()).storage }
}

interface Setting {
  readonly app: FastifyInstance
  readonly slow: SlowConcatenation
  readonly parts: readonly string[]
}

async function setUp (t: Test, storage: Storage, options: TusOptions = {}, server: FastifyServerOptions = {}): Promise<Setting> {
  const slow = slowDown(storage)
  const app = Fastify(server)
  t.teardown(() => {
    slow.open()
    return app.close()
  })
  await app.register(fastifyTus, { storage: slow.storage, concatTimeout: 20, ...options })
  return { app, slow, parts: await createParts(app) }
}

async function createParts (app: FastifyInstance): Promise<string[]> {
  const parts: string[] = []
  for (const text of PARTS) {
    const part = await createUpload(app, { 'upload-length': String(text.length), ...PARTIAL })
    await patch(app, part, 0, text)
    parts.push(part)
  }
  return parts
}

const concat = (parts: readonly string[]) => `final;${parts.join(' ')}`
const join = (app: FastifyInstance, parts: readonly string[], headers: Record<string, string> = {}) =>
  post(app, { 'upload-concat': concat(parts), ...headers })
const getId = (url: string) => url.slice('/files/'.length)
const isComplete = async (app: FastifyInstance, url: string) => (await app.tus.find(getId(url)))?.complete === true

async function listFinals (app: FastifyInstance): Promise<boolean[]> {
  const finals: boolean[] = []
  for await (const { final, complete } of app.tus.list()) if (final) finals.push(complete)
  return finals
}

/** A client that sends the creation of a final upload, and can leave. */
async function ask (app: FastifyInstance, parts: readonly string[], headers: Record<string, string> = {}): Promise<{ leave: () => Promise<void> }> {
  const socket = connect((app.server.address() as AddressInfo).port, '127.0.0.1')
  socket.on('error', () => {})
  const lines = Object.entries({ host: 'localhost', ...TUS, 'upload-concat': concat(parts), ...headers }).map(([name, value]) => `${name}: ${value}\r\n`)
  socket.write(`POST /files HTTP/1.1\r\n${lines.join('')}\r\n`)
  return {
    async leave () {
      socket.destroy()
      await once(socket, 'close')
    }
  }
}

for (const [kind, { skip = false, open }] of Object.entries(STORAGES)) {
  t.test(kind, { skip }, async t => {
    t.test('CC-12: it is 201 after concatTimeout while the copy continues; HEAD tells the length and no offset until it is there', async t => {
      const { app, slow, parts } = await setUp(t, await open(t))
      const finished: string[] = []
      for (const name of ['preFinish', 'postFinish'] as const) app.tus.addHook(name, (_request, { id }) => { finished.push(`${name} ${id}`) })
      const created = await join(app, parts, { 'upload-metadata': 'name eA==' })
      t.match(created, { statusCode: 201, headers: { location: /./, 'tus-resumable': '1.0.0' } })
      const final = getPath(created)
      await until('the copy has begun', () => slow.waiting === 1)
      for (let count = 0; count < 2; count++) {
        const told = await head(app, final)
        t.match(told, { statusCode: 200, headers: { 'upload-length': '11', 'upload-concat': concat(parts), 'upload-metadata': 'name eA==', 'cache-control': 'no-store' } })
        t.notOk('upload-offset' in told.headers)
      }
      t.equal((await app.inject(final)).statusCode, 404, 'there is nothing to download yet')
      t.equal((await patch(app, final, 0, 'x')).statusCode, 403, 'CC-10')
      t.match(await app.tus.sweep(), { finished: 0, failed: 0 }, 'a sweep leaves it to the request')
      t.strictSame([slow.begun, slow.ended, finished], [1, 0, []], 'and nobody has disturbed the copy')
      slow.open()
      await until('it is complete', async () => await getOffset(app, final) === '11')
      t.equal((await app.inject(final)).body, WHOLE)
      await until('postFinish has run', () => finished.length === 2)
      t.strictSame([slow.begun, finished], [1, [`preFinish ${getId(final)}`, `postFinish ${getId(final)}`]], 'one copy, and each hook once')
    })

    t.test('DELETE ends the copy and removes it', async t => {
      const { app, slow, parts } = await setUp(t, await open(t))
      const final = getPath(await join(app, parts))
      await until('the copy has begun', () => slow.waiting === 1)
      t.equal((await terminate(app, final)).statusCode, 204)
      await until('the copy has ended', () => slow.waiting === 0)
      t.strictSame([slow.begun, slow.ended], [1, 1])
      t.equal((await head(app, final)).statusCode, 404)
      t.strictSame(await listFinals(app), [])
      t.equal((await join(app, parts)).statusCode, 201, 'the parts are still there')
    })

    t.test('a client that leaves before it was answered and asks again gets one final upload, and there is no other', async t => {
      const { app, slow, parts } = await setUp(t, await open(t), { concatTimeout: 60_000 })
      await app.listen({ host: '127.0.0.1', port: 0 })
      const removed: string[] = []
      app.tus.addHook('postTerminate', (_request, { id }) => { removed.push(id) })
      for (let count = 1; count <= 2; count++) {
        const client = await ask(app, parts)
        await until('the copy has begun', () => slow.waiting === 1)
        await client.leave()
        await until('it is removed', () => removed.length === count)
      }
      t.strictSame([await listFinals(app), slow.ended], [[], 2])
      slow.open()
      const final = getPath(await join(app, parts))
      t.equal((await app.inject(final)).body, WHOLE)
      t.strictSame(await listFinals(app), [true])
    })

    t.test('what a process leaves that dies before its client was answered is put together only if the client asks for it', async t => {
      const { app, slow, parts } = await setUp(t, await open(t), { concatTimeout: 10_000 })
      slow.open()
      const told = (await app.tus.find(getId(getPath(await join(app, parts)))))!
      const left = [`${told.id}a`, `${told.id}b`]
      for (const id of left) await slow.storage.create({ ...told, id, completes: 'when-told', createdAt: new Date(Date.now() - 60_000) })
      t.match(await app.tus.sweep(), { finished: 0, failed: 0 })
      t.strictSame([slow.begun, (await app.tus.find(left[0]!))?.offset], [1, 0])
      t.equal(await getOffset(app, `/files/${left[0]}`), '11')
      for (const id of left) await slow.storage.update(id, () => ({ expiresAt: new Date(Date.now() - 1) }))
      t.match(await app.tus.sweep(), { expired: 2, failed: 0 }, 'the other one expires without a copy')
      t.equal(slow.begun, 2)
    })

    t.test('a copy that ends with its process is begun again, by HEAD and by a sweep', async t => {
      const storage = await open(t)
      const first = await setUp(t, storage)
      const finals = [getPath(await join(first.app, first.parts)), getPath(await join(first.app, first.parts))]
      await until('both copies have begun', () => first.slow.waiting === 2)
      await first.app.close()
      t.equal(first.slow.ended, 2)
      const { app, slow } = await setUp(t, storage, { concatTimeout: 10_000 })
      slow.open()
      t.equal(await getOffset(app, finals[0]!), '11')
      t.match(await app.tus.sweep(), { finished: 1, failed: 0 })
      for (const final of finals) t.equal((await app.inject(final)).body, WHOLE)
    })

    t.test('a server that stops answers 201 to who waits for a copy, and the next one makes it', async t => {
      const storage = await open(t)
      const first = await setUp(t, storage, { concatTimeout: 60_000 })
      const pending = join(first.app, first.parts)
      await until('the copy has begun', () => first.slow.waiting === 1)
      const closing = first.app.close()
      const created = await pending
      await closing
      t.equal(created.statusCode, 201)
      const { app, slow } = await setUp(t, storage)
      slow.open()
      t.match(await app.tus.sweep(), { finished: 1 })
      t.equal((await app.inject(getPath(created))).body, WHOLE)
    })

    t.test('a preFinish hook that refuses after the 201: HEAD tells its error and asks again, postFail hears of it', async t => {
      const { app, slow, parts } = await setUp(t, await open(t), { concatTimeout: 500 })
      const heard: string[] = []
      let refuses = true
      app.tus.addHook('preFinish', request => {
        heard.push(`preFinish ${request?.method}`)
        if (refuses) throw Object.assign(new Error('no'), { statusCode: 422 })
      })
      app.tus.addHook('postFinish', request => { heard.push(`postFinish ${request?.method}`) })
      app.tus.addHook('postFail', (request, { final }, { message }) => { heard.push(`postFail ${request.method} ${final} ${message}`) })
      const final = getPath(await join(app, parts))
      await until('the copy has begun', () => slow.waiting === 1)
      slow.open()
      await until('it is refused', () => heard.length === 2)
      t.strictSame(heard.splice(0), ['preFinish POST', 'postFail POST true no'])
      await until('HEAD tells it', async () => (await head(app, final)).statusCode === 422)
      t.equal((await app.inject(final)).statusCode, 404)
      await until('a sweep has asked, too', async () => (await app.tus.sweep()).failed === 1)
      refuses = false
      heard.length = 0
      await until('it is complete', async () => await getOffset(app, final) === '11')
      await until('postFinish has run', () => heard.includes('postFinish HEAD'))
      t.equal(heard.filter(line => line.startsWith('postFinish')).length, 1)
      t.equal(slow.begun, 1, 'without another copy')
    })

    t.test('a copy that fails for good after the 201: HEAD tells no offset, postFail hears of it, and it expires with a last try', async t => {
      const storage = await open(t)
      const { app, slow, parts } = await setUp(t, { ...storage, concatenate: async () => { throw new Error('broken') } })
      const heard: string[] = []
      app.tus.addHook('postFail', (_request, _upload, { message }) => { heard.push(message) })
      app.tus.addHook('postExpire', ({ id }) => { heard.push(id) })
      const created = await join(app, parts)
      t.equal(created.statusCode, 201)
      await until('the copy has begun', () => slow.waiting === 1)
      slow.open()
      await until('it has failed', () => heard.length === 1)
      t.strictSame(heard, ['broken'])
      const told = await head(app, getPath(created))
      t.strictSame([told.statusCode, told.headers['upload-offset'], told.headers['upload-length']], [200, undefined, '11'])
      await until('a sweep has tried it', async () => (await app.tus.sweep()).failed === 1)
      await storage.update(getId(getPath(created)), () => ({ expiresAt: new Date(Date.now() - 1) }))
      await until('a sweep has tried it for the last time', async () => (await app.tus.sweep()).expired === 1)
      t.strictSame(heard, ['broken', getId(getPath(created))])
      t.ok([404, 410].includes((await head(app, getPath(created))).statusCode))
    })

    t.test('one that was created before the application had finish hooks does not complete around them', async t => {
      const storage = await open(t)
      const first = await setUp(t, storage)
      for (const lengths of [{ 'upload-length': '5' }, { 'upload-defer-length': '1' }]) {
        const part = await createUpload(first.app, { ...lengths, ...PARTIAL })
        const final = getPath(await join(first.app, [part]))
        t.match(await first.app.tus.find(getId(final)), { completes: 'at-length' })
        const { app, slow } = await setUp(t, storage, { removeParts: true, concatTimeout: 10_000 })
        slow.open()
        const heard: string[] = []
        let refuses = true
        app.tus.addHook('preFinish', () => {
          heard.push('preFinish')
          if (refuses) throw Object.assign(new Error('no'), { statusCode: 422 })
        })
        app.tus.addHook('postFinish', () => { heard.push('postFinish') })
        await patch(app, part, 0, 'hello', 'upload-defer-length' in lengths ? { 'upload-length': '5' } : {})
        await until('it is refused', () => heard.length === 1)
        await until('HEAD tells it', async () => (await head(app, final)).statusCode === 422)
        t.equal((await app.inject(final)).statusCode, 404)
        refuses = false
        heard.length = 0
        t.equal(await getOffset(app, final), '5')
        t.strictSame(heard, ['preFinish', 'postFinish'])
        t.equal((await app.inject(final)).body, 'hello')
        t.equal(await storage.find(getId(part)), null, 'removeParts')
        await app.close()
      }
    })

    t.test('a part that is removed during the copy: 400 for a client that waits, and no final upload; one that was told of it keeps it until it expires', async t => {
      for (const concatTimeout of [60_000, 20]) {
        const { app, slow, parts } = await setUp(t, await open(t), { concatTimeout })
        const failures: string[] = []
        app.tus.addHook('postFail', (_request, _upload, { message }) => { failures.push(message) })
        const pending = join(app, parts)
        await until('the copy has begun', () => slow.waiting === 1)
        if (concatTimeout === 20) t.equal((await pending).statusCode, 201)
        t.equal((await terminate(app, parts[1]!)).statusCode, 204)
        slow.open()
        if (concatTimeout === 20) {
          await until('it has failed', () => failures.length === 1)
          t.notOk('upload-offset' in (await head(app, getPath(await pending))).headers)
        } else t.match(await pending, { statusCode: 400, headers: { location: undefined }, body: /CONCAT_PART_NOT_FOUND/ })
        t.strictSame(await listFinals(app), concatTimeout === 20 ? [false] : [])
      }
    })

    t.test('maxConcurrentUploads counts the copies of a client, also after the response, and apart from its bodies', async t => {
      const { app, slow, parts } = await setUp(t, await open(t), { maxConcurrentUploads: 1 })
      const first = getPath(await join(app, parts))
      await until('the copy has begun', () => slow.waiting === 1)
      const refused = await join(app, parts)
      t.match(refused, { statusCode: 429, headers: { 'retry-after': /^\d+$/ } })
      t.strictSame(await listFinals(app), [false], 'nothing is stored')
      t.equal((await patch(app, await createUpload(app, { 'upload-length': '5' }), 0, 'hello')).statusCode, 204)
      slow.open()
      await until('it is complete', () => isComplete(app, first))
      await until('the next one is let in', async () => (await join(app, parts)).statusCode === 201)
    })

    t.test('parts stay as long as a final upload is made of them, although their time is over, and go after that', async t => {
      const { app, slow, parts } = await setUp(t, await open(t))
      const final = getPath(await join(app, parts))
      await until('the copy has begun', () => slow.waiting === 1)
      const unused = await createUpload(app, { 'upload-length': '1', ...PARTIAL })
      const past = { expiresAt: new Date(Date.now() - 1000) }
      for (const url of [...parts, unused, final]) await slow.storage.update(getId(url), () => past)
      t.match(await app.tus.sweep(), { expired: 1, failed: 0 })
      t.equal(await slow.storage.find(getId(unused)), null)
      t.equal((await head(app, final)).statusCode, 200, 'nor is the time of the final upload over')
      await slow.storage.update(getId(final), () => ({ expiresAt: null }))
      slow.open()
      await until('it is complete', () => isComplete(app, final))
      t.equal((await app.inject(final)).body, WHOLE)
      t.match(await app.tus.sweep(), { expired: 2, failed: 0 })
    })
  })
}

t.test('two machines on one bucket, which no lock keeps apart: one copies, HEAD and the sweep of the other leave it alone', async t => {
  const machines = await setUpS3(t)
  const first = await setUp(t, (await machines.open()).storage)
  const second = await setUp(t, (await machines.open()).storage)
  const final = getPath(await join(first.app, first.parts))
  await until('the copy has begun', () => first.slow.waiting === 1)
  const told = await head(second.app, final)
  t.strictSame([told.statusCode, told.headers['upload-offset'], told.headers['upload-length']], [200, undefined, '11'])
  t.match(await second.app.tus.sweep(), { finished: 0, failed: 0 })
  t.strictSame([first.slow.ended, second.slow.begun], [0, 0])
  first.slow.open()
  await until('the other sees it', async () => await getOffset(second.app, final) === '11')
  t.equal((await second.app.inject(final)).body, WHOLE)
  t.strictSame([first.slow.begun, second.slow.begun], [1, 0])
})

t.test('over HTTP/2, too, a client that resets its request before it was answered leaves no final upload', async t => {
  const { app, slow, parts } = await setUp(t, createMemoryStorage(), { concatTimeout: 60_000 }, { http2: true } as FastifyServerOptions)
  await app.listen({ host: '127.0.0.1', port: 0 })
  const removed: string[] = []
  app.tus.addHook('postTerminate', (_request, { id }) => { removed.push(id) })
  const session = openSession(t, (app.server.address() as AddressInfo).port)
  const headers = { ...TUS, 'upload-concat': concat(parts) }
  const { stream } = send(session, 'POST', '/files', headers, true)
  await until('the copy has begun', () => slow.waiting === 1)
  stream.close(constants.NGHTTP2_CANCEL)
  await until('it is removed', () => removed.length === 1)
  t.strictSame([await listFinals(app), slow.ended], [[], 1])
  slow.open()
  const created = await send(session, 'POST', '/files', headers, true).answer
  t.equal(created.status, 201)
  t.strictSame([await listFinals(app), removed.length], [[true], 1], 'an answered one stays')
})

for (const hooked of [true, false]) {
  t.test(`a storage that is away when a final upload is completed, ${hooked ? 'with' : 'without'} finish hooks: 201, and HEAD or a sweep completes it`, async t => {
    let isAway = false
    const storage = createMemoryStorage()
    const { app, slow, parts } = await setUp(t, {
      ...storage,
      async complete (...args) {
        if (isAway) throw new StorageUnavailable('away')
        return storage.complete(...args)
      }
    }, { concatTimeout: 60_000 })
    slow.open()
    const heard: string[] = []
    if (hooked) app.tus.addHook('postFinish', () => { heard.push('postFinish') })
    app.tus.addHook('postFail', (_request, _upload, { message }) => { heard.push(message) })
    for (const ask of [(url: string) => getOffset(app, url), () => app.tus.sweep()]) {
      isAway = true
      const created = await join(app, parts)
      t.equal(created.statusCode, 201)
      t.notOk('upload-offset' in created.headers)
      await until('postFail has heard of it', () => heard.length === 1)
      isAway = false
      await ask(getPath(created))
      t.equal((await app.inject(getPath(created))).body, WHOLE)
      t.strictSame(heard.splice(0), hooked ? ['away', 'postFinish'] : ['away'])
    }
    t.strictSame([await listFinals(app), slow.begun], [[true, true], 2])
  })
}

t.test('a part that is removed while a final upload of unfinished parts is created: 400, and there is none', async t => {
  const { app, slow, parts } = await setUp(t, createMemoryStorage())
  slow.open()
  const unfinished = await createUpload(app, { 'upload-length': '5', ...PARTIAL })
  let removes = true
  app.tus.addHook('postCreate', async (_request, { final }) => {
    if (final && removes) await app.tus.terminate(getId(parts[0]!))
  })
  const refused = await join(app, [...parts, unfinished])
  t.match(refused, { statusCode: 400, headers: { location: undefined }, body: /CONCAT_PART_NOT_FOUND/ })
  t.strictSame(await listFinals(app), [])
  removes = false
  const created = await join(app, [parts[1]!, unfinished])
  t.equal(created.statusCode, 201)
  await patch(app, unfinished, 0, 'hello')
  await until('it is complete', () => isComplete(app, getPath(created)))
})

t.test('the parts of a final upload are looked for several at a time; where one can not be noted, there is none, and nothing is noted later', async t => {
  const storage = createMemoryStorage()
  const counts = { running: 0, most: 0, noted: 0 }
  let isAway = false
  const { app, slow } = await setUp(t, {
    ...storage,
    async find (...args) {
      counts.most = Math.max(counts.most, ++counts.running)
      await new Promise(setImmediate)
      counts.running--
      return storage.find(...args)
    },
    async addWaiting (...args) {
      counts.noted++
      if (isAway) throw new StorageUnavailable('away')
      await storage.addWaiting!(...args)
    }
  })
  slow.open()
  const parts: string[] = []
  for (let count = 0; count < 30; count++) parts.push(await createUpload(app, { 'upload-length': '1', ...PARTIAL }))
  counts.most = 0
  isAway = true
  t.equal((await join(app, parts)).statusCode, 503)
  t.strictSame(await listFinals(app), [])
  const { noted } = counts
  t.ok(noted < parts.length, 'the rest is not tried')
  isAway = false
  const created = await join(app, [...parts, parts[0]!])
  t.equal(created.statusCode, 201)
  t.equal(counts.noted, noted + parts.length)
  t.ok(counts.most > 1 && counts.most < parts.length)
  for (const [index, part] of parts.entries()) await patch(app, part, 0, String(index % 10))
  await until('it is complete', () => isComplete(app, getPath(created)))
  t.equal((await app.inject(getPath(created))).body, '012345678901234567890123456789' + '0')
})
