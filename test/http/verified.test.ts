import Fastify, { type FastifyInstance } from 'fastify'
import { AsyncLocalStorage } from 'node:async_hooks'
import { createHash } from 'node:crypto'
import { subscribe, unsubscribe } from 'node:diagnostics_channel'
import { text } from 'node:stream/consumers'
import t, { type Test } from 'tap'
import { createFsStorage } from '../../adapters/fs/index.js'
import { createMemoryStorage } from '../../adapters/memory/index.js'
import { makeUpload } from '../../lib/contract/uploads.js'
import fastifyTus, { type LifecycleMessage, type Storage, type TusOptions, type Upload } from '../../lib/index.js'
import { makeDirectory } from '../support/app.js'
import { BYTES, createGate, getPath, head, makeBytes, patch, post, TUS, type Headers } from '../support/http-tus.js'
import { setUp } from '../support/s3/storages.js'

const STORAGES: Readonly<Record<string, (t: Test) => Promise<Storage>>> = {
  memory: async () => createMemoryStorage(),
  filesystem: async t => createFsStorage({ directory: await makeDirectory(t) }),
  S3: async t => (await (await setUp(t)).open()).storage
}

const HELLO = 'hello world'
const digest = (content: string | Buffer, algorithm = 'sha256') => `${algorithm.replace('sha', 'sha-')}=:${createHash(algorithm).update(content).digest('base64')}:`
const RIGHT = { 'repr-digest': digest(HELLO) }
const WRONG = { 'repr-digest': digest('hello World') }
const LAST = { 'content-type': 'application/partial-upload', 'upload-complete': '?1' }

const getId = (url: string) => url.slice('/files/'.length)

/** A storage whose reads wait, and are counted. */
function watchReads (storage: Storage) {
  const gates: Array<ReturnType<typeof createGate>> = []
  const watched = {
    reads: 0,
    storage: {
      ...storage,
      async read (...args: Parameters<NonNullable<Storage['read']>>) {
        watched.reads++
        gates.shift()?.open()
        await watched.release?.passed
        return storage.read!(...args)
      }
    },
    release: null as ReturnType<typeof createGate> | null,
    /** Holds all reads up from now on; resolves when one has begun. */
    hold () {
      const arrived = createGate()
      gates.push(arrived)
      watched.release = createGate()
      return arrived.passed
    }
  }
  return watched
}

async function make (t: Test, storage: Storage, options: TusOptions = {}): Promise<FastifyInstance> {
  const app = Fastify()
  t.teardown(() => app.close())
  await app.register(fastifyTus, { storage, lockTimeout: 20, ...options })
  return app
}

function watchTerminations (t: Test): LifecycleMessage[] {
  const heard: LifecycleMessage[] = []
  const listener = (message: unknown) => { heard.push(message as LifecycleMessage) }
  subscribe('fastify-tus:upload:terminated', listener)
  t.teardown(() => { unsubscribe('fastify-tus:upload:terminated', listener) })
  return heard
}

const begin = async (app: FastifyInstance, payload: string, headers: Headers = {}) =>
  getPath(await app.inject({ method: 'POST', url: '/files', headers: { 'upload-complete': '?0', ...headers }, payload }))

const finish = (app: FastifyInstance, url: string, offset: number, payload: string, headers: Headers = {}) =>
  app.inject({ method: 'PATCH', url, headers: { ...LAST, 'upload-offset': String(offset), ...headers }, payload })

/** Every way in which an upload gets a digest; its id is `x`. */
const WAYS: Readonly<Record<string, (app: FastifyInstance, headers: Headers) => Promise<{ readonly statusCode: number }>>> = {
  'with all of it': (app, headers) => app.inject({ method: 'POST', url: '/files', headers: { 'upload-complete': '?1', ...headers }, payload: HELLO }),
  'with all of it, of unknown size': (app, headers) =>
    app.inject({ method: 'POST', url: '/files', headers: { 'upload-complete': '?1', 'transfer-encoding': 'chunked', ...headers }, payload: HELLO }),
  'at its creation': async (app, headers) => finish(app, await begin(app, 'hello', headers), 5, ' world'),
  'at its creation, with its length': async (app, headers) => finish(app, await begin(app, 'hello', { 'upload-length': '11', ...headers }), 5, ' world'),
  'with its last bytes': async (app, headers) => finish(app, await begin(app, 'hello'), 5, ' world', headers),
  'with its last bytes, of unknown number': async (app, headers) => finish(app, await begin(app, 'hello'), 5, ' world', { 'transfer-encoding': 'chunked', ...headers }),
  'when it is full': async (app, headers) => finish(app, await begin(app, HELLO, { 'upload-length': '11' }), 11, '', headers),
  'in the middle of it': async (app, headers) => {
    const url = await begin(app, 'hello')
    await app.inject({ method: 'PATCH', url, headers: { ...LAST, 'upload-complete': '?0', 'upload-offset': '5', ...headers }, payload: ' ' })
    return finish(app, url, 6, 'world')
  },
  'from the other protocol': async (app, headers) => finish(app, getPath(await post(app, { 'upload-length': '11', ...BYTES }, 'hello')), 5, ' world', headers),
  'from the other protocol, after it': async (app, headers) => {
    const url = await begin(app, 'hello', { 'upload-length': '11', ...headers })
    await app.inject({ method: 'PATCH', url, headers: { ...LAST, 'upload-complete': '?0', 'upload-offset': '5' }, payload: ' world' })
    return finish(app, url, 11, '')
  }
}

/** That there is nothing to read, whoever asks. */
async function checkUnreadable (t: Test, app: FastifyInstance): Promise<void> {
  t.match(await app.tus.find('x'), { complete: false, finished: false })
  for await (const { id } of app.tus.list({ state: 'complete' })) t.fail(`${id} is listed as complete`)
  await t.rejects(text(app.tus.createReadStream('x')), { code: 'TUS_ERR_UPLOAD_INCOMPLETE' })
  t.equal(await app.tus.claim({ timeout: 0 }), null)
  const downloads = [{}, TUS, { range: 'bytes=0-1' }, { 'if-none-match': '*' }].map(headers => app.inject({ url: '/files/x', headers }))
  for (const { statusCode, headers, body } of await Promise.all(downloads)) {
    // One of an upload of the draft asks for the offset; in the words of a protocol it waits for who holds the upload.
    const isOffset = statusCode === 204 && headers['upload-complete'] === '?0'
    t.ok(statusCode === 404 || statusCode === 423 || isOffset, `GET: ${statusCode}`)
    t.notMatch(body, 'hello')
  }
}

for (const [name, open] of Object.entries(STORAGES)) {
  for (const [way, send] of Object.entries(WAYS)) {
    t.test(`on ${name}, an upload that gets a digest ${way} is not readable, and not looked at, before it is verified`, async t => {
      for (const [what, headers] of [['a right digest', RIGHT], ['a digest that is asked for', { 'want-repr-digest': 'sha-256=1' }], ['a wrong digest', WRONG]] as const) {
        const watched = watchReads(await open(t))
        const app = await make(t, watched.storage, { generateId: () => 'x' })
        const looked: Upload[] = []
        app.tus.addHook('preFinish', (_request, upload) => { looked.push(upload) })
        const reading = watched.hold()
        const sent = send(app, headers)
        await reading
        await checkUnreadable(t, app)
        t.same(looked, [], 'preFinish has not run')
        watched.release!.open()
        const { statusCode } = await sent
        if (what === 'a wrong digest') {
          t.equal(statusCode, 400, what)
          t.same(looked, [], 'preFinish never sees it')
          t.equal(await app.tus.find('x'), null)
          continue
        }
        t.equal(statusCode, 201, what)
        t.match(looked, [{ complete: false, offset: 11, purpose: { verified: true } }])
        t.equal(await text(app.tus.createReadStream('x')), HELLO)
        t.match(await app.inject('/files/x'), { statusCode: 200, body: HELLO })
        t.match(await app.inject({ method: 'HEAD', url: '/files/x', headers: { 'upload-draft-interop-version': '8' } }), { headers: { 'upload-complete': '?1', 'repr-digest': digest(HELLO) } })
      }
    })
  }

  t.test(`on ${name}, the digest of an upload of no bytes is verified, too`, async t => {
    const app = await make(t, await open(t))
    for (const [content, statusCode] of [['', 201], ['x', 400]] as const) {
      t.match(await app.inject({ method: 'POST', url: '/files', headers: { 'upload-complete': '?1', 'repr-digest': digest(content) } }), { statusCode })
    }
  })

  t.test(`on ${name}, a large upload is verified in both algorithms, and hooks see nothing of it where one is wrong`, async t => {
    const bytes = makeBytes(6 * 1024 ** 2 + 1)
    for (const digestThreads of [0, 1]) {
      const app = await make(t, await open(t), { digestThreads })
      const looked: string[] = []
      app.tus.addHook('preFinish', async (_request, { id }) => {
        const hash = createHash('sha256')
        for await (const chunk of app.tus.createReadStream(id)) hash.update(chunk)
        looked.push(hash.digest('hex'))
      })
      const both = (last: string) => ({ 'upload-complete': '?1', 'repr-digest': `${digest(bytes)}, ${digest(last === '' ? bytes : last, 'sha512')}` })
      t.equal((await app.inject({ method: 'POST', url: '/files', headers: both('x'), payload: bytes })).statusCode, 400)
      const right = await app.inject({ method: 'POST', url: '/files', headers: both(''), payload: bytes })
      t.equal(right.statusCode, 201)
      t.same(looked, [createHash('sha256').update(bytes).digest('hex')])
      t.ok((await app.inject(getPath(right))).rawPayload.equals(bytes))
    }
  })

  t.test(`on ${name}, preFinish reads the upload that it is about, and nobody else does`, async t => {
    for (const size of [0, 5, 100_000, 6 * 1024 ** 2 + 1]) {
      const bytes = makeBytes(size)
      const app = await make(t, await open(t), { generateId: (_request, { filename }) => filename ?? 'x' })
      const [looking, decide] = [createGate(), createGate()]
      let refuse = true
      const seen: string[] = []
      app.tus.addHook('preFinish', async (_request, { id }) => {
        if (id !== 'x') return
        const whole = Buffer.concat(await app.tus.createReadStream(id).toArray())
        t.ok(whole.equals(bytes), `${size} bytes`)
        // Later, and by what it calls.
        await new Promise(resolve => setImmediate(resolve))
        t.ok(Buffer.concat(await app.tus.createReadStream(id, { start: 1, end: 3 }).toArray()).equals(bytes.subarray(1, 4)))
        await t.rejects(text(app.tus.createReadStream('none')), { code: 'TUS_ERR_UPLOAD_NOT_FOUND' })
        await t.rejects(text(app.tus.createReadStream('other')), { code: 'TUS_ERR_UPLOAD_INCOMPLETE' })
        seen.push(id)
        looking.open()
        await decide.passed
        if (refuse) throw Object.assign(new Error('not clean'), { statusCode: 422 })
      })
      await post(app, { 'upload-length': '5', 'upload-metadata': `filename ${Buffer.from('other').toString('base64')}` })
      const sent = post(app, { 'upload-length': String(size), ...BYTES }, bytes)
      await looking.passed
      await checkUnreadable(t, app)
      decide.open()
      t.equal((await sent).statusCode, 422)
      await checkUnreadable(t, app)
      refuse = false
      t.equal((await head(app, '/files/x')).statusCode, 200)
      t.ok((await app.inject('/files/x')).rawPayload.equals(bytes))
      t.same(seen, ['x', 'x'])
    }
  })

  t.test(`on ${name}, what hooks refuse is verified once, and what the sweep finds is verified first`, async t => {
    const watched = watchReads(await open(t))
    const app = await make(t, watched.storage)
    let refuse = true
    app.tus.addHook('preFinish', () => { if (refuse) throw Object.assign(new Error('not yet'), { statusCode: 422 }) })
    const created = await app.inject({ method: 'POST', url: '/files', headers: { 'upload-complete': '?1', ...RIGHT }, payload: HELLO })
    t.equal(created.statusCode, 422)
    for (let count = 0; count < 3; count++) t.equal((await finish(app, getPath(created), 11, '')).statusCode, 422)
    t.equal(watched.reads, 1)
    t.equal((await finish(app, getPath(created), 11, '', { 'repr-digest': digest(HELLO, 'sha512') })).statusCode, 422)
    t.equal(watched.reads, 2, 'another digest is verified, too')
    refuse = false

    const purpose = (content: string) => ({ target: null, answer: null, digests: { sha256: createHash('sha256').update(content).digest('base64') } })
    for (const [id, content] of [['right', HELLO], ['wrong', 'hello World']] as const) {
      await watched.storage.create(makeUpload({ id, length: 11, completes: 'by-mark', purpose: purpose(content) }))
      await patch(app, `/files/${id}`, 0, HELLO.slice(0, 5))
      await watched.storage.append(id, { offset: 5, keep: 'prefix', body: once(Buffer.from(' world')) })
    }
    const terminated = watchTerminations(t)
    t.match(await app.tus.sweep(), { finished: 2, failed: 0 })
    t.match(terminated, [{ upload: { id: 'wrong' }, reason: 'wrong-digest', request: null }])
    t.match(await app.tus.find('right'), { complete: true, finished: true })
    t.equal(await app.tus.find('wrong'), null)
  })
}

t.test('an upload with a wrong digest is terminated like any other', async t => {
  const lines: Array<Record<string, unknown>> = []
  const app = Fastify({ logger: { stream: { write: line => { lines.push(JSON.parse(line)) } } } })
  t.teardown(() => app.close())
  await app.register(fastifyTus, { storage: createMemoryStorage() })
  const hooks: string[] = []
  for (const name of ['preFinish', 'postFinish', 'preTerminate', 'postTerminate'] as const) app.tus.addHook(name, () => { hooks.push(name) })
  const terminated = watchTerminations(t)
  const answer = await app.inject({ method: 'POST', url: '/files', headers: { 'upload-complete': '?1', ...WRONG }, payload: HELLO })
  t.match(answer.json(), { status: 400, code: 'TUS_ERR_DIGEST_MISMATCH' })
  t.same(hooks, ['postTerminate'])
  t.match(terminated, [{ reason: 'wrong-digest', upload: { offset: 11, complete: false } }])
  t.match(lines.filter(({ event }) => event === 'terminated'), [{ reason: 'wrong-digest', offset: 11, level: 30 }])
})

t.test('a storage that can not be read heeds no digest', async t => {
  const { read, ...storage } = createMemoryStorage()
  const app = await make(t, storage)
  for (const headers of [RIGHT, WRONG, { 'want-repr-digest': 'sha-256=1' }]) {
    for (const answer of [
      await app.inject({ method: 'POST', url: '/files', headers: { 'upload-complete': '?1', ...headers }, payload: HELLO }),
      await finish(app, await begin(app, 'hello'), 5, ' world', headers)
    ]) {
      t.match(answer, { statusCode: 201, headers: { 'upload-complete': '?1' } })
      t.notOk('repr-digest' in answer.headers)
    }
  }
})

t.test('bytes that can not be read back are no wrong digest: the upload stays, and is verified later', async t => {
  const storage = createMemoryStorage()
  let broken = true
  const app = await make(t, { ...storage, read: async (id, range) => storage.read!(id, broken ? { ...range, end: 3 } : range) }, { generateId: () => 'x' })
  const sent = await app.inject({ method: 'POST', url: '/files', headers: { 'upload-complete': '?1', ...RIGHT }, payload: HELLO })
  t.match(sent.json(), { code: 'TUS_ERR_STORAGE_FAILED' })
  t.match(await app.tus.find('x'), { complete: false, offset: 11 })
  broken = false
  t.equal((await finish(app, '/files/x', 11, '')).statusCode, 201)
  t.equal((await app.inject('/files/x')).body, HELLO)
})

t.test('a partial upload that gets a digest counts only if it is right', async t => {
  const app = await make(t, createMemoryStorage())
  for (const [headers, status] of [[RIGHT, 201], [WRONG, 400]] as const) {
    const part = getPath(await post(app, { 'upload-length': '11', 'upload-concat': 'partial', ...BYTES }, 'hello'))
    await finish(app, part, 5, ' world', headers)
    t.equal((await post(app, { 'upload-concat': `final;${part}` })).statusCode, status)
  }
})

t.test('what a preFinish hook may read, it may hand to somebody else, and not keep', async t => {
  const app = await make(t, createMemoryStorage())
  const jobs: Array<(stream: NodeJS.ReadableStream) => void> = []
  const worker = (async () => text(await new Promise<NodeJS.ReadableStream>(resolve => { jobs.push(resolve) })))()
  let inside: (<Result>(work: () => Result) => Result) | undefined
  let late: NodeJS.ReadableStream | undefined
  app.tus.addHook('preFinish', async (_request, { id }) => {
    inside = AsyncLocalStorage.snapshot()
    jobs[0]!(app.tus.createReadStream(id))
    late = app.tus.createReadStream(id)
    t.equal(await worker, HELLO)
    throw Object.assign(new Error('no'), { statusCode: 422 })
  })
  const id = getId(getPath(await post(app, { 'upload-length': '11', ...BYTES }, HELLO)))
  await t.rejects(text(late!), { code: 'TUS_ERR_UPLOAD_INCOMPLETE' }, 'a stream that nobody has read before the hook was done')
  await t.rejects(text(inside!(() => app.tus.createReadStream(id))), { code: 'TUS_ERR_UPLOAD_INCOMPLETE' }, 'a promise that outlives the hook')
})

/** A body of one batch. */
function once (bytes: Buffer) {
  const batches = [[bytes]]
  return { next: async () => batches.shift() ?? null }
}
