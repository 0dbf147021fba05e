import Fastify, { type FastifyReply, type FastifyRequest } from 'fastify'
import { once } from 'node:events'
import { readFile, stat, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import t, { type Test } from 'tap'
import { createFsStorage } from '../../adapters/fs/index.js'
import { createMemoryStorage } from '../../adapters/memory/index.js'
import fastifyTus, { StopUpload, type Addition, type HookName, type Storage, type TusError, type TusOptions, type Upload } from '../../lib/index.js'
import { makeApp, makeDirectory, startApp } from '../support/app.js'
import {
  BYTES, TUS, createComplete, createGate, createUpload, encodeMetadata, getOffset, getPath, head, listFiles, patch, post, sleep, terminate, until
} from '../support/http-tus.js'
import { formatChunk, formatHead, openRaw } from '../support/raw-socket.js'
import { spawnNode, waitForLine } from '../support/server-process.js'

declare module 'fastify' {
  interface FastifyRequest {
    reply: FastifyReply | null
  }
}

function refusal (statusCode: unknown, more: object = {}): Error {
  return Object.assign(new Error('the reason'), { statusCode }, more)
}

function getId (url: string): string {
  return url.slice(url.lastIndexOf('/') + 1)
}

/** Waits until bytes of a request that is still running have been written. */
async function untilStored (directory: string, path: string): Promise<void> {
  await until('bytes arrive', async () => (await stat(join(directory, getId(path)))).size > 0)
}

/** An application that keeps what it logs as an error. */
async function makeLoggingApp (t: Test, options: TusOptions = {}) {
  const logged: Array<{ msg: string, hook?: string, err?: { message: string } }> = []
  const stream = { write: (line: string) => { logged.push(JSON.parse(line)) } }
  return { ...await makeApp(t, options, { logger: { level: 'error', stream } }), logged }
}

const createWithBody = (app: Awaited<ReturnType<typeof makeApp>>['app'], headers: Record<string, string> = {}) =>
  post(app, { 'upload-length': '5', ...BYTES, ...headers }, 'hello')

t.test('order', async t => {
  t.test('hooks of one name run one after the other, and the response waits for the last', async t => {
    const { app } = await makeApp(t)
    const seen: string[] = []
    for (const name of ['preCreate', 'postCreate', 'postReceive', 'preFinish', 'postFinish'] as const) {
      app.tus.addHook(name, async () => {
        await sleep(20)
        seen.push(`${name} 1`)
      })
      app.tus.addHook(name, async () => { seen.push(`${name} 2`) })
    }
    t.equal((await createWithBody(app)).statusCode, 201)
    t.strictSame(seen, ['preCreate', 'postCreate', 'postReceive', 'preFinish', 'postFinish'].flatMap(name => [`${name} 1`, `${name} 2`]))
  })

  t.test('the first that refuses is the last that runs', async t => {
    const { app, directory } = await makeApp(t)
    let later = 0
    app.tus.addHook('preCreate', () => { throw refusal(403) })
    app.tus.addHook('preCreate', () => { later++ })
    t.equal((await createWithBody(app)).statusCode, 403)
    t.equal(later, 0)
    t.same(await listFiles(directory), [])
  })

  t.test('a post hook that fails does not keep the others from running', async t => {
    const { app, logged } = await makeLoggingApp(t)
    const seen: string[] = []
    for (const name of ['postCreate', 'postReceive', 'postFinish', 'postTerminate'] as const) {
      app.tus.addHook(name, () => { throw new Error(`no ${name}`) })
      app.tus.addHook(name, () => { throw 'not even an error' }) // eslint-disable-line no-throw-literal
      app.tus.addHook(name, () => { throw undefined }) // eslint-disable-line no-throw-literal
      app.tus.addHook(name, () => { throw refusal(403) })
      app.tus.addHook(name, () => { seen.push(name) })
    }
    const url = await createComplete(app, 'hello')
    t.equal((await app.inject(url)).body, 'hello')
    t.equal((await terminate(app, url)).statusCode, 204)
    t.strictSame(seen, ['postCreate', 'postReceive', 'postFinish', 'postTerminate'])
    t.equal(logged.length, 16, 'each is logged')
    t.match(logged[0], { hook: 'postCreate', err: { message: 'no postCreate' } })
  })
})

t.test('a refusal', async t => {
  const hooks = ['preCreate', 'preAccess', 'preFinish', 'preTerminate'] as const
  /** Lets each of the pre hooks throw, and gives the responses. */
  async function provoke (t: Test, error: unknown, options: TusOptions = {}) {
    const { app } = await makeApp(t, options)
    const url = await createUpload(app)
    let active: HookName | null = null
    for (const hook of hooks) app.tus.addHook(hook, () => { if (active === hook) throw error })
    active = 'preCreate'
    const responses = { preCreate: await post(app, { 'upload-length': '5' }) } as Record<typeof hooks[number], Awaited<ReturnType<typeof head>>>
    active = 'preAccess'
    responses.preAccess = await patch(app, url, 0, 'hello')
    active = 'preFinish'
    responses.preFinish = await patch(app, url, 0, 'hello')
    active = 'preTerminate'
    responses.preTerminate = await terminate(app, url)
    active = null
    t.equal(await getOffset(app, url), '5', 'only preFinish lets the bytes in')
    return responses
  }

  t.test('sets the status, the headers, and by its message the body', async t => {
    const error = refusal(429, { headers: { 'retry-after': '30', 'set-cookie': ['a=1', 'b=2'], 'X-Reason': 'quota' }, code: 'MY_CODE' })
    for (const [hook, response] of Object.entries(await provoke(t, error))) {
      t.match(response, { statusCode: 429, headers: { 'retry-after': '30', 'set-cookie': ['a=1', 'b=2'], 'x-reason': 'quota', 'tus-resumable': '1.0.0' } }, hook)
      t.same(response.json(), { statusCode: 429, code: 'MY_CODE', error: 'Too Many Requests', message: 'the reason' })
    }
  })

  t.test('keeps its status and headers under an error handler of the application, which makes the body', async t => {
    const error = refusal(402, { headers: { 'x-reason': 'unpaid' } })
    const answer = (error: Error, _request: FastifyRequest, reply: FastifyReply) => reply.type('text/plain').send(`Sorry: ${error.message}`)
    const expected = { statusCode: 402, body: 'Sorry: the reason', headers: { 'x-reason': 'unpaid', 'content-type': 'text/plain' } }
    const responses = Object.values(await provoke(t, error, { routeOptions: { errorHandler: answer as never } }))
    t.equal(responses.length, 4)
    for (const response of responses) t.match(response, expected)

    const app = Fastify()
    t.teardown(() => app.close())
    app.setErrorHandler(answer as never)
    await app.register(fastifyTus, { storage: createMemoryStorage() })
    app.tus.addHook('preCreate', () => { throw error })
    t.match(await createWithBody(app), expected)
  })

  const mistakes: Record<string, unknown> = {
    'a string': 'secret',
    undefined,
    null: null,
    'an object that is no error': { statusCode: 403, message: 'secret' },
    'an error without a status': new Error('secret'),
    'a status that is no error': Object.assign(new Error('secret'), { statusCode: 200 }),
    'a status that is none': Object.assign(new Error('secret'), { statusCode: 1000 }),
    'a status that is a string': Object.assign(new Error('secret'), { statusCode: '403' }),
    'a status that is NaN': Object.assign(new Error('secret'), { statusCode: NaN }),
    'headers that are none': Object.assign(new Error('secret'), { statusCode: 403, headers: 'x' }),
    'headers that can not be sent': Object.assign(new Error('secret'), { statusCode: 403, headers: { 'x-a': 'a\r\nb' } }),
    'a header whose name can not be sent': Object.assign(new Error('secret'), { statusCode: 403, headers: { 'x a': 'b' } })
  }
  for (const [what, error] of Object.entries(mistakes)) {
    t.test(`${what} is none: a 500 that shows nothing`, async t => {
      for (const [hook, response] of Object.entries(await provoke(t, error))) {
        t.match(response.json(), { statusCode: 500, code: 'TUS_ERR_HOOK_FAILED' }, hook)
        t.equal(response.statusCode, 500)
        t.notMatch(response.body, /secret/)
        t.equal(response.headers['tus-resumable'], '1.0.0')
      }
    })
  }

  t.test('what was thrown instead is in the log', async t => {
    const { app, logged } = await makeLoggingApp(t)
    app.tus.addHook('preCreate', () => { throw new Error('the database is away') })
    await post(app, { 'upload-length': '5' })
    t.match(logged[0], { msg: 'a lifecycle hook failed', hook: 'preCreate', err: { message: 'the database is away' } })
  })
})

t.test('an exception of Nest, which tells its status by a method, refuses as well', async t => {
  class HttpException extends Error {
    readonly #status: unknown
    constructor (message: string, status: unknown) {
      super(message)
      this.#status = status
    }

    getStatus (): unknown { return this.#status }
  }
  const { app } = await makeApp(t)
  const url = await createUpload(app)
  let thrown: Error = new HttpException('the reason', 403)
  for (const hook of ['preCreate', 'preAccess'] as const) app.tus.addHook(hook, () => { throw thrown })
  for (const response of [await post(app, { 'upload-length': '5' }), await patch(app, url, 0, 'hello')]) t.match(response, { statusCode: 403, body: /the reason/ })
  thrown = new HttpException('secret', 404)
  t.match(await patch(app, url, 0, 'hello'), { statusCode: 404, body: /TUS_ERR_UPLOAD_NOT_FOUND/ })
  for (const status of [200, '403', undefined]) {
    thrown = new HttpException('secret', status)
    t.match((await post(app, { 'upload-length': '5' })).json(), { statusCode: 500, code: 'TUS_ERR_HOOK_FAILED' })
  }
})

t.test('preAccess', async t => {
  t.test('refuses before a byte of the body is asked for', async t => {
    const { app, port, url } = await startApp(t)
    const path = await createUpload(app)
    app.tus.addHook('preAccess', () => { throw refusal(403) })
    const client = openRaw(t, port)
    await client.send(formatHead('PATCH', path, { ...TUS, ...BYTES, 'upload-offset': '0', 'content-length': '5', expect: '100-continue' }))
    t.match(await client.receive('PATCH'), { status: 403, interim: [] })
    t.ok(url)
    t.match(await app.tus.find(getId(path)), { offset: 0 })
  })

  t.test('refused requests do not interrupt one that is running', async t => {
    const { app, port, url, directory } = await startApp(t)
    const path = await createUpload(app, { 'upload-length': '10' })
    app.tus.addHook('preAccess', request => { if (request.headers['x-user'] !== 'owner') throw refusal(403) })
    const client = openRaw(t, port)
    await client.send(formatHead('PATCH', path, { ...TUS, ...BYTES, 'x-user': 'owner', 'upload-offset': '0', 'content-length': '10' }) + 'hello')
    await untilStored(directory, path)
    const address = new URL(path, url)
    const strangers = await Promise.all((['HEAD', 'PATCH', 'DELETE', 'GET'] as const).map(method =>
      fetch(address, { method, headers: { ...TUS, ...BYTES, 'upload-offset': '0' }, ...method === 'PATCH' && { body: 'HELLO' } })))
    t.strictSame(strangers.map(({ status }) => status), [403, 403, 403, 403])
    await client.send('world')
    t.match(await client.receive('PATCH'), { status: 204, headers: { 'upload-offset': '10' } })
    t.equal(await (await fetch(address, { headers: { 'x-user': 'owner' } })).text(), 'helloworld')
  })

  t.test('does not run for what does not exist, nor for requests that are malformed', async t => {
    const { app } = await makeApp(t)
    let asked = 0
    app.tus.addHook('preAccess', () => { asked++ })
    t.equal((await head(app, '/files/none')).statusCode, 404)
    t.equal((await app.inject({ method: 'PATCH', url: await createUpload(app), headers: TUS })).statusCode, 415)
    t.equal(asked, 0)
  })

  t.test('is asked about each part of a final upload', async t => {
    const { app } = await makeApp(t)
    const parts = await Promise.all(['a', 'b'].map(async () => createUpload(app, { 'upload-length': '1', 'upload-concat': 'partial' })))
    const asked: string[] = []
    let refused = ''
    app.tus.addHook('preAccess', (_request, { id }, action) => {
      asked.push(`${action} ${id}`)
      if (id === refused) throw refusal(403)
    })
    const concat = { 'upload-concat': `final;${parts.join(' ')} ${parts[0]}` }
    refused = getId(parts[1]!)
    t.equal((await post(app, concat)).statusCode, 403)
    refused = ''
    t.equal((await post(app, concat)).statusCode, 201)
    t.strictSame(asked, [...parts, ...parts].map(part => `concatenate ${getId(part)}`))
  })
})

t.test('preCreate', async t => {
  t.test('what it decides about metadata comes back on HEAD, encoded again', async t => {
    const { app } = await makeApp(t)
    app.tus.addHook('preCreate', (_request, { metadata }) => ({ metadata: { ...metadata, filename: 'grün.txt', empty: '' } }))
    const url = await createUpload(app, { 'upload-length': '5', 'upload-metadata': 'other eA==,filename eA' })
    t.equal((await head(app, url)).headers['upload-metadata'], `${encodeMetadata({ other: 'x', filename: 'grün.txt' })},empty`)
  })

  t.test('what it leaves alone comes back as the client wrote it', async t => {
    const { app } = await makeApp(t)
    app.tus.addHook('preCreate', () => ({ serverMetadata: { a: 1 } }))
    const url = await createUpload(app, { 'upload-length': '5', 'upload-metadata': 'b eA,a' })
    t.equal((await head(app, url)).headers['upload-metadata'], 'b eA,a')
  })

  for (const [name, makeStorage] of [['filesystem', (directory: string) => createFsStorage({ directory })], ['memory', () => createMemoryStorage()]] as const) {
    t.test(`serverMetadata is stored as JSON and never shown (${name})`, async t => {
      const { app } = await makeApp(t, { storage: makeStorage(await makeDirectory(t)) })
      const notes = { owner: 'classified', at: new Date(0), deep: { list: [1, null] }, gone: undefined }
      app.tus.addHook('preCreate', () => ({ serverMetadata: notes }))
      const created = await createWithBody(app)
      notes.owner = 'changed later'
      const url = getPath(created)
      t.same((await app.tus.find(getId(url)))?.serverMetadata, { owner: 'classified', at: '1970-01-01T00:00:00.000Z', deep: { list: [1, null] } })
      const responses = [
        created, await head(app, url), await app.inject(url), await patch(app, url, 3, 'x'), await app.inject({ method: 'OPTIONS', url }),
        await post(app, { 'upload-concat': `final;${url}` }), await terminate(app, url)
      ]
      for (const { headers, body } of responses) t.notMatch(JSON.stringify(headers) + body, /classified/)
    })
  }

  t.test('a draft is frozen', async t => {
    const { app, directory } = await makeApp(t)
    for (const change of [
      (draft: { length: number }) => { draft.length = 1 },
      (draft: { metadata: Record<string, string> }) => { draft.metadata.a = 'b' },
      (draft: { serverMetadata: Record<string, string> }) => { draft.serverMetadata.a = 'b' }
    ]) {
      let active = true
      app.tus.addHook('preCreate', (_request, draft) => { if (active) change(draft as never) })
      t.equal((await post(app, { 'upload-length': '5' })).statusCode, 500)
      active = false
    }
    t.same(await listFiles(directory), [])
  })

  const circular: Record<string, unknown> = {}
  circular.self = circular
  const nonsense: Record<string, unknown> = {
    'a string': 'x',
    'a number': 7,
    'an array': [],
    'an id that is a number': { id: 7 },
    'metadata that is null': { metadata: null },
    'metadata that is a list': { metadata: ['a'] },
    'metadata with a number': { metadata: { a: 7 } },
    'metadata with a space in a key': { metadata: { 'a b': 'x' } },
    'metadata with a comma in a key': { metadata: { 'a,b': 'x' } },
    'metadata with an empty key': { metadata: { '': 'x' } },
    'metadata with a key that can not be sent': { metadata: { ключ: 'x' } },
    'serverMetadata that is a list': { serverMetadata: [] },
    'serverMetadata that is null': { serverMetadata: null },
    'serverMetadata with a circle': { serverMetadata: circular },
    'serverMetadata with a BigInt': { serverMetadata: { a: 1n } },
    'expiresAt that is a string': { expiresAt: '2030-01-01' },
    'expiresAt that is no date': { expiresAt: new Date(NaN) }
  }
  for (const [what, result] of Object.entries(nonsense)) {
    t.test(`returning ${what} is a 500, and nothing is created`, async t => {
      const { app, directory } = await makeApp(t)
      app.tus.addHook('preCreate', (() => result) as never)
      const response = await createWithBody(app)
      t.match(response.json(), { statusCode: 500, code: 'TUS_ERR_HOOK_RESULT' })
      t.same(await listFiles(directory), [])
    })
  }

  t.test('an id that can not be one, or is taken', async t => {
    const { app } = await makeApp(t)
    let id = '../etc/passwd'
    app.tus.addHook('preCreate', () => ({ id }))
    t.match((await post(app, { 'upload-length': '5' })).json(), { statusCode: 500, code: 'TUS_ERR_ID_INVALID' })
    id = 'mine'
    t.equal((await post(app, { 'upload-length': '5' })).statusCode, 201)
    t.match((await post(app, { 'upload-length': '5' })).json(), { statusCode: 409, code: 'TUS_ERR_UPLOAD_EXISTS' })
  })

  t.test('what it returns beside that is ignored', async t => {
    const { app } = await makeApp(t)
    app.tus.addHook('preCreate', (() => ({ length: 1, offset: 3, partial: true, complete: true })) as never)
    const url = await createUpload(app)
    t.match(await app.tus.find(getId(url)), { length: 5, offset: 0, partial: false, complete: false })
  })
})

t.test('preFinish', async t => {
  for (const [by, retry] of Object.entries({
    HEAD: async (app, url) => (await head(app, url)).statusCode,
    'PATCH without bytes': async (app, url) => (await patch(app, url, 5, '')).statusCode,
    sweep: async app => (await app.tus.sweep()).finished === 1 ? 200 : 500
  } satisfies Record<string, (app: Awaited<ReturnType<typeof makeApp>>['app'], url: string) => Promise<number>>)) {
    t.test(`a refusal is tried again by ${by}`, async t => {
      const { app } = await makeApp(t)
      let open = false
      const seen: string[] = []
      app.tus.addHook('preFinish', request => {
        seen.push(`preFinish ${request?.method}`)
        if (!open) throw refusal(422)
      })
      app.tus.addHook('postFinish', request => { seen.push(`postFinish ${request?.method}`) })
      const created = await createWithBody(app)
      t.equal(created.statusCode, 422)
      const url = getPath(created)
      t.ok(url, 'a refused POST tells where the upload is')
      t.not(await retry(app, url), 200)
      t.equal((await app.inject(url)).statusCode, 404, 'not readable')
      t.match(await app.tus.find(getId(url)), { offset: 5, complete: false })
      open = true
      t.match(await retry(app, url), by === 'PATCH without bytes' ? 204 : 200)
      t.match(await app.tus.find(getId(url)), { complete: true, finished: true })
      t.equal((await app.inject(url)).body, 'hello')
      await head(app, url)
      await app.tus.sweep()
      const method = by === 'sweep' ? undefined : by.split(' ')[0]
      t.strictSame(seen, ['preFinish POST', `preFinish ${method}`, `preFinish ${method}`, `postFinish ${method}`])
    })
  }

  for (const [what, result] of Object.entries({ 'a number': 7, 'a list': [], 'headers that are a list': { headers: ['a'] }, 'a header that can not be sent': { headers: { 'x-a': 'a\nb' } }, 'a header name that can not be sent': { headers: { 'x a': 'b' } }, 'a body that is an object': { body: {} } })) {
    t.test(`returning ${what} is a 500, and the upload is not complete`, async t => {
      const { app } = await makeApp(t)
      let value: unknown = result
      app.tus.addHook('preFinish', (() => value) as never)
      const url = await createUpload(app)
      t.equal((await patch(app, url, 0, 'hello')).statusCode, 500)
      t.match(await app.tus.find(getId(url)), { offset: 5, complete: false })
      value = undefined
      t.equal((await head(app, url)).statusCode, 200)
    })
  }

  t.test('its body and headers go out with the request that completes, HEAD too', async t => {
    const { app, url } = await startApp(t)
    let open = false
    app.tus.addHook('preFinish', () => {
      if (!open) throw refusal(409)
      return { headers: { 'x-id': '7', 'content-type': 'application/json' }, body: '{"id":7}' }
    })
    const refused = await fetch(url, { method: 'POST', headers: { ...TUS, ...BYTES, 'upload-length': '5' }, body: 'hello' })
    t.equal(refused.status, 409)
    open = true
    const asked = await fetch(refused.headers.get('location')!, { method: 'HEAD', headers: TUS })
    t.match([asked.status, asked.headers.get('x-id'), asked.headers.get('upload-offset'), await asked.text()], [200, '7', '5', ''])
    const created = await fetch(url, { method: 'POST', headers: { ...TUS, ...BYTES, 'upload-length': '5' }, body: 'hello' })
    t.match([created.status, created.headers.get('content-type'), await created.json()], [201, 'application/json', { id: 7 }])
  })

  t.test('an upload of no bytes finishes as it is created', async t => {
    const { app } = await makeApp(t)
    const seen: number[] = []
    app.tus.addHook('preFinish', (_request, { offset }) => { seen.push(offset) })
    t.equal((await post(app, { 'upload-length': '0' })).statusCode, 201)
    t.strictSame(seen, [0])
  })
})

t.test('postFinish', async t => {
  t.test('runs once, however many requests ask at once', async t => {
    const directory = await makeDirectory(t)
    const storage = createFsStorage({ directory })
    await storage.create({
      id: 'left', length: 5, metadata: {}, serverMetadata: {}, echo: {}, partial: false, final: false, parts: [], completes: 'by-mark', createdAt: new Date(), expiresAt: null
    })
    const batches: Buffer[][] = [[Buffer.from('hello')]]
    await storage.append('left', { offset: 0, keep: 'prefix', body: { next: async () => batches.shift() ?? null } })
    await storage.complete('left')
    await storage.close?.()

    const { app, url } = await startApp(t, { storage: createFsStorage({ directory }) })
    let calls = 0
    app.tus.addHook('postFinish', async () => {
      calls++
      await sleep(30)
    })
    const asks = Array.from({ length: 20 }, () => fetch(`${url}/left`, { method: 'HEAD', headers: TUS }))
    const sweeps = [app.tus.sweep(), app.tus.sweep()]
    t.strictSame((await Promise.all(asks)).map(({ status }) => status), Array(20).fill(200))
    await Promise.all(sweeps)
    t.equal(calls, 1)
  })

  t.test('runs at a PATCH of a complete upload that is not finished', async t => {
    const inner = createMemoryStorage()
    let failing = true
    const storage: Storage = {
      ...inner,
      update: async (id, change) => {
        if (failing && change({} as Upload)?.finished) throw new Error('no mark')
        return inner.update(id, change)
      }
    }
    const { app } = await makeApp(t, { storage })
    let calls = 0
    app.tus.addHook('postFinish', () => { calls++ })
    const url = await createUpload(app)
    t.equal((await patch(app, url, 0, 'hello')).statusCode, 500)
    failing = false
    t.equal((await patch(app, url, 5, '')).statusCode, 204)
    t.equal((await patch(app, url, 5, '')).statusCode, 204)
    t.equal(calls, 1, 'this process knows that they have run')
    t.equal((await inner.find(url.slice('/files/'.length)))?.finished, true)
  })

  for (const hook of ['preFinish', 'postFinish']) {
    for (const by of ['HEAD', 'sweep']) {
      t.test(`a process that is killed in ${hook}: the next one runs it, at ${by}`, async t => {
        const directory = await makeDirectory(t)
        const log = join(await makeDirectory(t), 'log')
        await writeFile(log, '')
        const readLog = async () => (await readFile(log, 'utf8')).split('\n').filter(Boolean)
        const first = await startHooks(t, directory, log, hook)
        const created = await fetch(`${first.url}/files`, { method: 'POST', headers: { ...TUS, 'upload-length': '5' } })
        const path = new URL(created.headers.get('location')!).pathname
        const patching = fetch(first.url + path, { method: 'PATCH', headers: { ...TUS, ...BYTES, 'upload-offset': '0' }, body: 'hello' })
        patching.catch(() => {})
        await until('it is in the hook', async () => (await readLog()).includes(`${hook} 5 PATCH`))
        await first.kill()
        await t.rejects(patching)

        const second = await startHooks(t, directory, log)
        if (by === 'sweep') t.match(await (await fetch(`${second.url}/sweep`)).json(), { finished: 1, failed: 0 })
        for (let times = 0; times < 3; times++) {
          const asked = await fetch(second.url + path, { method: 'HEAD', headers: TUS })
          t.match([asked.status, asked.headers.get('upload-offset')], [200, '5'])
        }
        t.equal(await (await fetch(second.url + path)).text(), 'hello')
        const who = by === 'sweep' ? 'nobody' : 'HEAD'
        t.strictSame(await readLog(), hook === 'preFinish'
          ? ['preFinish 5 PATCH', `preFinish 5 ${who}`, `postFinish 5 ${who}`]
          : ['preFinish 5 PATCH', 'postFinish 5 PATCH', `postFinish 5 ${who}`])
      })
    }
  }

  t.test('partial uploads do not finish, the final one does', async t => {
    const { app } = await makeApp(t)
    const seen: string[] = []
    app.tus.addHook('preFinish', (_request, { final, partial }) => { seen.push(`preFinish ${final} ${partial}`) })
    app.tus.addHook('postFinish', (_request, { final, partial, offset }) => { seen.push(`postFinish ${final} ${partial} ${offset}`) })
    const parts = [getPath(await createWithBody(app, { 'upload-concat': 'partial' })), getPath(await createWithBody(app, { 'upload-concat': 'partial' }))]
    t.strictSame(seen, [])
    const final = getPath(await post(app, { 'upload-concat': `final;${parts.join(' ')}` }))
    t.equal((await app.inject(final)).body, 'hellohello')
    t.strictSame(seen, ['preFinish true false', 'postFinish true false 10'])
  })
})

t.test('a hook that never settles', async t => {
  t.test('keeps its request waiting, and others get 423 until it is over', async t => {
    const { app, url } = await startApp(t, { lockTimeout: 100 })
    const gate = createGate()
    t.teardown(() => gate.open())
    const entered = createGate()
    app.tus.addHook('preFinish', async () => {
      entered.open()
      await gate.passed
    })
    const path = await createUpload(app)
    const address = new URL(path, url)
    const patching = fetch(address, { method: 'PATCH', headers: { ...TUS, ...BYTES, 'upload-offset': '0' }, body: 'hello' })
    await entered.passed
    t.equal((await fetch(address, { method: 'HEAD', headers: TUS })).status, 423)
    t.equal((await fetch(address, { method: 'DELETE', headers: TUS })).status, 423)
    t.match(await app.tus.sweep(), { failed: 0, finished: 0, expired: 0 }, 'the sweep comes back to it')
    t.equal(await createUpload(app).then(() => 'created'), 'created', 'other uploads are not held up')
    gate.open()
    t.equal((await patching).status, 204)
    t.equal((await fetch(address, { method: 'HEAD', headers: TUS })).status, 200)
  })

  t.test('handlerTimeout answers a HEAD in time; the lock is free when the hook ends', async t => {
    for (const end of ['returns', 'throws'] as const) {
      const { app, url } = await startApp(t, { lockTimeout: 200 }, { handlerTimeout: 2000 })
      const gate = createGate()
      t.teardown(() => gate.open())
      let mode: 'refuse' | 'hang' | 'pass' = 'refuse'
      app.tus.addHook('preFinish', async () => {
        if (mode === 'pass') return
        if (mode === 'hang') await gate.passed
        if (mode === 'refuse' || end === 'throws') throw refusal(422, { headers: { 'x-late': '1' } })
      })
      const path = getPath(await createWithBody(app))
      const ask = () => fetch(new URL(path, url), { method: 'HEAD', headers: TUS })
      mode = 'hang'
      const asked = await ask()
      t.match([asked.status, asked.headers.get('tus-resumable'), asked.headers.get('x-late')], [423, '1.0.0', null])
      t.equal((await ask()).status, 423)
      mode = 'pass'
      gate.open()
      await until('the lock is free', async () => (await ask()).status === 200)
      t.match(await app.tus.find(getId(path)), { complete: true })
    }
  })
})

t.test('a hook that waits for the lock of its own upload waits in vain, and nothing breaks', async t => {
  const { app, logged } = await makeLoggingApp(t, { lockTimeout: 50 })
  app.tus.addHook('postFinish', async (_request, { id }) => { await app.tus.terminate(id) })
  const url = await createComplete(app, 'hello')
  t.match(logged, [{ hook: 'postFinish', err: { message: /in use/ } }])
  t.equal(await getOffset(app, url), '5')
})

t.test('a hook that answers by itself', async t => {
  for (const then of ['returns', 'throws'] as const) {
    const app = Fastify()
    t.teardown(() => app.close())
    app.decorateRequest('reply', null)
    app.addHook('onRequest', async (request, reply) => { request.reply = reply })
    await app.register(fastifyTus, { storage: createMemoryStorage() })
    app.tus.addHook('preCreate', ({ reply }) => {
      reply!.code(418).send('by myself')
      if (then === 'throws') throw refusal(403)
    })
    t.match(await post(app, { 'upload-length': '5' }), { statusCode: 418, body: 'by myself', headers: { 'tus-resumable': '1.0.0' } })
    t.match(await post(app, { 'upload-length': '5' }), { statusCode: 418 }, 'the server is well')
    const ids = []
    for await (const { id } of app.tus.list()) ids.push(id)
    t.equal(ids.length, 0, 'nothing is stored for a request that has its answer')
  }
})

t.test('postReceive', async t => {
  t.test('hears of durable bytes during a long body, at most once per interval, one call at a time, and at its end', async t => {
    const interval = 60
    const { app, port, directory } = await startApp(t, { progressInterval: interval })
    const path = await createUpload(app, { 'upload-length': '10000' })
    const calls: Array<{ offset: number, at: number, durable: number }> = []
    let running = 0
    let most = 0
    app.tus.addHook('postReceive', async (_request, { id, offset }) => {
      most = Math.max(most, ++running)
      calls.push({ offset, at: performance.now(), durable: (await readFile(join(directory, id))).length })
      await sleep(interval / 2)
      running--
    })
    const client = openRaw(t, port)
    const start = performance.now()
    await client.send(formatHead('PATCH', path, { ...TUS, ...BYTES, 'upload-offset': '0', 'transfer-encoding': 'chunked' }))
    let sent = 0
    for (; sent < 9000 && (sent < 90 || calls.length < 3); sent++) {
      await client.send(formatChunk('x'))
      await sleep(10)
    }
    await client.send(formatChunk('x'.repeat(10_000 - sent)) + '0\r\n\r\n')
    t.match(await client.receive('PATCH'), { status: 204 })
    const took = performance.now() - start
    const offsets = calls.map(({ offset }) => offset)
    t.ok(calls.length >= 3, `${calls.length} calls`)
    t.ok(calls.length <= took / interval + 2, `${calls.length} calls in ${took} ms`)
    t.strictSame(offsets, [...new Set(offsets)].sort((a, b) => a - b), 'offsets only grow')
    t.equal(offsets.at(-1), 10_000)
    t.ok(calls.every(({ offset, durable }) => durable >= offset))
    t.equal(most, 1)
  })

  t.test('hears once of a short body, and nothing of one that brings nothing', async t => {
    const { app } = await makeApp(t)
    const offsets: number[] = []
    app.tus.addHook('postReceive', (_request, { offset }) => { offsets.push(offset) })
    const url = await createUpload(app)
    await patch(app, url, 0, 'hel')
    await patch(app, url, 3, '')
    await patch(app, url, 3, 'lo')
    await head(app, url)
    t.strictSame(offsets, [3, 5])
  })

  t.test('StopUpload counts also where the storage fails while the hook runs', async t => {
    const memory = createMemoryStorage()
    const failing = {
      ...memory,
      async append (_id: string, { onProgress }: Addition): Promise<number> {
        onProgress!(3)
        throw new Error('disk on fire')
      }
    }
    const { app } = await makeApp(t, { storage: failing })
    const path = await createUpload(app)
    const failures: string[] = []
    app.tus.addHook('postReceive', async () => {
      await sleep(5)
      throw new StopUpload('that is enough', { statusCode: 413 })
    })
    app.tus.addHook('postFail', (_request, _upload, error) => { failures.push((error as TusError).code) })
    const { statusCode, json } = await patch(app, path, 0, 'hello')
    t.same([statusCode, json().code], [413, 'TUS_ERR_UPLOAD_STOPPED'])
    t.same(failures, ['TUS_ERR_UPLOAD_STOPPED'])
    t.equal((await head(app, path)).statusCode, 404)
  })

  t.test('StopUpload in the middle of a body ends it, removes the upload, and is the answer', async t => {
    const { app, port, directory } = await startApp(t, { progressInterval: 30 })
    const path = await createUpload(app, { 'upload-length': '1000000' })
    const seen: string[] = []
    app.tus.addHook('postReceive', () => { throw new StopUpload('that is enough', { statusCode: 413 }) })
    app.tus.addHook('preTerminate', () => { seen.push('preTerminate') })
    app.tus.addHook('postTerminate', (request, { id }) => { seen.push(`postTerminate ${request?.method} ${id}`) })
    app.tus.addHook('postFinish', () => { seen.push('postFinish') })
    const client = openRaw(t, port)
    await client.send(formatHead('PATCH', path, { ...TUS, ...BYTES, 'upload-offset': '0', 'content-length': '1000000' }))
    const receiving = client.receive('PATCH')
    for (let sent = 0; sent < 5000 && await Promise.race([receiving, sleep(10)]) === undefined; sent++) await client.send('x')
    const response = await receiving
    t.match(response, { status: 413, headers: { connection: 'close', 'tus-resumable': '1.0.0' } })
    t.match(JSON.parse(response!.body), { code: 'TUS_ERR_UPLOAD_STOPPED', message: /that is enough/ })
    t.notOk('upload-offset' in response!.headers)
    t.strictSame(seen, [`postTerminate PATCH ${getId(path)}`])
    t.equal((await head(app, path)).statusCode, 404)
    t.same(await listFiles(directory), [])
  })

  t.test('StopUpload at the end of a body, also of the last one and of a creation', async t => {
    const { app, directory } = await makeApp(t)
    app.tus.addHook('postReceive', () => { throw new StopUpload('no') })
    app.tus.addHook('preFinish', () => { t.fail('it is not finished') })
    const path = await createUpload(app)
    t.equal((await patch(app, path, 0, 'hello')).statusCode, 400)
    const created = await createWithBody(app)
    t.equal(created.statusCode, 400)
    t.notOk('location' in created.headers)
    t.same(await listFiles(directory), [])
  })

  t.test('the word of a hook counts, whatever it says to bytes that come behind', async t => {
    const inner = createMemoryStorage()
    const storage: Storage = {
      ...inner,
      async append (id, addition) {
        for (const offset of [1, 2]) {
          addition.onProgress?.(offset)
          await sleep(5)
        }
        return inner.append(id, addition)
      }
    }
    const { app } = await makeApp(t, { storage })
    let calls = 0
    app.tus.addHook('postReceive', () => { if (calls++ === 0) throw new StopUpload('once is enough', { statusCode: 403 }) })
    const url = await createUpload(app)
    const response = await patch(app, url, 0, 'hello')
    t.equal(response.statusCode, 403)
    t.match(response.json().message, /once is enough/)
    t.equal((await head(app, url)).statusCode, 404)
    t.equal(calls, 1)
  })

  t.test('a status that is no error is a 400', async t => {
    for (const statusCode of [200, 42, NaN, 1000, '413' as unknown as number]) t.equal(new StopUpload('x', { statusCode }).statusCode, 400)
    const { app } = await makeApp(t)
    app.tus.addHook('postReceive', () => { throw new StopUpload('no', { statusCode: 204 }) })
    t.equal((await patch(app, await createUpload(app), 0, 'hello')).statusCode, 400)
  })

  t.test('bytes with a checksum are reported when they are verified', async t => {
    const { app } = await makeApp(t, { progressInterval: 1 })
    const offsets: number[] = []
    app.tus.addHook('postReceive', (_request, { offset }) => { offsets.push(offset) })
    const url = await createUpload(app)
    t.equal((await patch(app, url, 0, 'hello', { 'upload-checksum': 'sha1 AAAAAAAAAAAAAAAAAAAAAAAAAAA=' })).statusCode, 460)
    t.strictSame(offsets, [])
    t.equal((await patch(app, url, 0, 'hello', { 'upload-checksum': 'sha1 qvTGHdzF6KLavt4PO0gs2a6pQ00=' })).statusCode, 204)
    t.strictSame(offsets, [5])
  })
})

t.test('postExpire hears of what a sweep removed, and nobody else does', async t => {
  const { app } = await makeApp(t)
  const seen: string[] = []
  app.tus.addHook('preCreate', request => request.headers['x-short'] ? { expiresAt: new Date(Date.now() - 1) } : undefined)
  for (const hook of ['preTerminate', 'postTerminate'] as const) app.tus.addHook(hook, () => { seen.push(hook) })
  app.tus.addHook('postExpire', () => { throw new Error('nobody listens') })
  app.tus.addHook('postExpire', ({ id, offset }) => { seen.push(`postExpire ${id} ${offset}`) })
  await createUpload(app)
  const url = await createUpload(app, { 'upload-length': '5', 'x-short': '1' })
  t.equal((await head(app, url)).statusCode, 410)
  t.match(await app.tus.sweep(), { expired: 1, failed: 0 })
  t.strictSame(seen, [`postExpire ${getId(url)} 0`])
  t.match(await app.tus.sweep(), { expired: 0 })
})

t.test('postFail', async t => {
  async function makeFailing (t: Test, options: TusOptions = {}) {
    const made = await startApp(t, options)
    const failures: string[] = []
    made.app.tus.addHook('postFail', () => { throw new Error('nobody listens') })
    made.app.tus.addHook('postFail', (request, { id }, error) => { failures.push(`${request.method} ${id.length} ${(error as TusError).code ?? error.message}`) })
    return { ...made, failures }
  }

  t.test('hears of a connection that broke', async t => {
    const { app, port, directory, failures } = await makeFailing(t)
    const path = await createUpload(app)
    const client = openRaw(t, port)
    await client.send(formatHead('PATCH', path, { ...TUS, ...BYTES, 'upload-offset': '0', 'content-length': '5' }) + 'hel')
    await untilStored(directory, path)
    client.reset()
    await until('it is told', () => failures.length > 0)
    t.strictSame(failures, ['PATCH 32 TUS_ERR_BODY_CUT'])
  })

  t.test('hears of a body that is too long, one that stalled, one that was taken over, and a storage that failed', async t => {
    const { app, port, url, failures } = await makeFailing(t, { stallTimeout: 200 })
    const long = openRaw(t, port)
    await long.send(formatHead('PATCH', await createUpload(app), { ...TUS, ...BYTES, 'upload-offset': '0', 'transfer-encoding': 'chunked' }) + formatChunk('too long'))
    t.match(await long.receive('PATCH'), { status: 413 })
    const stalled = openRaw(t, port)
    await stalled.send(formatHead('PATCH', await createUpload(app), { ...TUS, ...BYTES, 'upload-offset': '0', 'content-length': '5' }) + 'h')
    t.match(await stalled.receive('PATCH'), { status: 503 })
    t.strictSame(failures, ['PATCH 32 TUS_ERR_BODY_TOO_LONG', 'PATCH 32 TUS_ERR_BODY_STALLED'])

    const other = await makeFailing(t)
    const path = await createUpload(other.app)
    const taken = openRaw(t, other.port)
    await taken.send(formatHead('PATCH', path, { ...TUS, ...BYTES, 'upload-offset': '0', 'content-length': '5' }) + 'h')
    await untilStored(other.directory, path)
    t.equal((await fetch(new URL(path, other.url), { method: 'HEAD', headers: TUS })).status, 200)
    t.match(await taken.receive('PATCH'), { status: 423 })
    t.strictSame(other.failures, ['PATCH 32 TUS_ERR_BODY_TAKEN_OVER'])

    const broken = await makeFailing(t, { storage: { ...createMemoryStorage(), append: async () => { throw new Error('disk on fire') } } })
    t.equal((await patch(broken.app, await createUpload(broken.app), 0, 'hello')).statusCode, 500)
    t.strictSame(broken.failures, ['PATCH 32 disk on fire'])
    t.ok(url)
  })

  t.test('hears nothing of what was refused before the body began', async t => {
    const { app, failures } = await makeFailing(t)
    const path = await createUpload(app)
    t.equal((await patch(app, path, 3, 'lo')).statusCode, 409)
    t.equal((await patch(app, path, 0, 'too long')).statusCode, 413)
    t.equal((await patch(app, '/files/none', 0, 'x')).statusCode, 404)
    t.strictSame(failures, [])
  })
})

t.test('request is null where no request is the cause', async t => {
  const { app } = await makeApp(t)
  const seen: string[] = []
  app.tus.addHook('preFinish', request => {
    seen.push(`preFinish ${request?.method ?? null}`)
    if (request !== null) throw refusal(409)
  })
  for (const hook of ['postFinish', 'preTerminate', 'postTerminate'] as const) app.tus.addHook(hook, request => { seen.push(`${hook} ${request?.method ?? null}`) })
  await createWithBody(app)
  await app.tus.sweep()
  const claim = await app.tus.claim({ timeout: 0 })
  await claim!.done({ remove: true })
  t.strictSame(seen, ['preFinish POST', 'preFinish null', 'postFinish null', 'preTerminate null', 'postTerminate null'])
})

t.test('request.upload in Fastify’s own hooks', async t => {
  const app = Fastify()
  t.teardown(() => app.close())
  const seen: string[] = []
  const note = (hook: string, { method, upload }: FastifyRequest) => { seen.push(`${method} ${hook} ${upload === null ? null : upload.offset}`) }
  app.addHook('onRequest', async request => note('onRequest', request))
  app.addHook('preHandler', async request => note('preHandler', request))
  app.addHook('onSend', async request => note('onSend', request))
  app.addHook('onError', async request => note('onError', request))
  app.addHook('onResponse', async request => note('onResponse', request))
  await app.register(fastifyTus, { storage: createMemoryStorage() })
  const url = await createUpload(app)
  await patch(app, url, 3, 'conflict')
  await patch(app, url, 0, 'hello')
  await terminate(app, url)
  await head(app, url)
  t.strictSame(seen, [
    'POST onRequest null', 'POST preHandler null', 'POST onSend 0', 'POST onResponse 0',
    'PATCH onRequest null', 'PATCH preHandler null', 'PATCH onError 0', 'PATCH onSend 0', 'PATCH onResponse 0',
    'PATCH onRequest null', 'PATCH preHandler null', 'PATCH onSend 5', 'PATCH onResponse 5',
    'DELETE onRequest null', 'DELETE preHandler null', 'DELETE onSend 5', 'DELETE onResponse 5',
    'HEAD onRequest null', 'HEAD preHandler null', 'HEAD onError null', 'HEAD onSend null', 'HEAD onResponse null'
  ])
})

t.test('a hook that is added later runs from then on', async t => {
  const { app } = await makeApp(t)
  const url = await createUpload(app)
  const seen: string[] = []
  app.tus.addHook('preAccess', (_request, _upload, action) => { seen.push(action) })
  await patch(app, url, 0, 'hello')
  t.strictSame(seen, ['append'])
})

async function startHooks (t: Test, directory: string, log: string, hanging = '') {
  const child = spawnNode(['test/support/hooks-process.mjs', directory, log, hanging])
  t.teardown(() => { child.kill('SIGKILL') })
  let errors = ''
  child.stderr!.on('data', text => { errors += text })
  const line = await waitForLine(child, /^ready /, () => errors)
  return {
    url: line.slice('ready '.length),
    async kill () {
      const exited = once(child, 'exit')
      child.kill('SIGKILL')
      await exited
    }
  }
}
