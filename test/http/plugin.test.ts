import Fastify, { type FastifyInstance } from 'fastify'
import { readdir } from 'node:fs/promises'
import t, { type Test } from 'tap'
import { createMemoryStorage } from '../../adapters/memory/index.js'
import fastifyTus, { errorCodes, TusError, type Storage, type TusOptions } from '../../lib/index.js'
import { makeApp, makeDirectory } from '../support/app.js'
import { BYTES, TUS, createComplete, createUpload, getOffset, getPath, head, listFiles, patch, post, terminate } from '../support/http-tus.js'

function makeBare (t: Test): FastifyInstance {
  const app = Fastify()
  t.teardown(() => app.close())
  return app
}

function refuse (statusCode: number, message = 'refused'): never {
  throw Object.assign(new Error(message), { statusCode })
}

function getId (url: string): string {
  return url.slice(url.lastIndexOf('/') + 1)
}

async function drain<Value> (values: AsyncIterable<Value>): Promise<Value[]> {
  const all: Value[] = []
  for await (const value of values) all.push(value)
  return all
}

t.test('works with no options at all', async t => {
  const directory = await makeDirectory(t)
  const before = process.cwd()
  process.chdir(directory)
  t.teardown(() => process.chdir(before))
  const app = makeBare(t)
  await app.register(fastifyTus)
  const url = await createComplete(app, 'hello')
  t.equal((await app.inject(url)).body, 'hello')
  t.ok((await readdir('uploads')).includes(getId(url)))
})

t.test('leaves the application as it was', async t => {
  const app = makeBare(t)
  app.post('/json', async request => request.body)
  app.get('/broken', async () => { throw new Error('as ever') })
  await app.register(fastifyTus, { storage: createMemoryStorage() })

  t.same((await app.inject({ method: 'POST', url: '/json', payload: { a: 1 } })).json(), { a: 1 })
  t.equal((await app.inject({ method: 'POST', url: '/json', headers: BYTES, payload: 'x' })).statusCode, 415, 'no parser for our type outside')
  for (const url of ['/json', '/none', '/filesystem', '/file', '/broken']) {
    const { headers, statusCode } = await app.inject(url)
    t.ok([404, 500].includes(statusCode))
    t.notOk('tus-resumable' in headers, url)
  }
  t.match((await app.inject('/broken')).json(), { message: 'as ever', statusCode: 500 })
  t.match((await app.inject('/none')).json(), { message: 'Route GET:/none not found' })
  t.equal((await app.inject({ method: 'OPTIONS', url: '/json' })).statusCode, 404)
})

t.test('the hooks of the registering scope run on its routes', async t => {
  const app = makeBare(t)
  const seen: string[] = []
  app.addHook('onRequest', async request => { seen.push(`onRequest ${request.method}`) })
  app.addHook('preHandler', async request => { if (request.headers.authorization !== 'me') refuse(401) })
  app.addHook('onSend', async (_request, reply) => { reply.header('x-sent-by', 'host') })
  app.addHook('onResponse', async (_request, reply) => { seen.push(`onResponse ${reply.statusCode}`) })
  await app.register(fastifyTus, { storage: createMemoryStorage() })

  const refused = await post(app, { 'upload-length': '5' })
  t.equal(refused.statusCode, 401)
  t.equal(refused.headers['tus-resumable'], '1.0.0')
  const created = await post(app, { 'upload-length': '5', authorization: 'me' })
  t.equal(created.statusCode, 201)
  t.equal(created.headers['x-sent-by'], 'host')
  t.strictSame(seen, ['onRequest POST', 'onResponse 401', 'onRequest POST', 'onResponse 201'])
})

t.test('the error handler of the application says what the body is', async t => {
  const app = makeBare(t)
  app.setErrorHandler((error: TusError, _request, reply) => reply.send({ oops: error.code }))
  await app.register(fastifyTus, { storage: createMemoryStorage() })
  const url = await createUpload(app)
  const response = await patch(app, url, 3, 'lo')
  t.equal(response.statusCode, 409, 'the status and the headers are those of the protocol')
  t.equal(response.headers['upload-offset'], '0')
  t.same(response.json(), { oops: 'TUS_ERR_OFFSET_MISMATCH' })
})

t.test('without an error handler the body is that of Fastify, with the code', async t => {
  const { app } = await makeApp(t)
  t.match((await head(app, '/files/none')).statusCode, 404)
  t.match((await patch(app, '/files/none', 0, 'x')).json(), { statusCode: 404, code: 'TUS_ERR_UPLOAD_NOT_FOUND', error: 'Not Found' })
})

t.test('several instances live side by side', async t => {
  const app = makeBare(t)
  const counts = { a: 0, b: 0 }
  for (const name of ['a', 'b'] as const) {
    await app.register(async scope => {
      await scope.register(fastifyTus, { storage: createMemoryStorage(), prefix: `/${name}`, maxSize: name === 'a' ? 10 : 20 })
      scope.tus.addHook('postCreate', () => { counts[name]++ })
    })
  }
  t.notOk(app.hasDecorator('tus'), 'the scope around them sees nothing of them')
  const create = (url: string, length: string) => app.inject({ method: 'POST', url, headers: { ...TUS, 'upload-length': length } })
  const created = await create('/a', '10')
  t.equal(created.statusCode, 201)
  t.equal((await create('/a', '20')).statusCode, 413)
  t.equal((await create('/b', '20')).statusCode, 201)
  t.same(counts, { a: 1, b: 1 })
  t.equal((await head(app, getPath(created))).statusCode, 200)
  t.equal((await head(app, getPath(created).replace('/a/', '/b/'))).statusCode, 404)
})

t.test('a bad option throws at registration, and names the option', async t => {
  const bad: ReadonlyArray<readonly [name: string, values: readonly unknown[]]> = [
    ['prefix', ['files', '', 7, '/a b', '/a?b', '/a#b', '/*', '/:id', null]],
    ['storage', [{}, 'fs', null, { create () {} }]],
    ['maxSize', [-1, 1.5, NaN, Infinity, '5', 2 ** 53, {}]],
    ['maxAppendSize', [-1, 1.5, NaN, Infinity, '5']],
    ['maxMetadataSize', [-1, 1.5, null, '5']],
    ['extensions', ['creation', ['nonsense'], ['creation-defer-length'], ['creation-with-upload'], null, [7]]],
    ['digestThreads', [-1, 1.5, 65, NaN, '1', true, null]],
    ['protocols', [[], ['http'], 'tus', null]],
    ['download', [1, 'yes', null]],
    ['locker', [{}, null, () => {}]],
    ['lockTimeout', [0, -1, 1.5, Infinity, 2 ** 31, '5', null]],
    ['stallTimeout', [0, -1, 1.5, Infinity, 2 ** 31, '5', null]],
    ['concatTimeout', [0, -1, 1.5, Infinity, 2 ** 31, '5', null]],
    ['removeParts', ['yes', 1, null, 'true']],
    ['minRate', [1024, '1KB', false, {}, [], { bytes: 1 }, { window: 1 }, { bytes: 0, window: 1 }, { bytes: 1.5, window: 1 }, { bytes: '1', window: 1 }, { bytes: 1, window: 0 }, { bytes: 1, window: 2 ** 31 }, { bytes: 1, window: Infinity }, { bytes: 1, window: 1, more: 1 }]],
    ['maxConcurrentUploads', [0, -1, 1.5, NaN, Infinity, '5', true, {}, [], { max: 1 }, { key: () => '' }, { max: 0, key: () => '' }, { max: 1, key: 'ip' }, { max: 1, key: () => '', more: 1 }]],
    ['generateId', ['x', null]],
    ['location', ['/x', null]],
    ['relativeLocation', [1, null]],
    ['cors', [true, '*', null, []]],
    ['routeOptions', [null, [], 'x', () => {}]]
  ]
  for (const [option, values] of bad) {
    for (const value of values) {
      const app = makeBare(t)
      const options = { storage: createMemoryStorage(), [option]: value } as TusOptions
      await t.rejects(async () => await app.register(fastifyTus, options), { code: 'TUS_ERR_OPTION_INVALID', message: new RegExp(`'${option}' must be`) }, `${option}: ${String(value)}`)
    }
  }
  await t.rejects(async () => await makeBare(t).register(fastifyTus, { maxsize: 5 } as TusOptions), { code: 'TUS_ERR_OPTION_UNKNOWN', message: "There is no option 'maxsize': did you mean 'maxSize'?" })
  await t.rejects(async () => await makeBare(t).register(fastifyTus, JSON.parse('{"__proto__":1}')), { code: 'TUS_ERR_OPTION_UNKNOWN' })
})

t.test('an option that is undefined has its default', async t => {
  const undefineds = Object.fromEntries(['prefix', 'maxSize', 'maxAppendSize', 'maxMetadataSize', 'extensions', 'download', 'lockTimeout', 'stallTimeout', 'minRate', 'maxConcurrentUploads', 'generateId', 'location', 'cors', 'routeOptions'].map(name => [name, undefined]))
  const { app } = await makeApp(t, undefineds as TusOptions)
  t.equal((await app.inject(await createComplete(app, 'hello'))).body, 'hello')
})

t.test('routeOptions are put on every route', async t => {
  const seen: string[] = []
  const { app } = await makeApp(t, {
    routeOptions: {
      config: { secret: true } as object,
      onRequest: async request => { seen.push(`${request.method} ${(request.routeOptions.config as { secret?: boolean }).secret}`) },
      preHandler: [async request => { if (request.method === 'DELETE') refuse(403, 'no') }]
    }
  })
  const url = await createUpload(app)
  t.equal((await terminate(app, url)).statusCode, 403)
  t.equal((await patch(app, url, 0, 'hello')).statusCode, 204)
  t.equal((await app.inject({ method: 'OPTIONS', url })).statusCode, 204)
  t.strictSame(seen, ['POST true', 'DELETE true', 'PATCH true', 'OPTIONS true'])
})

t.test('constraints in routeOptions let two hosts share a path', async t => {
  const app = makeBare(t)
  for (const host of ['a.example', 'b.example']) {
    await app.register(async scope => { await scope.register(fastifyTus, { storage: createMemoryStorage(), routeOptions: { constraints: { host } }, maxSize: host === 'a.example' ? 1 : 2 }) })
  }
  for (const [host, size] of [['a.example', '1'], ['b.example', '2']] as const) {
    t.equal((await app.inject({ method: 'OPTIONS', url: '/files', headers: { host } })).headers['tus-max-size'], size)
  }
})

t.test('app.tus', async t => {
  const { app, directory } = await makeApp(t)
  const complete = getId(await createComplete(app, 'hello world', { filename: 'a.txt' }))
  const begun = getId(await createUpload(app))

  await t.test('finds', async t => {
    t.match(await app.tus.find(complete), { id: complete, offset: 11, length: 11, complete: true, partial: false, final: false, createdAt: Date })
    t.match(await app.tus.find(begun), { offset: 0, complete: false })
    for (const id of ['none', '', '../x', 'a/b', 'a.json']) t.equal(await app.tus.find(id), null)
  })

  await t.test('lists', async t => {
    const ids = async (filter?: { state?: 'incomplete' | 'complete' }) => (await drain(app.tus.list(filter))).map(({ id }) => id).sort()
    t.strictSame(await ids(), [begun, complete].sort())
    t.strictSame(await ids({ state: 'complete' }), [complete])
    t.strictSame(await ids({ state: 'incomplete' }), [begun])
    t.strictSame(await ids({}), [begun, complete].sort())
  })

  await t.test('reads', async t => {
    const read = async (...args: Parameters<typeof app.tus.createReadStream>) => Buffer.concat(await drain(app.tus.createReadStream(...args))).toString()
    t.equal(await read(complete), 'hello world')
    t.equal(await read(complete, { start: 6 }), 'world')
    t.equal(await read(complete, { end: 4 }), 'hello')
    t.equal(await read(complete, { start: 4, end: 6 }), 'o w')
    t.equal(await read(complete, { start: 4, end: 600 }), 'o world')
    await t.rejects(read(begun), { code: 'TUS_ERR_UPLOAD_INCOMPLETE' })
    await t.rejects(read('none'), { code: 'TUS_ERR_UPLOAD_NOT_FOUND' })
    await t.rejects(read('../../etc/passwd'), { code: 'TUS_ERR_UPLOAD_NOT_FOUND' })
  })

  await t.test('terminates', async t => {
    t.equal(await app.tus.terminate(complete), true)
    t.equal(await app.tus.terminate(complete), false)
    t.equal(await app.tus.terminate('../x'), false)
    t.equal(await app.tus.terminate(begun), true)
    t.same(await listFiles(directory), [])
  })

  await t.test('knows its hooks', async t => {
    t.throws(() => app.tus.addHook('onNothing' as 'postCreate', () => {}), { code: 'TUS_ERR_HOOK_UNKNOWN' })
    t.throws(() => app.tus.addHook('toString' as 'postCreate', () => {}), { code: 'TUS_ERR_HOOK_UNKNOWN' })
    t.throws(() => app.tus.addHook('postCreate', 'x' as unknown as () => void), { code: 'TUS_ERR_HOOK_INVALID' })
  })
})

t.test('app.tus.terminate passes on what is no missing upload', async t => {
  const { app } = await makeApp(t)
  const id = getId(await createUpload(app))
  app.tus.addHook('preTerminate', request => { if (request === null) refuse(403, 'not now') })
  await t.rejects(app.tus.terminate(id), { message: 'not now' })
  t.ok(await app.tus.find(id))
})

t.test('lifecycle hooks run in the order of an upload’s life, with what they need to know', async t => {
  const { app } = await makeApp(t)
  const seen: string[] = []
  app.tus.addHook('preCreate', (request, draft) => { seen.push(`preCreate ${request.method} ${draft.length} ${draft.metadata.name}`) })
  app.tus.addHook('postCreate', async (_request, { offset, complete }) => { seen.push(`postCreate ${offset} ${complete}`) })
  app.tus.addHook('preAccess', (_request, { offset }, action) => { seen.push(`preAccess ${action} ${offset}`) })
  app.tus.addHook('preFinish', (request, { offset, complete }) => { seen.push(`preFinish ${request?.method} ${offset} ${complete}`) })
  app.tus.addHook('postFinish', (request, { id, complete }) => { seen.push(`postFinish ${request?.url.startsWith('/files/')} ${complete} ${id.length}`) })
  app.tus.addHook('preTerminate', request => { seen.push(`preTerminate ${request?.method}`) })
  app.tus.addHook('postTerminate', async (_request, { offset }) => { seen.push(`postTerminate ${offset}`) })

  const url = await createUpload(app, { 'upload-length': '5', 'upload-metadata': 'name eA==' })
  await patch(app, url, 0, 'hel')
  await patch(app, url, 3, 'lo')
  await head(app, url)
  await app.inject(url)
  await terminate(app, url)
  t.strictSame(seen, [
    'preCreate POST 5 x', 'postCreate 0 false',
    'preAccess append 0',
    'preAccess append 3', 'preFinish PATCH 5 false', 'postFinish true true 32',
    'preAccess inspect 5',
    'preAccess download 5',
    'preAccess terminate 5', 'preTerminate DELETE', 'postTerminate 5'
  ])
})

t.test('preCreate may change the draft', async t => {
  const { app } = await makeApp(t)
  app.tus.addHook('preCreate', () => ({ id: 'first', serverMetadata: { owner: 7 } }))
  app.tus.addHook('preCreate', async () => ({ id: 'mine', metadata: { filename: 'safe.txt' } }))
  const created = await post(app, { 'upload-length': '5', 'upload-metadata': 'filename eA==', ...BYTES }, 'hello')
  t.equal(getPath(created), '/files/mine')
  t.match(await app.tus.find('mine'), { metadata: { filename: 'safe.txt' }, serverMetadata: { owner: 7 } })
  t.match((await app.inject('/files/mine')).headers, { 'content-disposition': 'attachment; filename="safe.txt"' })
  const told = await head(app, '/files/mine')
  t.notMatch(JSON.stringify(told.headers), /owner/)
  t.equal((await post(app, { 'upload-length': '5' })).statusCode, 409, 'an id that is taken is refused')
})

t.test('a pre hook refuses with its status, and nothing has happened', async t => {
  const { app, directory } = await makeApp(t)
  const url = await createUpload(app)
  const id = getId(url)
  const before = await listFiles(directory)
  const hooks = ['preCreate', 'preAccess', 'preTerminate'] as const
  let active: string | null = null
  for (const hook of hooks) app.tus.addHook(hook, () => { if (active === hook) refuse(402, 'pay first') })

  active = 'preCreate'
  t.match((await post(app, { 'upload-length': '5' })), { statusCode: 402, headers: { 'tus-resumable': '1.0.0' } })
  t.match((await post(app, { 'upload-length': '5' })).json(), { message: 'pay first' })
  active = 'preAccess'
  for (const response of [await head(app, url), await patch(app, url, 0, 'hello'), await terminate(app, url), await app.inject(url)]) t.equal(response.statusCode, 402)
  active = 'preTerminate'
  t.equal((await terminate(app, url)).statusCode, 402)
  active = null
  t.same(await listFiles(directory), before)
  t.match(await app.tus.find(id), { offset: 0 })
})

t.test('a pre hook that fails is a 500 that does not tell why', async t => {
  const { app } = await makeApp(t)
  const url = await createUpload(app)
  app.tus.addHook('preAccess', () => { throw new Error('database password is hunter2') })
  const response = await patch(app, url, 0, 'x')
  t.equal(response.statusCode, 500)
  t.notMatch(response.body, /hunter2/)
  t.match(response.json(), { code: 'TUS_ERR_HOOK_FAILED' })
  app.tus.addHook('preCreate', () => { throw 'not even an error' }) // eslint-disable-line no-throw-literal
  t.equal((await post(app, { 'upload-length': '5' })).statusCode, 500)
})

t.test('a post hook that fails changes nothing', async t => {
  const { app } = await makeApp(t)
  for (const hook of ['postCreate', 'postFinish', 'postTerminate'] as const) app.tus.addHook(hook, () => { throw new Error('nobody listens') })
  const url = await createUpload(app)
  t.equal((await patch(app, url, 0, 'hello')).statusCode, 204)
  t.equal((await terminate(app, url)).statusCode, 204)
})

t.test('preFinish refuses: the bytes stay, and the next HEAD or PATCH tries again', async t => {
  const { app } = await makeApp(t)
  let patience = 2
  const finished: string[] = []
  app.tus.addHook('preFinish', () => { if (patience-- > 0) refuse(422, 'a virus') })
  app.tus.addHook('postFinish', (_request, { id }) => { finished.push(id) })
  const url = await createUpload(app)
  t.equal((await patch(app, url, 0, 'hello')).statusCode, 422)
  t.equal((await app.inject(url)).statusCode, 404, 'not readable')
  t.equal((await head(app, url)).statusCode, 422)
  t.equal((await patch(app, url, 5, '')).statusCode, 204)
  t.equal(await getOffset(app, url), '5')
  t.equal((await app.inject(url)).body, 'hello')
  t.strictSame(finished, [getId(url)], 'postFinish ran once')
})

t.test('preFinish adds to the response', async t => {
  const { app } = await makeApp(t)
  app.tus.addHook('preFinish', () => ({ headers: { 'x-first': '1', 'x-both': '1' }, body: 'overwritten' }))
  app.tus.addHook('preFinish', () => ({ headers: { 'x-both': '2' }, body: '{"stored":true}' }))
  const patched = await patch(app, await createUpload(app), 0, 'hello')
  t.match(patched, { statusCode: 200, body: '{"stored":true}', headers: { 'x-first': '1', 'x-both': '2', 'upload-offset': '5' } })
  const created = await post(app, { 'upload-length': '5', ...BYTES }, 'hello')
  t.match(created, { statusCode: 201, body: '{"stored":true}', headers: { 'x-both': '2', location: String } })
  t.equal((await patch(app, await createUpload(app), 0, 'hel')).statusCode, 204, 'only to the one that finishes')
})

t.test('an upload from before the hooks were added finishes with them', async t => {
  const { app } = await makeApp(t)
  const url = await createUpload(app)
  const finished: number[] = []
  app.tus.addHook('postFinish', (_request, { offset }) => { finished.push(offset) })
  await patch(app, url, 0, 'hello')
  t.strictSame(finished, [5])
})

t.test('request.upload is the upload that the request is about', async t => {
  const app = makeBare(t)
  const seen: unknown[] = []
  app.addHook('onResponse', async request => { seen.push(request.upload?.offset ?? null) })
  await app.register(fastifyTus, { storage: createMemoryStorage() })
  const url = await createUpload(app)
  await patch(app, url, 0, 'hello')
  await head(app, url)
  await app.inject(url)
  await terminate(app, url)
  await head(app, url)
  t.strictSame(seen, [0, 5, 5, 5, 5, null])
})

t.test('download: false leaves GET out', async t => {
  const { app } = await makeApp(t, { download: false })
  const url = await createComplete(app, 'hello')
  const response = await app.inject(url)
  t.equal(response.statusCode, 405)
  t.notMatch(response.headers.allow, /GET/)
})

t.test('what a storage fails at is a 500 that does not tell why, or a 507 if it is full', async t => {
  const { StorageFull } = await import('../../lib/index.js')
  let failure: Error | null = null
  const storage: Storage = { ...createMemoryStorage(), append: async () => { throw failure } }
  const { app } = await makeApp(t, { storage })
  const url = await createUpload(app)
  failure = new Error('disk /dev/secret failed')
  const broken = await patch(app, url, 0, 'hello')
  t.equal(broken.statusCode, 500)
  t.notMatch(broken.body, /secret/)
  t.equal(broken.headers['tus-resumable'], '1.0.0')
  failure = new StorageFull('no room')
  t.equal((await patch(app, url, 0, 'hello')).statusCode, 507)
})

t.test('a storage that can not open stops the application from starting', async t => {
  const storage: Storage = { ...createMemoryStorage(), open: async () => { throw new Error('no such disk') } }
  await t.rejects(async () => await makeBare(t).register(fastifyTus, { storage }), { message: 'no such disk' })
})

t.test('a storage is closed with the application', async t => {
  let closed = 0
  const app = makeBare(t)
  await app.register(fastifyTus, { storage: { ...createMemoryStorage(), close: async () => { closed++ } } })
  await app.close()
  t.equal(closed, 1)
})

t.test('a locker of the application is asked for every change', async t => {
  const { createMemoryLocker } = await import('../../lib/index.js')
  const inner = createMemoryLocker()
  const asked: string[] = []
  const { app } = await makeApp(t, {
    lockTimeout: 1234,
    locker: {
      withLock (id, timeout, work) {
        asked.push(`${id.length} ${timeout}`)
        return inner.withLock(id, timeout, work)
      }
    }
  })
  const url = await createComplete(app, 'hello')
  await terminate(app, url)
  t.strictSame(asked, ['32 1234', '32 1234'])
})

t.test('the codes of all errors are public', async t => {
  t.ok(errorCodes.includes('TUS_ERR_OFFSET_MISMATCH'))
  t.equal(new Set(errorCodes).size, errorCodes.length)
  t.ok(errorCodes.every(code => /^TUS_ERR_[A-Z_]+$/.test(code)))
  t.equal(fastifyTus.TusError, TusError)
})
