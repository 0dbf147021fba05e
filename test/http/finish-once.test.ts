import type { FastifyInstance, InjectOptions, LightMyRequestResponse } from 'fastify'
import Fastify from 'fastify'
import t, { type Test } from 'tap'
import { createFsStorage } from '../../adapters/fs/index.js'
import { createMemoryStorage } from '../../adapters/memory/index.js'
import fastifyTus, { type Storage } from '../../lib/index.js'
import { makeDirectory } from '../support/app.js'
import { skip as skipAzure } from '../support/azure/azurite.js'
import { setUp as setUpAzure } from '../support/azure/storages.js'
import { BYTES, createGate, createUpload, getPath, patch, post, TUS, until } from '../support/http-tus.js'
import { untilLockAsked } from '../support/observed.js'
import { setUp as setUpS3 } from '../support/s3/storages.js'

// However an upload comes to its end, and whoever asks for it at that moment: its finish hooks run once, and its handler does.

const STORAGES: Readonly<Record<string, { readonly make: (t: Test) => Promise<Storage>, readonly skip?: string | false }>> = {
  memory: { make: async () => createMemoryStorage() },
  filesystem: { make: async t => createFsStorage({ directory: await makeDirectory(t) }) },
  S3: { make: async t => (await (await setUpS3(t)).open()).storage },
  Azure: { make: async t => (await (await setUpAzure(t)).open()).storage, skip: skipAzure }
}

const DRAFT = { 'content-type': 'application/partial-upload', 'upload-draft-interop-version': '8' }
const CHUNKED = { 'transfer-encoding': 'chunked' }
const [AT_FILES, AT_ROUTE] = ['/files', '/documents']

/** Each way in which an upload comes to its end. It has no byte unless its name says otherwise. */
const WAYS: Readonly<Record<string, (app: FastifyInstance) => Promise<LightMyRequestResponse>>> = {
  'a creation in tus': app => post(app, { 'upload-length': '0' }),
  'a creation in tus with a body of no bytes': app => post(app, { 'upload-length': '0', ...BYTES }, ''),
  'a creation in tus with a chunked body of no bytes': app => post(app, { 'upload-length': '0', ...BYTES, ...CHUNKED }, ''),
  'a creation in tus under an id of the application': app => post(app, { 'upload-length': '0', 'x-id': 'chosen' }),
  'a creation in the draft': app => create(app, AT_FILES, { 'upload-complete': '?1' }),
  'a creation in the draft with Content-Length: 0': app => create(app, AT_FILES, { 'upload-complete': '?1', 'content-length': '0' }),
  'a creation in the draft with a chunked body of no bytes': app => create(app, AT_FILES, { 'upload-complete': '?1', ...CHUNKED }, ''),
  'a creation in version 6 of the draft, whose length is enough': app => create(app, AT_FILES, { 'upload-complete': '?0', 'upload-length': '0', 'upload-draft-interop-version': '6' }),
  'a creation of a final upload of parts that have none': async app => {
    const part = await createUpload(app, { 'upload-length': '0', 'upload-concat': 'partial' })
    return post(app, { 'upload-concat': `final;${part} ${part}` })
  },
  'a length of 0 that is told late': async app => patch(app, await createUpload(app, { 'upload-defer-length': '1' }), 0, '', { 'upload-length': '0' }),
  'an end in the draft that is told late': async app => append(app, getPath(await create(app, AT_FILES, { 'upload-complete': '?0' })), 0, ''),
  'an end in the draft for an upload of tus': async app => append(app, await createUpload(app, { 'upload-defer-length': '1' }), 0, ''),
  'a creation at a route': app => create(app, AT_ROUTE, { 'upload-complete': '?1', 'upload-draft-interop-version': '8' }),
  'a plain request to a route': app => create(app, AT_ROUTE, { 'content-type': 'text/plain' }, ''),
  'a creation with all of 5 bytes': app => post(app, { 'upload-length': '5', ...BYTES }, 'hello'),
  'the last of 5 bytes in tus': async app => patch(app, await createUpload(app), 0, 'hello'),
  'the last of 5 bytes in the draft': async app => append(app, getPath(await create(app, AT_FILES, { 'upload-complete': '?0' }, 'hel')), 3, 'lo'),
  'the last of 5 bytes for an upload of tus': async app => append(app, await createUpload(app), 0, 'hello')
}

/** Each way in which somebody asks for it meanwhile. */
const MEETINGS: Readonly<Record<string, (app: FastifyInstance, id: string) => Promise<unknown>>> = {
  'a sweep': app => app.tus.sweep(),
  'HEAD in tus': (app, id) => ask(app, { method: 'HEAD', headers: TUS }, id),
  'HEAD in the draft': (app, id) => ask(app, { method: 'HEAD', headers: DRAFT }, id),
  'PATCH in tus': (app, id) => ask(app, { method: 'PATCH', headers: { ...TUS, ...BYTES, 'upload-offset': '0' }, payload: '' }, id),
  'PATCH in the draft': (app, id) => ask(app, { method: 'PATCH', headers: { ...DRAFT, 'upload-offset': '0', 'upload-complete': '?1' }, payload: '' }, id)
}

const create = (app: FastifyInstance, url: string, headers: Record<string, string>, payload?: string) =>
  app.inject({ method: 'POST', url, headers, ...payload !== undefined && { payload } })

const append = (app: FastifyInstance, url: string, offset: number, payload: string) =>
  app.inject({ method: 'PATCH', url, headers: { ...DRAFT, 'upload-offset': String(offset), 'upload-complete': '?1' }, payload })

/** Wherever it is. */
async function ask (app: FastifyInstance, request: InjectOptions, id: string): Promise<unknown> {
  const { purpose } = (await app.tus.find(id))!
  return app.inject({ ...request, url: purpose?.target ? `/documents/~post/${id}` : `/files/${id}` })
}

interface Observed {
  readonly app: FastifyInstance
  /** What has run, in its order. */
  readonly calls: string[]
  /** The upload that has come to its end. */
  id: string
}

/** An application whose `held` hook waits until the gate is passed, once. */
async function start (t: Test, storage: Storage, held: 'preFinish' | 'postFinish', gate: Promise<void>): Promise<Observed> {
  const app = Fastify()
  t.teardown(() => app.close())
  await app.register(fastifyTus, { storage, expiration: { sweepInterval: null } })
  const observed: Observed = { app, calls: [], id: '' }
  app.tus.addHook('preCreate', request => request.headers['x-id'] === undefined ? {} : { id: 'chosen' })
  for (const name of ['preFinish', 'postFinish'] as const) {
    app.tus.addHook(name, async (_request, upload) => {
      observed.calls.push(name)
      observed.id = upload.id
      if (name === held) await gate
    })
  }
  app.post('/documents', app.tus.resumable(async () => {
    observed.calls.push('handler')
    return 'kept'
  }))
  return observed
}

for (const [name, { make, skip = false }] of Object.entries(STORAGES)) {
  t.test(`on ${name}`, { skip }, async t => {
    const storage = await make(t)
    for (const [way, complete] of Object.entries(WAYS)) {
      for (const held of ['preFinish', 'postFinish'] as const) {
        t.test(`${way}: finish hooks run once, whoever asks during ${held}`, async t => {
          const gate = createGate()
          const observed = await start(t, storage, held, gate.passed)
          const { app, calls } = observed
          const completing = complete(app)
          await until(`${held} runs`, () => calls.includes(held))
          const meetings: Array<Promise<unknown>> = []
          for (const meet of Object.values(MEETINGS)) {
            const act = () => meet(app, observed.id)
            // Who meets a final upload while it is put together leaves it to that, or waits without its lock.
            meetings.push(way.includes('a final upload') ? act() : (await untilLockAsked(observed.id, act)).result)
          }
          const claim = await app.tus.claim({ timeout: 0 })
          gate.open()
          t.match(await completing, { statusCode: /^20[014]$/ })
          await Promise.all(meetings)
          await app.tus.sweep()
          t.same(calls, way.includes('a route') ? ['preFinish', 'postFinish', 'handler'] : ['preFinish', 'postFinish'])
          t.equal(claim, null, 'no worker gets it before its hooks have run')
          await app.tus.terminate(observed.id)
        })
      }
    }
  })
}
