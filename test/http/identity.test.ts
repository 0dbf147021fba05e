import type { FastifyInstance } from 'fastify'
import { readFile, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { PassThrough } from 'node:stream'
import t, { type Test } from 'tap'
import { createFsStorage } from '../../adapters/fs/index.js'
import { createMemoryStorage } from '../../adapters/memory/index.js'
import type { Claim, Storage, TusOptions, Upload } from '../../lib/index.js'
import { makeApp, makeDirectory } from '../support/app.js'
import { BYTES, createGate, encodeMetadata, getPath, head, patch, post, terminate, TUS, until } from '../support/http-tus.js'
import { makeInterruptible, type Interruptible } from '../support/swap.js'

const PARTIAL = { 'upload-concat': 'partial' }
/** Of the same shape, so that nothing but their times and owners tells them apart. */
const OURS = 'public'
const THEIRS = 'secret'
const DRAFT = { 'upload-draft-interop-version': '8' }
const DRAFT_BYTES = { 'content-type': 'application/partial-upload', 'upload-offset': '3', 'upload-complete': '?1' }
const NAME = encodeMetadata({ name: THEIRS })

interface Setting {
  readonly app: FastifyInstance
  readonly between: Interruptible
  readonly inner: Storage
  readonly directory: string
}

const kinds = ['memory', 'filesystem'] as const

async function makeSetting (t: Test, kind: typeof kinds[number], options: TusOptions = {}): Promise<Setting> {
  const directory = await makeDirectory(t)
  const inner = kind === 'memory' ? createMemoryStorage() : createFsStorage({ directory, durability: 'none' })
  const between = makeInterruptible(inner)
  const { app } = await makeApp(t, {
    storage: between.storage,
    generateId: request => String(request.headers['x-id']),
    expiration: { sweepInterval: null },
    ...options
  })
  app.tus.addHook('preCreate', request => ({
    serverMetadata: { owner: request.headers['x-user'] ?? 'us' },
    expiresAt: request.headers['x-expired'] ? new Date(0) : null
  }))
  app.tus.addHook('preAccess', (request, upload) => {
    if (upload.serverMetadata.owner !== (request.headers['x-user'] ?? 'us')) throw Object.assign(new Error('not yours'), { statusCode: 403 })
  })
  return { app, between, inner, directory }
}

/** An upload of ours, with so many of its bytes. */
async function createOurs ({ app }: Setting, size = OURS.length, headers: Record<string, string> = {}): Promise<string> {
  const url = getPath(await post(app, { 'x-id': 'it', 'upload-length': String(OURS.length), ...headers }))
  if (size > 0) await patch(app, url, 0, OURS.slice(0, size))
  return url
}

/** Somebody else's upload takes the place of ours, as far as ours was. */
async function swap ({ inner }: Setting): Promise<void> {
  const ours = await inner.find('it')
  if (ours === null) return
  await inner.remove('it')
  const { offset, complete, finished, processed, modifiedAt, ...rest } = ours
  await inner.create({
    ...rest,
    metadata: { name: THEIRS },
    echo: { 'upload-metadata': NAME },
    serverMetadata: { owner: 'them' },
    createdAt: new Date(ours.createdAt.getTime() + 1),
    expiresAt: null,
    purpose: ours.purpose && { ...ours.purpose, answer: null, answering: null }
  })
  const batches = [[Buffer.from(THEIRS.slice(0, offset))]]
  if (offset > 0) await inner.append('it', { offset: 0, keep: 'prefix', body: { next: async () => batches.shift() ?? null } })
  if (complete) await inner.complete('it')
}

async function readText (storage: Storage, { id, offset }: Upload): Promise<string> {
  const stream = await storage.read!(id, { start: 0, end: offset - 1 })
  return stream === null ? '' : Buffer.concat(await stream.toArray()).toString()
}

interface Operation {
  readonly name: string
  readonly prepare: (setting: Setting) => Promise<unknown>
  /** Resolves to all that somebody who may see ours got to see. */
  readonly run: (setting: Setting, prepared: never) => Promise<string>
}

const show = ({ statusCode, headers, body }: { statusCode: number, headers: object, body: string }) => `${statusCode} ${JSON.stringify(headers)} ${body}`
const claimIt = async ({ app }: Setting) => (await app.tus.claim({ timeout: 0, lease: 600_000 }))!
const orLost = (error: { code?: string }) => {
  if (error.code === 'TUS_ERR_CLAIM_LOST' || error.code === 'TUS_ERR_UPLOAD_NOT_FOUND') return error.code
  throw error
}
/** Without the header that every request of tus has. */
const plain = (method: 'GET' | 'HEAD' | 'PATCH', headers: Record<string, string> = {}, payload?: string) => async ({ app }: Setting) =>
  show(await app.inject({ method, url: '/files/it', headers, ...payload && { payload } }))
const request = (method: 'GET' | 'HEAD' | 'DELETE', headers: Record<string, string> = {}) => async ({ app }: Setting) =>
  show(await app.inject({ method, url: '/files/it', headers: { ...TUS, ...headers } }))

const operations: readonly Operation[] = [
  { name: 'HEAD', prepare: setting => createOurs(setting), run: request('HEAD') },
  { name: 'HEAD of one that is not complete', prepare: setting => createOurs(setting, 3), run: request('HEAD') },
  { name: 'HEAD of a file', prepare: setting => createOurs(setting), run: plain('HEAD') },
  { name: 'HEAD in the draft', prepare: setting => createOurs(setting, 3), run: plain('HEAD', DRAFT) },
  { name: 'GET in the draft', prepare: setting => createOurs(setting, 3), run: plain('GET', DRAFT) },
  { name: 'PATCH in the draft', prepare: setting => createOurs(setting, 3), run: plain('PATCH', { ...DRAFT, ...DRAFT_BYTES }, 'lic') },
  { name: 'GET', prepare: setting => createOurs(setting), run: request('GET') },
  { name: 'GET of a range', prepare: setting => createOurs(setting), run: request('GET', { range: 'bytes=1-3' }) },
  { name: 'PATCH', prepare: setting => createOurs(setting, 3), run: async ({ app }) => show(await patch(app, '/files/it', 3, 'lic')) },
  {
    name: 'PATCH with the length',
    prepare: async ({ app }) => post(app, { 'x-id': 'it', 'upload-defer-length': '1' }),
    run: async ({ app }) => show(await patch(app, '/files/it', 0, OURS, { 'upload-length': '6' }))
  },
  {
    name: 'PATCH with a length that is taken back',
    prepare: async ({ app }) => post(app, { 'x-id': 'it', 'upload-defer-length': '1' }),
    run: async ({ app }) => show(await patch(app, '/files/it', 0, OURS, { 'upload-length': '6', 'upload-checksum': 'sha1 AAAAAAAAAAAAAAAAAAAAAAAAAAA=' }))
  },
  { name: 'DELETE', prepare: setting => createOurs(setting), run: request('DELETE') },
  {
    name: 'POST of a final upload',
    prepare: setting => createOurs(setting, undefined, PARTIAL),
    run: async ({ app }) => {
      const created = await post(app, { 'x-id': 'final', 'upload-concat': 'final;/files/it' })
      await app.tus.sweep()
      const [told, got] = [await head(app, '/files/final'), await app.inject('/files/final')]
      return [created, told, got].map(show).join('\n')
    }
  },
  {
    name: 'the last byte of a part',
    prepare: async setting => {
      await createOurs(setting, 3, PARTIAL)
      await post(setting.app, { 'x-id': 'final', 'upload-concat': 'final;/files/it' })
    },
    run: async ({ app }) => {
      const filled = await patch(app, '/files/it', 3, 'lic')
      await app.tus.sweep()
      const [told, got] = [await head(app, '/files/final'), await app.inject('/files/final')]
      return [filled, told, got].map(show).join('\n')
    }
  },
  {
    name: 'app.tus.terminate of an upload',
    prepare: async setting => setting.app.tus.find((await createOurs(setting)).slice('/files/'.length)),
    run: async ({ app }, upload: Upload) => String(await app.tus.terminate(upload))
  },
  {
    name: 'app.tus.createReadStream of an upload',
    prepare: async setting => setting.app.tus.find((await createOurs(setting)).slice('/files/'.length)),
    run: async ({ app }, upload: Upload) => app.tus.createReadStream(upload).toArray().then(chunks => Buffer.concat(chunks).toString(), orLost)
  },
  {
    name: 'the bytes of a claim',
    prepare: async setting => createOurs(setting).then(() => claimIt(setting)),
    run: async (_setting, claim: Claim) => claim.createReadStream().toArray().then(chunks => Buffer.concat(chunks).toString(), orLost)
  },
  {
    name: 'saveTo of a claim',
    prepare: async setting => createOurs(setting).then(() => claimIt(setting)),
    run: async ({ directory }, claim: Claim) => claim.saveTo(join(directory, 'saved')).then(() => readFile(join(directory, 'saved'), 'utf8'), orLost)
  },
  {
    name: 'done of a claim',
    prepare: async setting => createOurs(setting).then(() => claimIt(setting)),
    run: async (_setting, claim: Claim) => claim.done().then(() => 'done', orLost)
  },
  {
    name: 'done of a claim, with remove',
    prepare: async setting => createOurs(setting).then(() => claimIt(setting)),
    run: async (_setting, claim: Claim) => claim.done({ remove: true }).then(() => 'done', orLost)
  },
  {
    name: 'the last byte of an upload that a handler answers for',
    prepare: async ({ app }) => {
      app.post('/documents', app.tus.resumable(async request => {
        const chunks = await app.tus.createReadStream(request.upload!).toArray().catch(orLost)
        return typeof chunks === 'string' ? chunks : Buffer.concat(chunks).toString()
      }))
      await app.inject({ method: 'POST', url: '/documents', headers: { ...DRAFT, 'x-id': 'it', 'upload-complete': '?0' }, payload: 'pub' })
    },
    run: async ({ app }) => {
      const headers = { ...DRAFT, ...DRAFT_BYTES }
      return show(await app.inject({ method: 'PATCH', url: '/documents/~post/it', headers, payload: 'lic' }))
    }
  },
  { name: 'a sweep that removes', prepare: setting => createOurs(setting, 3, { 'x-expired': 'yes' }), run: async ({ app }) => JSON.stringify(await app.tus.sweep()) }
]

for (const kind of kinds) {
  t.test(kind, async t => {
    for (const operation of operations) {
      t.test(`${operation.name}: an upload that takes the place of the one that was meant is neither shown nor changed`, async t => {
        const count = await countCalls(t, kind, operation)
        t.ok(count > 0)
        for (let index = 0; index < count; index++) {
          for (const when of ['before', 'after'] as const) await check(t, kind, operation, index, when)
        }
      })
    }
  })
}

async function countCalls (t: Test, kind: typeof kinds[number], { prepare, run }: Operation): Promise<number> {
  const setting = await makeSetting(t, kind)
  const prepared = await prepare(setting)
  setting.between.disarm()
  const text = await run(setting, prepared as never)
  t.match(text, /^(?:20\d |public|done|true|460 |\{"expired":1)/, 'it does what it is for')
  const count = setting.between.calls.length
  await setting.app.close()
  return count
}

async function check (t: Test, kind: typeof kinds[number], { prepare, run }: Operation, index: number, when: 'before' | 'after'): Promise<void> {
  const setting = await makeSetting(t, kind)
  const prepared = await prepare(setting)
  let theirs: Upload | null = null
  setting.between.arm(index, when, async () => {
    await swap(setting)
    theirs = await setting.inner.find('it')
  })
  const text = await run(setting, prepared as never)
  const at = `${when} call ${index}, ${setting.between.calls[index]}: ${text}`
  t.notMatch(text, /secret|c2VjcmV0/, at)
  // Where ours was gone by then, no one took its place.
  if (theirs !== null) {
    const found = await setting.inner.find('it')
    t.same(found, theirs, at)
    if (found !== null) t.equal(await readText(setting.inner, found), THEIRS.slice(0, found.offset), at)
  }
  await setting.app.close()
}

for (const kind of kinds) {
  t.test(`while preAccess decides, on the ${kind}`, async t => {
    for (const [name, run] of [
      ['HEAD', (app: FastifyInstance) => head(app, '/files/it')],
      ['GET', (app: FastifyInstance) => app.inject('/files/it')],
      ['PATCH', (app: FastifyInstance) => patch(app, '/files/it', 6, '')],
      ['DELETE', (app: FastifyInstance) => terminate(app, '/files/it')]
    ] as const) {
      t.test(`${name} finds nothing where another upload has the id by then, and says no more than of any id`, async t => {
        const setting = await makeSetting(t, kind, { expiration: { incomplete: 1_000_000, complete: 1_000_000, sweepInterval: null } })
        await createOurs(setting)
        setting.app.tus.addHook('preAccess', () => swap(setting))
        const response = await run(setting.app)
        t.equal(response.statusCode, 404)
        const unknown = await setting.app.inject({ method: name, url: '/files/none', headers: { ...TUS, ...BYTES, 'upload-offset': '6' } })
        const plain = ({ date: _date, ...headers }: Record<string, unknown>) => headers
        t.same(plain(response.headers), plain(unknown.headers))
        t.equal((await setting.inner.find('it'))?.serverMetadata.owner, 'them')
      })
    }

    t.test('the request that fills the other upload is not asked to leave', async t => {
      const setting = await makeSetting(t, kind)
      const { app } = setting
      await createOurs(setting, 3)
      const [asked, answer] = [createGate(), createGate()]
      app.tus.addHook('preAccess', async request => {
        if (!request.headers['x-slow']) return
        asked.open()
        await answer.passed
      })
      const late = patch(app, '/files/it', 3, 'lic', { 'x-slow': 'yes' })
      await asked.passed
      await terminate(app, '/files/it')
      const theirs = { 'x-id': 'it', 'x-user': 'them' }
      await post(app, { ...theirs, 'upload-length': '6' })
      const body = new PassThrough()
      const filling = app.inject({ method: 'PATCH', url: '/files/it', headers: { ...TUS, ...BYTES, ...theirs, 'upload-offset': '0' }, payload: body })
      setting.between.disarm()
      body.write('sec')
      await until('it is being filled', () => setting.between.calls.includes('append'))
      answer.open()
      t.equal((await late).statusCode, 404)
      t.equal((await post(app, { ...theirs, 'upload-length': '6' })).statusCode, 409, 'nor for the creation of one that is there')
      body.end('ret')
      t.match(await filling, { statusCode: 204, headers: { 'upload-offset': '6' } })
    })

    t.test('a final upload keeps the part that it was made of, and not what has its id later', async t => {
      const setting = await makeSetting(t, kind)
      const { app, inner } = setting
      await createOurs(setting, 3, PARTIAL)
      await post(app, { 'x-id': 'final', 'upload-concat': 'final;/files/it' })
      await terminate(app, '/files/it')
      await post(app, { 'x-id': 'it', 'x-user': 'them', 'upload-length': '6', ...PARTIAL, ...BYTES }, THEIRS)
      const told = await head(app, '/files/final')
      t.match(told, { statusCode: 200, headers: { 'upload-length': '6', 'upload-concat': 'final;/files/it' } }, 'as where a part is missing')
      t.notOk('upload-offset' in told.headers)
      t.equal((await app.inject('/files/final')).statusCode, 404)
      t.match(await app.tus.sweep(), { finished: 0, failed: 0 })
      t.equal((await inner.find('final'))?.offset, 0)
      await inner.update('final', () => ({ expiresAt: new Date(0) }))
      t.match(await app.tus.sweep(), { expired: 1 }, 'it expires')
    })

    t.test('a final upload takes no part that is not partial any more', async t => {
      const setting = await makeSetting(t, kind)
      const { app, inner } = setting
      await createOurs(setting, 3, PARTIAL)
      await post(app, { 'x-id': 'final', 'upload-concat': 'final;/files/it' })
      const part = (await inner.find('it'))!
      await inner.remove('it')
      const { offset: _offset, complete: _complete, finished: _finished, processed: _processed, modifiedAt: _modifiedAt, ...rest } = part
      await inner.create({ ...rest, partial: false })
      await patch(app, '/files/it', 0, THEIRS)
      t.notOk('upload-offset' in (await head(app, '/files/final')).headers)
    })

    t.test('two uploads of one id never have the same time', async t => {
      const { app } = await makeSetting(t, kind)
      const times = new Set<number>()
      for (let count = 0; count < 40; count++) {
        await post(app, { 'x-id': 'it', 'upload-length': '6' })
        times.add((await app.tus.find('it'))!.createdAt.getTime())
        await terminate(app, '/files/it')
      }
      t.equal(times.size, 40)
    })

    t.test('nor have two whose requests came at the same time, of which one waited', async t => {
      const { app } = await makeSetting(t, kind)
      const gate = createGate()
      app.tus.addHook('preCreate', async request => { if (request.headers['x-slow']) await gate.passed })
      const drafted: number[] = []
      app.tus.addHook('preCreate', (_request, { createdAt }) => { drafted.push(createdAt.getTime()) })
      const waiting = post(app, { 'x-id': 'it', 'x-slow': 'yes', 'upload-length': '6' })
      await post(app, { 'x-id': 'it', 'upload-length': '6' })
      const first = (await app.tus.find('it'))!
      await terminate(app, '/files/it')
      gate.open()
      t.equal((await waiting).statusCode, 201)
      t.ok((await app.tus.find('it'))!.createdAt > first.createdAt)
      t.equal(drafted.length, 2)
    })

    t.test('that an upload has expired is no answer about one that was created under its id', async t => {
      const directory = await makeDirectory(t)
      const { app } = await makeApp(t, {
        storage: kind === 'memory' ? createMemoryStorage() : createFsStorage({ directory }),
        generateId: () => 'it',
        expiration: { sweepInterval: null }
      })
      let expiresAt: Date | null = new Date(0)
      app.tus.addHook('preCreate', () => ({ expiresAt }))
      await post(app, { 'upload-length': '6' })
      await app.tus.sweep()
      t.equal((await head(app, '/files/it')).statusCode, 410)
      expiresAt = null
      await post(app, { 'upload-length': '6' })
      await terminate(app, '/files/it')
      t.equal((await head(app, '/files/it')).statusCode, 404)
    })
  })
}

t.test('a final upload that an earlier version stored takes a part that is not younger, and no other', async t => {
  const setting = await makeSetting(t, 'filesystem')
  const { app, directory } = setting
  await createOurs(setting, 3, PARTIAL)
  await post(app, { 'x-id': 'final', 'upload-concat': 'final;/files/it' })
  await post(app, { 'x-id': 'other', 'upload-concat': 'final;/files/it' })
  for (const name of ['final', 'other']) {
    const path = join(directory, `${name}.json`)
    const record = JSON.parse(await readFile(path, 'utf8'))
    t.ok(record.upload.partsCreatedAt)
    delete record.upload.partsCreatedAt
    if (name === 'other') record.upload.createdAt = 0
    await writeFile(path, `${JSON.stringify(record)}\n`)
  }
  await patch(app, '/files/it', 3, 'lic')
  t.match((await head(app, '/files/final')).headers, { 'upload-offset': '6' })
  t.notOk('upload-offset' in (await head(app, '/files/other')).headers)
})

t.test('a download of a random id asks the storage no more than before', async t => {
  const between = makeInterruptible(createMemoryStorage())
  const times: Array<Date | undefined> = []
  const { app } = await makeApp(t, {
    storage: { ...between.storage, read: (id, range, createdAt) => { times.push(createdAt); return between.storage.read!(id, range, createdAt) } }
  })
  const url = getPath(await post(app, { 'upload-length': '6', ...BYTES }, OURS))
  between.disarm()
  t.equal((await app.inject(url)).body, OURS)
  t.same([between.calls, times], [['find', 'read'], [undefined]])
})
