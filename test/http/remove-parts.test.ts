import Fastify, { type FastifyInstance } from 'fastify'
import t, { type Test } from 'tap'
import { createFsStorage } from '../../adapters/fs/index.js'
import { createMemoryStorage } from '../../adapters/memory/index.js'
import fastifyTus, { type Storage, type TusOptions } from '../../lib/index.js'
import { makeDirectory } from '../support/app.js'
import { skip as lacksAzure } from '../support/azure/azurite.js'
import { setUp as setUpAzure } from '../support/azure/storages.js'
import { createUpload, getPath, head, patch, post, until } from '../support/http-tus.js'
import { setUp as setUpS3 } from '../support/s3/storages.js'
import { slowDown } from '../support/slow-concatenation.js'

// `removeParts`: the parts go when their final upload is complete.

const PARTIAL = { 'upload-concat': 'partial' }

const STORAGES: Readonly<Record<string, { skip?: string | false, open: (t: Test) => Promise<Storage> }>> = {
  memory: { open: async () => createMemoryStorage() },
  filesystem: { open: async t => createFsStorage({ directory: await makeDirectory(t) }) },
  S3: { open: async t => (await (await setUpS3(t)).open()).storage },
  Azure: { skip: lacksAzure, open: async t => (await (await setUpAzure(t)).open()).storage }
}

async function open (t: Test, storage: Storage, options: TusOptions = {}): Promise<FastifyInstance> {
  const app = Fastify()
  t.teardown(() => app.close())
  await app.register(fastifyTus, { storage, removeParts: true, ...options })
  return app
}

async function createPart (app: FastifyInstance, content: string, headers: Record<string, string> = {}): Promise<string> {
  const url = await createUpload(app, { 'upload-length': String(content.length), ...PARTIAL, ...headers })
  await patch(app, url, 0, content)
  return url
}

const join = (app: FastifyInstance, parts: readonly string[], headers: Record<string, string> = {}) =>
  post(app, { 'upload-concat': `final;${parts.join(' ')}`, ...headers })
const getId = (url: string) => url.slice('/files/'.length)

async function listParts (storage: Storage): Promise<string[]> {
  const parts: string[] = []
  for await (const { id, partial } of storage.list!()) if (partial) parts.push(id)
  return parts.sort()
}

for (const [kind, { skip = false, open: openStorage }] of Object.entries(STORAGES)) {
  t.test(kind, { skip }, async t => {
    t.test('CC-8: parts are removed when their final upload is complete, with hooks, and before postFinish; by default they stay', async t => {
      const storage = await openStorage(t)
      const staying = await open(t, storage, { removeParts: false })
      const parts = [await createPart(staying, 'hello '), await createPart(staying, 'world')]
      t.equal((await staying.inject(getPath(await join(staying, parts)))).body, 'hello world')
      t.strictSame(await listParts(storage), parts.map(getId).sort())

      const app = await open(t, storage)
      const told: string[] = []
      for (const name of ['preTerminate', 'postTerminate'] as const) app.tus.addHook(name, (_request, { id }) => { told.push(`${name} ${id}`) })
      app.tus.addHook('postFinish', async () => { told.push(`finished, ${(await listParts(storage)).length} parts`) })
      const final = getPath(await join(app, [...parts, parts[0]!]))
      t.strictSame(await listParts(storage), [])
      t.equal((await app.inject(final)).body, 'hello worldhello ')
      t.strictSame([told.at(-1), told.length], ['finished, 0 parts', 5])
      t.strictSame(told.slice(0, -1).sort(), parts.flatMap(part => [`postTerminate ${getId(part)}`, `preTerminate ${getId(part)}`]).sort())
      for (const part of parts) t.equal((await head(app, part)).statusCode, 404)
    })

    t.test('a part that another final upload needs stays until that is complete, too', async t => {
      const storage = await openStorage(t)
      const slow = slowDown(storage)
      const app = await open(t, slow.storage, { concatTimeout: 10 })
      const [part, other] = [await createPart(app, 'hello'), await createUpload(app, { 'upload-length': '1', ...PARTIAL })]
      const waiting = getPath(await join(app, [part, other]))
      const copied = getPath(await join(app, [part, part]))
      await until('the copy has begun', () => slow.waiting === 1)
      slow.open()
      await until('it is complete', async () => (await app.tus.find(getId(copied)))?.finished === true)
      t.strictSame(await listParts(storage), [part, other].map(getId).sort())
      await patch(app, other, 0, '!')
      await until('the other is complete', async () => (await app.tus.find(getId(waiting)))?.finished === true)
      t.equal((await app.inject(waiting)).body, 'hello!')
      t.strictSame(await listParts(storage), [])
    })

    t.test('two final uploads of the same parts at once: both are whole, and the parts are gone', async t => {
      const storage = await openStorage(t)
      const slow = slowDown(storage)
      const app = await open(t, slow.storage, { concatTimeout: 10 })
      const parts = [await createPart(app, 'hello '), await createPart(app, 'world')]
      const finals = (await Promise.all([join(app, parts), join(app, parts)])).map(getPath)
      await until('both are copied', () => slow.waiting === 2)
      slow.open()
      await until('both are complete', async () => (await Promise.all(finals.map(final => app.tus.find(getId(final))))).every(upload => upload?.finished))
      for (const final of finals) t.equal((await app.inject(final)).body, 'hello world')
      t.strictSame(await listParts(storage), [])
    })

    t.test('a process that dies after the completion and before its parts are gone: HEAD and the sweep make up for it', async t => {
      const storage = await openStorage(t)
      const away = { isAway: true }
      const dying: Storage = {
        ...storage,
        async remove (id, createdAt) {
          if (away.isAway) throw new Error('the process died')
          return storage.remove(id, createdAt)
        },
        async update (id, change) {
          // The mark is written behind the removal.
          if (away.isAway) throw new Error('the process died')
          return storage.update(id, change)
        }
      }
      for (const how of ['HEAD', 'sweep'] as const) {
        const app = await open(t, dying)
        away.isAway = false
        const parts = [await createPart(app, 'hello '), await createUpload(app, { 'upload-length': '5', ...PARTIAL })]
        const final = getPath(await join(app, parts))
        away.isAway = true
        await patch(app, parts[1]!, 0, 'world')
        await until('it is complete', async () => (await storage.find(getId(final)))?.complete === true)
        await app.close()
        t.equal((await listParts(storage)).length, 2)
        const next = await open(t, storage)
        if (how === 'HEAD') t.equal((await head(next, final)).headers['upload-offset'], '11')
        else t.match(await next.tus.sweep(), { finished: 1, failed: 0 })
        t.strictSame(await listParts(storage), [], how)
        t.equal((await next.inject(final)).body, 'hello world')
      }
    })

    t.test('what has the id of a part since, and is another upload, stays; so does a part that preTerminate keeps', async t => {
      const storage = await openStorage(t)
      const ids = ['part', 'kept', 'final']
      const app = await open(t, storage, { generateId: () => ids.shift()! })
      app.tus.addHook('preTerminate', (_request, { id }) => { if (id === 'kept') throw Object.assign(new Error('no'), { statusCode: 403 }) })
      const parts = [await createPart(app, 'hello'), await createPart(app, ' kept')]
      t.equal((await app.inject(getPath(await join(app, parts)))).statusCode, 200)
      t.strictSame(await listParts(storage), ['kept'])
      ids.push('part')
      await createPart(app, 'other')
      // As a process that completed the final upload before, and died, would leave it.
      await storage.update('final', () => ({ finished: false }))
      t.equal((await head(app, '/files/final')).headers['upload-offset'], '10')
      t.strictSame(await listParts(storage), ['kept', 'part'])
    })
  })
}
