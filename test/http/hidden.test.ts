import createError from '@fastify/error'
import Fastify, { type FastifyError, type FastifyInstance } from 'fastify'
import { createHash } from 'node:crypto'
import type { AddressInfo } from 'node:net'
import t, { type Test } from 'tap'
import { createMemoryStorage } from '../../adapters/memory/index.js'
import { makeId, makeUpload } from '../../lib/contract/uploads.js'
import fastifyTus, { TusError, type Storage, type TusOptions, type Upload } from '../../lib/index.js'
import { ask, getPath, type Headers, type IetfAnswer } from '../support/ietf.js'

// What a client may not know of can't be told from what is not there, whatever it asks.

/** A request, with `ID` in the place of the id. */
interface Question {
  readonly method: string
  readonly path: string
  readonly headers: Headers
  readonly body: string | null
}

const OCTETS = 'application/offset+octet-stream'
const PARTIAL = 'application/partial-upload'
const sha1 = (text: string) => createHash('sha1').update(text).digest('base64')
const sha256 = (text: string) => createHash('sha256').update(text).digest('base64')

/** What a client says of its protocol. */
const DIALECTS: Readonly<Record<string, Headers>> = {
  nothing: {},
  tus: { 'tus-resumable': '1.0.0' },
  'an old tus': { 'tus-resumable': '0.2.2' },
  'version 3': { 'upload-draft-interop-version': '3' },
  'version 5': { 'upload-draft-interop-version': '5' },
  'version 6': { 'upload-draft-interop-version': '6' },
  'version 8': { 'upload-draft-interop-version': '8' },
  'no version': { 'upload-complete': '?1' }
}

const { nothing, tus, 'an old tus': old } = DIALECTS
const CONCATENATING = { nothing, tus, 'an old tus': old }

/** What goes along with a PATCH at the right offset, by the type of its body. */
const APPENDS: Readonly<Record<string, readonly Headers[]>> = {
  'text/plain': [{}],
  [OCTETS]: [
    {}, { 'upload-offset': '4' }, { 'upload-offset': 'x' }, { 'upload-length': '11' }, { 'upload-length': '5' }, { 'upload-length': '1000000' },
    { 'content-encoding': 'gzip' }, { 'transfer-encoding': 'chunked' }, { expect: '100-continue' },
    { 'upload-checksum': `sha1 ${sha1(' world')}` }, { 'upload-checksum': `sha1 ${sha1('x')}` }, { 'upload-checksum': 'sha1' }
  ],
  [PARTIAL]: [
    {}, { 'upload-complete': '?0' }, { 'upload-offset': '99' }, { 'upload-offset': 'x' }, { 'upload-length': '11' }, { 'upload-length': '1000000' },
    { 'content-digest': `sha-256=:${sha256('x')}:` }, { 'content-digest': 'x' }, { 'repr-digest': `sha-256=:${sha256('hello world')}:` }
  ]
}

function * listQuestions (path: string): Generator<Question> {
  const plain = { path, headers: {}, body: null }
  for (const method of ['HEAD', 'GET', 'DELETE', 'OPTIONS', 'PUT', 'POST', 'LINK']) yield { ...plain, method }
  for (const headers of [{ range: 'bytes=0-1' }, { 'if-none-match': '*' }, { 'if-match': '"x"' }, { 'upload-offset': '5' }]) {
    for (const method of ['HEAD', 'GET', 'DELETE']) yield { ...plain, method, headers }
  }
  for (const override of ['PATCH', 'DELETE', 'HEAD']) yield { ...plain, method: 'POST', headers: { 'x-http-method-override': override, 'content-type': OCTETS, 'upload-offset': '5' } }
  yield { path, method: 'PATCH', headers: { 'upload-offset': '5' }, body: ' world' }
  for (const [type, appends] of Object.entries(APPENDS)) {
    const common = { 'content-type': type }
    yield { path, method: 'PATCH', headers: common, body: ' world' }
    for (const headers of appends) yield { path, method: 'PATCH', headers: { ...common, 'upload-offset': '5', ...headers }, body: ' world' }
    yield { path, method: 'PATCH', headers: { ...common, 'upload-offset': '5' }, body: 'x'.repeat(2000) }
    yield { path, method: 'PATCH', headers: { ...common, 'upload-offset': '5', 'upload-complete': '?1' }, body: '' }
  }
}

function * listCreations (collection: string, mine: string): Generator<Question> {
  for (const parts of [[`${collection}/ID`], [mine, `http://localhost${collection}/ID`], ['/elsewhere/ID', mine]]) {
    yield { method: 'POST', path: collection, headers: { 'upload-concat': `final;${parts.join(' ')}` }, body: null }
  }
}

/** The whole response, but for the moment, and for the path that the client itself named. */
function strip ({ headers: { date: _date, ...headers }, ...response }: IetfAnswer, id: string): string {
  return JSON.stringify({ ...response, headers }).replaceAll(id, 'ID')
}

/** Asks all there is to ask for each of the ids, and compares it with what is said of one that never was. */
async function compare (t: Test, port: number, ids: Readonly<Record<string, string>>, questions: Iterable<Question>): Promise<void> {
  const never = makeId()
  let compared = 0
  for (const { method, path, headers, body } of questions) {
    for (const [dialect, own] of Object.entries(DIALECTS)) {
      // The draft knows no parts.
      if ('upload-concat' in headers && !(dialect in CONCATENATING)) continue
      const put = (id: string) => Object.fromEntries(Object.entries({ ...own, ...headers }).map(([name, value]) => [name, value.replace('ID', id)]))
      const send = async (id: string) => strip(await ask(t, port, method, path.replace('ID', id), put(id), body), id)
      const expected = await send(never)
      for (const [name, found] of await Promise.all(Object.entries(ids).map(async ([name, id]) => [name, await send(id)] as const))) {
        if (found !== expected) t.same(JSON.parse(found), JSON.parse(expected), `${name}: ${dialect}: ${method} ${path} ${JSON.stringify(headers)}`)
        compared++
      }
    }
  }
  t.pass(`${compared} comparisons`)
}

/** Uploads of every kind, by what they are. */
async function createAll (t: Test, port: number, collection: string): Promise<Record<string, string>> {
  const tus = { 'tus-resumable': '1.0.0', 'content-type': OCTETS }
  const create = async (headers: Headers, body: string | null = 'hello', path = collection) => getPath(await ask(t, port, 'POST', path, headers, body))
  const part = await create({ ...tus, 'upload-concat': 'partial', 'upload-length': '5' })
  const open = await create({ ...tus, 'upload-concat': 'partial', 'upload-length': '11' })
  const paths = {
    incomplete: await create({ ...tus, 'upload-length': '11' }),
    complete: await create({ ...tus, 'upload-length': '5', 'upload-metadata': 'filename YS50eHQ=' }),
    'of unknown length': await create({ ...tus, 'upload-defer-length': '1' }),
    partial: part,
    'incomplete and partial': open,
    final: await create({ 'tus-resumable': '1.0.0', 'upload-concat': `final;${part}` }, null),
    'final, and waiting': await create({ 'tus-resumable': '1.0.0', 'upload-concat': `final;${open}` }, null),
    'incomplete, of the draft': await create({ 'upload-complete': '?0' }),
    'complete, of the draft': await create({ 'upload-complete': '?1' })
  }
  return Object.fromEntries(Object.entries(paths).map(([name, path]) => [name, path.slice(path.lastIndexOf('/') + 1)]))
}

async function look (storage: Storage, ids: Readonly<Record<string, string>>): Promise<Array<Upload | null>> {
  return Promise.all(Object.values(ids).map(id => storage.find(id)))
}

/** An error handler that tells all that it is told. */
function answerErrors (app: FastifyInstance): void {
  app.setErrorHandler((error: FastifyError, request, reply) => reply.type('application/json').send({
    ...error, name: error.name, message: error.message, type: error.constructor.name, upload: request.upload
  }))
}

async function start (t: Test, options: TusOptions, prepare: (app: FastifyInstance) => unknown): Promise<{ app: FastifyInstance, storage: Storage, port: number }> {
  const storage = createMemoryStorage()
  const app = Fastify({ routerOptions: { ignoreTrailingSlash: true } })
  t.teardown(() => app.close())
  await app.register(fastifyTus, { storage, maxSize: 100_000, maxAppendSize: 1000, ...options })
  await prepare(app)
  await app.listen({ host: '127.0.0.1', port: 0 })
  return { app, storage, port: (app.server.address() as AddressInfo).port }
}

const hide = () => Object.assign(new Error('It is there, and you may not know'), { statusCode: 404 })

/** Every way to say so. */
const HIDING: Readonly<Record<string, () => Error>> = {
  'headers and a code': () => Object.assign(new Error('secret'), { statusCode: 404, code: 'SECRET', headers: { 'x-secret': 'yes', 'cache-control': 'public', 'upload-offset': '5' } }),
  '@fastify/error': () => new (createError('SECRET', 'secret', 404))(),
  'an error of http-errors': () => Object.assign(new Error('secret'), { status: 404, statusCode: 404, expose: true }),
  'an error of this plugin': () => new TusError('TUS_ERR_UPLOAD_INCOMPLETE', 404, 'secret', { offset: 5, length: 7, allow: 'GET' })
}

for (const handler of ['the error handler of Fastify', 'one of the application'] as const) {
  t.test(`with ${handler}`, async t => {
    const prepare = (app: FastifyInstance) => { if (handler === 'one of the application') answerErrors(app) }

    t.test('an upload that preAccess hides', async t => {
      const { app, storage, port } = await start(t, {}, prepare)
      const ids = await createAll(t, port, '/files')
      const mine = getPath(await ask(t, port, 'POST', '/files', { 'tus-resumable': '1.0.0', 'content-type': OCTETS, 'upload-concat': 'partial', 'upload-length': '5' }, 'hello'))
      const hidden = new Set(Object.values(ids))
      let throwing: () => Error = hide
      app.tus.addHook('preAccess', async (_request, { id }) => { if (hidden.has(id)) throw throwing() })
      const before = await look(storage, ids)
      await compare(t, port, ids, [...listQuestions('/files/ID'), ...listCreations('/files', mine)])
      for (const [kind, error] of Object.entries(HIDING)) {
        t.comment(kind)
        throwing = error
        const { incomplete, complete } = ids
        const few = [...listQuestions('/files/ID')].filter(({ method, headers }) => method !== 'PATCH' || headers['upload-offset'] === '4')
        await compare(t, port, { incomplete: incomplete!, complete: complete! }, [...few, ...listCreations('/files', mine)])
      }
      t.same(await look(storage, ids), before, 'nothing has become of them')
    })

    t.test('an upload that has expired, to which preAccess would not let', async t => {
      const { app, storage, port } = await start(t, {}, prepare)
      app.tus.addHook('preAccess', () => { throw hide() })
      const expiresAt = new Date(0)
      const uploads = { incomplete: makeUpload({ length: 11, expiresAt }), partial: makeUpload({ length: 11, partial: true, expiresAt }), 'of the draft': makeUpload({ expiresAt, echo: { protocol: 'ietf' } }) }
      for (const upload of Object.values(uploads)) await storage.create(upload)
      const ids = Object.fromEntries(Object.entries(uploads).map(([name, { id }]) => [name, id]))
      const questions = [...listQuestions('/files/ID'), ...listCreations('/files', `/files/${makeId()}`)]
      await compare(t, port, ids, questions)
      t.match(await app.tus.sweep(), { expired: 3 })
      await compare(t, port, ids, questions)
    })

    t.test('an upload of another scope', async t => {
      const { storage, port } = await start(t, { prefix: '/files', scope: ({ headers }) => String(headers.user ?? 'b') }, async app => {
        prepare(app)
        app.addHook('onRequest', async request => { if (request.url.startsWith('/files?a')) request.headers.user = 'a' })
      })
      const ids = await createAll(t, port, '/files?a')
      const mine = getPath(await ask(t, port, 'POST', '/files', { 'tus-resumable': '1.0.0', 'content-type': OCTETS, 'upload-concat': 'partial', 'upload-length': '5' }, 'hello'))
      const before = await look(storage, ids)
      t.ok(before.every(upload => upload?.scope === 'a'))
      await compare(t, port, ids, [...listQuestions('/files/ID'), ...listCreations('/files', mine)])
      t.same(await look(storage, ids), before, 'nothing has become of them')
    })

    t.test('an upload that belongs to another route, or to other parameters', async t => {
      const { storage, port } = await start(t, {}, app => {
        prepare(app)
        app.post('/documents/:name', app.tus.resumable(async () => 'kept'))
        app.put('/documents/:name', app.tus.resumable(async () => 'kept'))
      })
      const own = { 'upload-complete': '?0' }
      const ids = {
        'of no route': getPath(await ask(t, port, 'POST', '/files', own, 'hello')),
        'of another document': getPath(await ask(t, port, 'POST', '/documents/b', own, 'hello')),
        'of another method': getPath(await ask(t, port, 'PUT', '/documents/a', own, 'hello')),
        answered: getPath(await ask(t, port, 'PUT', '/documents/a', { ...own, 'upload-complete': '?1' }, 'hello'))
      }
      const named = Object.fromEntries(Object.entries(ids).map(([name, path]) => [name, path.slice(path.lastIndexOf('/') + 1)]))
      const before = await look(storage, named)
      await compare(t, port, named, [...listQuestions('/documents/a/~post/ID'), ...listCreations('/documents/a', '/documents/a/~post/x')])
      t.same(await look(storage, named), before, 'nothing has become of them')
    })
  })
}
