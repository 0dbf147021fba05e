import Fastify, { type FastifyInstance, type LightMyRequestResponse } from 'fastify'
import { createHash } from 'node:crypto'
import { subscribe, unsubscribe } from 'node:diagnostics_channel'
import t, { type Test } from 'tap'
import { createFsStorage } from '../../adapters/fs/index.js'
import { createMemoryStorage } from '../../adapters/memory/index.js'
import fastifyTus, { type LifecycleMessage, type Storage } from '../../lib/index.js'
import { makeDirectory } from '../support/app.js'
import { skip as skipAzure } from '../support/azure/azurite.js'
import { setUp as setUpAzure } from '../support/azure/storages.js'
import { BYTES, createUpload, getPath, head, patch, post, TUS, type Headers } from '../support/http-tus.js'
import { setUp as setUpS3 } from '../support/s3/storages.js'

// One upload, two protocols: what one client is told of its end is true for the other, and for the application.

const STORAGES: Readonly<Record<string, { readonly make: (t: Test) => Promise<Storage>, readonly skip?: string | false }>> = {
  memory: { make: async () => createMemoryStorage() },
  filesystem: { make: async t => createFsStorage({ directory: await makeDirectory(t) }) },
  S3: { make: async t => (await (await setUpS3(t)).open()).storage },
  Azure: { make: async t => (await (await setUpAzure(t)).open()).storage, skip: skipAzure }
}

const MORE = { 'upload-complete': '?0' }
const ALL = { 'upload-complete': '?1' }
const CHUNKED = { 'transfer-encoding': 'chunked' }
const version = (number: number) => ({ 'upload-draft-interop-version': String(number) })

const begin = async (app: FastifyInstance, payload: string, headers: Headers = {}) =>
  getPath(await app.inject({ method: 'POST', url: '/files', headers: { ...MORE, ...headers }, payload }))

const append = (app: FastifyInstance, url: string, offset: number, payload: string, headers: Headers) =>
  app.inject({ method: 'PATCH', url, headers: { 'content-type': 'application/partial-upload', 'upload-offset': String(offset), ...headers }, payload })

const inspect = (app: FastifyInstance, url: string, headers: Headers = version(8)) => app.inject({ method: 'HEAD', url, headers })

/** How five bytes come in, and whether the upload is complete by that. Each resolves to its last answer. */
interface Way {
  readonly send: (app: FastifyInstance) => Promise<{ readonly url: string, readonly answer: LightMyRequestResponse }>
  readonly complete: boolean
}

const ofTus = (creation: Headers, headers: Headers, offset = 0): Way['send'] => async app => {
  const url = getPath(await post(app, { ...creation, ...offset > 0 && BYTES }, offset > 0 ? 'hello'.slice(0, offset) : undefined))
  return { url, answer: await append(app, url, offset, 'hello'.slice(offset), headers) }
}

const ofDraft = (creation: Headers, content: string, finish: (app: FastifyInstance, url: string) => Promise<LightMyRequestResponse>): Way['send'] => async app => {
  const url = await begin(app, content, creation)
  return { url, answer: await finish(app, url) }
}

const FIVE = { 'upload-length': '5' }
const DEFERRED = { 'upload-defer-length': '1' }

const WAYS: Readonly<Record<string, Way>> = {
  'created with tus, filled with more to come': { send: ofTus(FIVE, MORE), complete: true },
  'begun with tus, filled with more to come': { send: ofTus(FIVE, MORE, 3), complete: true },
  'created with tus, filled with more to come, in chunks': { send: ofTus(FIVE, { ...MORE, ...CHUNKED }), complete: true },
  'created with tus, filled with more to come, in version 3': { send: ofTus(FIVE, { ...version(3), 'upload-incomplete': '?1' }), complete: true },
  'created with tus, filled with more to come, in version 6': { send: ofTus(FIVE, { ...version(6), ...MORE }), complete: true },
  'created with tus without a length, which comes with all bytes and more to come': { send: ofTus(DEFERRED, { ...MORE, ...FIVE }), complete: true },
  'created with tus, filled with the end': { send: ofTus(FIVE, ALL), complete: true },
  'created with tus without a length, filled with the end': { send: ofTus(DEFERRED, ALL), complete: true },
  'created with tus without a length, filled with the end, in chunks': { send: ofTus(DEFERRED, { ...ALL, ...CHUNKED }), complete: true },
  'created with tus without a length, filled with more to come': { send: ofTus(DEFERRED, MORE), complete: false },
  'created with the draft, filled with tus': { send: ofDraft(FIVE, '', (app, url) => patch(app, url, 0, 'hello')), complete: true },
  'begun with the draft, filled with tus': { send: ofDraft(FIVE, 'hel', (app, url) => patch(app, url, 3, 'lo')), complete: true },
  'begun with the draft without a length, filled with tus that tells it': { send: ofDraft({}, 'hel', (app, url) => patch(app, url, 3, 'lo', FIVE)), complete: true },
  'filled with the draft, and ended by an empty PATCH of tus': { send: ofDraft(FIVE, 'hello', (app, url) => patch(app, url, 5, '')), complete: true },
  'filled with the draft without a length, and ended by an empty PATCH of tus': { send: ofDraft({}, 'hello', (app, url) => patch(app, url, 5, '', FIVE)), complete: true },
  'begun with the draft, continued with tus, filled with more to come': {
    send: ofDraft(FIVE, 'h', async (app, url) => {
      await patch(app, url, 1, 'el')
      return append(app, url, 3, 'lo', MORE)
    }),
    complete: false
  },
  'filled with the draft, with more to come': { send: ofDraft(FIVE, 'hel', (app, url) => append(app, url, 3, 'lo', MORE)), complete: false }
}

interface Observed {
  readonly app: FastifyInstance
  readonly hooks: string[]
  /** Ids of uploads that the log and the channels called finished. */
  readonly finished: string[]
}

async function start (t: Test, storage: Storage, withHooks: boolean): Promise<Observed> {
  const app = Fastify()
  t.teardown(() => app.close())
  await app.register(fastifyTus, { storage, expiration: { sweepInterval: null } })
  const observed: Observed = { app, hooks: [], finished: [] }
  if (withHooks) for (const name of ['preFinish', 'postFinish'] as const) app.tus.addHook(name, () => { observed.hooks.push(name) })
  const listener = (message: unknown) => { observed.finished.push((message as LifecycleMessage).upload.id) }
  subscribe('fastify-tus:upload:finished', listener)
  t.teardown(() => { unsubscribe('fastify-tus:upload:finished', listener) })
  return observed
}

/** That everybody is told the same: the clients of both protocols, a browser, the application, its hooks and its log. */
async function check (t: Test, { app, hooks, finished }: Observed, url: string, complete: boolean, withHooks: boolean): Promise<void> {
  const id = url.slice('/files/'.length)
  t.match(await app.tus.find(id), { offset: 5, complete, finished: complete && withHooks })
  t.equal((await inspect(app, url)).headers['upload-complete'], complete ? '?1' : '?0')
  const { statusCode, body } = await app.inject(url)
  t.equal(statusCode === 200 && body === 'hello', complete, 'the download')
  t.same(hooks, complete && withHooks ? ['preFinish', 'postFinish'] : [])
  t.same(finished, complete ? [id] : [])
  const listed: string[] = []
  for await (const { id } of app.tus.list({ state: 'complete' })) listed.push(id)
  t.same(listed, complete ? [id] : [])
}

for (const [name, { make, skip = false }] of Object.entries(STORAGES)) {
  t.test(`on ${name}`, { skip }, async t => {
    for (const withHooks of [false, true]) {
      for (const [way, { send, complete }] of Object.entries(WAYS)) {
        t.test(`an upload ${way} is ${complete ? '' : 'not '}complete${withHooks ? ', and its finish hooks run once if it is' : ''}`, async t => {
          const observed = await start(t, await make(t), withHooks)
          const { app } = observed
          const { url, answer } = await send(app)
          t.match(answer, { statusCode: /^20[14]$/, headers: { 'upload-offset': '5' } })
          const [told, wanted] = answer.headers['upload-incomplete'] === undefined ? [answer.headers['upload-complete'], '?1'] : [answer.headers['upload-incomplete'], '?0']
          if (told !== undefined) t.equal(told === wanted, complete, 'so it was answered')
          await check(t, observed, url, complete, withHooks)
          // In tus, an upload whose offset is its length is done.
          const asked = await head(app, url)
          t.match(asked, { statusCode: 200, headers: { 'upload-offset': '5' } })
          await check(t, observed, url, asked.headers['upload-length'] === '5', withHooks)
          t.match(await app.tus.sweep(), { failed: 0, finished: 0 }, 'nothing was left to do')
          t.equal((await append(app, url, 5, '', ALL)).statusCode, 201, 'a client that says later that this was all is welcome')
          await check(t, observed, url, true, withHooks)
        })
      }
    }
  })
}

t.test('a HEAD in versions 5 and 6, whose clients go by the length, completes a full upload as one in tus does; any other leaves it', async t => {
  for (const number of [3, 5, 6, 8, 9]) {
    const { app } = await start(t, createMemoryStorage(), true)
    const url = await begin(app, 'hello', FIVE)
    const answer = await inspect(app, url, version(number))
    const isComplete = number === 3 ? answer.headers['upload-incomplete'] === '?0' : answer.headers['upload-complete'] === '?1'
    t.equal(isComplete, number === 5 || number === 6, `version ${number}`)
    t.match(await app.tus.find(url.slice('/files/'.length)), { complete: isComplete })
  }
})

t.test('an empty upload of the draft with more to come is complete when tus asks for it, and not before', async t => {
  const observed = await start(t, createMemoryStorage(), true)
  const { app, hooks } = observed
  const url = await begin(app, '', { 'upload-length': '0' })
  t.match(await inspect(app, url), { headers: { 'upload-offset': '0', 'upload-complete': '?0' } })
  t.same(hooks, [])
  t.match(await head(app, url), { headers: { 'upload-offset': '0', 'upload-length': '0' } })
  t.same(hooks, ['preFinish', 'postFinish'])
  t.equal((await app.inject(url)).statusCode, 200)
})

t.test('what a client of tus takes for complete is verified first: one with a wrong digest is gone, and nobody heard of a file', async t => {
  const digest = (content: string) => ({ 'repr-digest': `sha-256=:${createHash('sha256').update(content).digest('base64')}:` })
  for (const [content, status] of [['hello', 200], ['jello', 400]] as const) {
    const { app, hooks } = await start(t, createMemoryStorage(), true)
    const url = await begin(app, 'hello', { ...FIVE, ...digest(content) })
    t.equal((await head(app, url)).statusCode, status)
    t.same(hooks, status === 200 ? ['preFinish', 'postFinish'] : [])
    t.equal((await head(app, url)).statusCode, status === 200 ? 200 : 404)
  }
})

t.test('an upload whose preFinish hook refuses is not told as done to a client of tus', async t => {
  const { app } = await start(t, createMemoryStorage(), false)
  app.tus.addHook('preFinish', () => { throw Object.assign(new Error('not yet'), { statusCode: 422 }) })
  for (const url of [await begin(app, 'hello', FIVE), await createUpload(app)]) {
    await append(app, url, 0, 'hello', MORE)
    t.equal((await head(app, url)).statusCode, 422)
    t.match(await app.tus.find(url.slice('/files/'.length)), { complete: false, offset: 5 })
  }
})

t.test('partial uploads of tus that were filled with more to come are parts of their final upload', async t => {
  const { app } = await start(t, createMemoryStorage(), true)
  const parts = [await createUpload(app, { ...FIVE, 'upload-concat': 'partial' }), await createUpload(app, { ...FIVE, 'upload-concat': 'partial' })]
  await append(app, parts[0]!, 0, 'hello', MORE)
  const url = getPath(await post(app, { 'upload-concat': `final;${parts.join(' ')}` }))
  t.notOk('upload-offset' in (await head(app, url)).headers)
  await append(app, parts[1]!, 0, 'world', MORE)
  t.match(await head(app, url), { headers: { 'upload-offset': '10', 'upload-length': '10' } })
  t.equal((await app.inject(url)).body, 'helloworld')
})

t.test('the handler of a route answers when an upload of tus is full, and a client of tus that asks for a full one has it run', async t => {
  const { app } = await start(t, createMemoryStorage(), false)
  const handled: string[] = []
  app.post('/documents', app.tus.resumable(async request => {
    handled.push(request.upload!.id)
    return 'kept'
  }))
  const created = await app.inject({ method: 'POST', url: '/documents', headers: { ...TUS, ...FIVE } })
  t.match(await append(app, getPath(created), 0, 'hello', MORE), { statusCode: 200, body: 'kept', headers: { 'upload-complete': '?1' } })
  t.equal(handled.length, 1)
  const begun = await app.inject({ method: 'POST', url: '/documents', headers: { ...MORE, ...FIVE }, payload: 'hello' })
  t.equal(handled.length, 1)
  t.match(await head(app, getPath(begun)), { statusCode: 200, headers: { 'upload-offset': '5', 'upload-length': '5' } })
  t.equal(handled.length, 2)
  t.match(await append(app, getPath(begun), 5, '', ALL), { statusCode: 200, body: 'kept' })
  t.equal(handled.length, 2)
})
