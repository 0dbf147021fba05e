// What must compile, and, behind `@ts-expect-error`, what must not. `npm run typecheck` and public.test.ts compile it; nothing runs it.
/* eslint-disable @typescript-eslint/no-unused-vars */
import Fastify, { type FastifyInstance, type FastifyRequest } from 'fastify'
import type { Readable } from 'node:stream'
import { Registry } from 'prom-client'
import { createFsStorage } from '../../adapters/fs/index.js'
import { createMemoryStorage } from '../../adapters/memory/index.js'
import tus, {
  StopUpload, TusError, createMemoryLocker, errorCodes, fastifyTus,
  type AccessAction, type Claim, type CreateDecision, type FinishDecision, type HookName, type LifecycleHooks, type NewUpload, type Storage, type SweepCounts,
  type TusApi, type TusOptions, type Upload
} from '../../lib/index.js'

/** Compiles only if the two types are the same. */
type Same<A, B> = (<T>() => T extends A ? 1 : 2) extends (<T>() => T extends B ? 1 : 2) ? true : false
function same<A, B> (_same: Same<A, B>): void {}

export async function registering (app: FastifyInstance): Promise<void> {
  await app.register(tus)
  await app.register(tus, {})
  await app.register(fastifyTus, { prefix: '/files', storage: createMemoryStorage(), maxSize: 5 })
  await app.register(tus, { maxSize: null, maxAppendSize: null, maxMetadataSize: 1 })
  await app.register(tus, { maxSize: request => request.headers['x-big'] ? null : 5 })
  await app.register(tus, { extensions: ['creation', 'checksum'], checksumAlgorithms: ['sha1', 'crc32'], protocols: ['tus'] })
  await app.register(tus, { expiration: false })
  await app.register(tus, { minRate: { bytes: 1024, window: 60_000 }, maxConcurrentUploads: 5 })
  await app.register(tus, { minRate: null, maxConcurrentUploads: null })
  await app.register(tus, { metrics: { register: new Registry(), tusd: true } })
  await app.register(tus, { maxConcurrentUploads: { max: 5, key: request => String(request.headers['x-user']) } })
  await app.register(tus, { expiration: { incomplete: 1, complete: null } })
  await app.register(tus, { storage: createFsStorage({ directory: '.', durability: 'none' }), locker: createMemoryLocker({ maxWaiting: 5 }) })
  await app.register(tus, { generateId: async (request, metadata) => `${request.id}${metadata.filename}`, location: (request, id) => `${request.host}/${id}` })
  await app.register(tus, { scope: request => request.ip })
  await app.register(tus, { scope: async ({ headers }) => String(headers['x-user']) })
  await app.register(tus, { cors: { origin: true }, routeOptions: { onRequest: async request => { request.log.info('x') }, config: {}, logLevel: 'warn' } })
  await app.register(tus, { logLevel: 'warn' })

  // @ts-expect-error there is no such option
  await app.register(tus, { maxsize: 5 })
  // @ts-expect-error a size is a number
  await app.register(tus, { maxSize: '5GB' })
  // @ts-expect-error there is no such extension
  await app.register(tus, { extensions: ['concatentation'] })
  // @ts-expect-error there is no such algorithm
  await app.register(tus, { checksumAlgorithms: ['sha-1'] })
  // @ts-expect-error there is no such protocol
  await app.register(tus, { protocols: ['http'] })
  // @ts-expect-error true is no expiration
  await app.register(tus, { expiration: true })
  // @ts-expect-error there is no such time
  await app.register(tus, { expiration: { partial: 1 } })
  // @ts-expect-error a storage has methods
  await app.register(tus, { storage: {} })
  // @ts-expect-error an id is a string
  await app.register(tus, { generateId: () => 7 })
  // @ts-expect-error a scope is a string
  await app.register(tus, { scope: () => 7 })
  // @ts-expect-error a function tells the scope of each request
  await app.register(tus, { scope: 'a' })
  // @ts-expect-error a rate is of bytes in a window
  await app.register(tus, { minRate: 1024 })
  // @ts-expect-error so many bytes in what time
  await app.register(tus, { minRate: { bytes: 1024 } })
  // @ts-expect-error a number, not a text
  await app.register(tus, { maxConcurrentUploads: '5' })
  // @ts-expect-error a register, not whether there is one
  await app.register(tus, { metrics: true })
  // @ts-expect-error a limit per key needs a key
  await app.register(tus, { maxConcurrentUploads: { max: 5 } })
  // @ts-expect-error a key is a string
  await app.register(tus, { maxConcurrentUploads: { max: 5, key: () => 7 } })
  // @ts-expect-error a bound is a number
  createMemoryLocker({ maxWaiting: '5' })
  // @ts-expect-error true is no cors
  await app.register(tus, { cors: true })
  // @ts-expect-error a route option of Fastify that would not be ours
  await app.register(tus, { routeOptions: { handler: () => {} } })
  // @ts-expect-error a storage needs its directory
  createFsStorage({})
}

export function adding ({ tus }: FastifyInstance): void {
  same<typeof tus, TusApi>(true)

  tus.addHook('preAccess', (request, upload, action) => {
    same<typeof request, FastifyRequest>(true)
    same<typeof upload, Upload>(true)
    same<typeof action, AccessAction>(true)
  })
  tus.addHook('preCreate', async (request, draft) => {
    same<typeof request, FastifyRequest>(true)
    same<typeof draft, NewUpload>(true)
    return { id: 'x', metadata: { ...draft.metadata, a: 'b' }, serverMetadata: { owner: 7 }, expiresAt: new Date() }
  })
  tus.addHook('preCreate', () => ({ expiresAt: null }))
  tus.addHook('preCreate', () => {})
  tus.addHook('preFinish', (request, upload) => {
    same<typeof request, FastifyRequest | null>(true)
    return { headers: { 'x-size': String(upload.offset) }, body: 'done' }
  })
  tus.addHook('postReceive', async (_request, { offset }) => { if (offset > 5) throw new StopUpload('enough', { statusCode: 413 }) })
  tus.addHook('postExpire', upload => { same<typeof upload, Upload>(true) })
  tus.addHook('postFail', (_request, _upload, error) => { same<typeof error, Error>(true) })
  tus.addHook('preTerminate', (request, upload) => { if (upload.complete && request !== null) throw Object.assign(new Error('no'), { statusCode: 403 }) })
  tus.addHook('postTerminate', () => {})
  tus.addHook('postFinish', request => { request?.log.info('done') })

  // @ts-expect-error there is no such hook
  tus.addHook('onFinish', () => {})
  // @ts-expect-error a hook is a function
  tus.addHook('postFinish', 'x')
  // @ts-expect-error an action that there is not
  tus.addHook('preAccess', (_request, _upload, action) => action === 'delete')
  // @ts-expect-error an id is a string
  tus.addHook('preCreate', () => ({ id: 7 }))
  // @ts-expect-error metadata are strings
  tus.addHook('preCreate', async () => ({ metadata: { size: 7 } }))
  // @ts-expect-error a Date, not a number
  tus.addHook('preCreate', () => ({ expiresAt: Date.now() }))
  // @ts-expect-error a body is a string
  tus.addHook('preFinish', () => ({ body: { ok: true } }))
  // @ts-expect-error a sweep and app.tus have no request
  tus.addHook('postFinish', request => { request.log.info('done') })
  // @ts-expect-error the sweeper has no request
  tus.addHook('postExpire', (_request: FastifyRequest, _upload: Upload) => {})
  // @ts-expect-error an upload is read-only
  tus.addHook('postCreate', (_request, upload) => { upload.offset = 7 })
  // @ts-expect-error so is a draft
  tus.addHook('preCreate', (_request, draft) => { draft.metadata.a = 'b' })
}

export async function calling ({ tus }: FastifyInstance): Promise<void> {
  same<Awaited<ReturnType<typeof tus.find>>, Upload | null>(true)
  for await (const upload of tus.list({ state: 'complete' })) same<typeof upload, Upload>(true)
  same<ReturnType<typeof tus.createReadStream>, Readable>(true)
  tus.createReadStream('x', { start: 1, end: 2 })
  same<Awaited<ReturnType<typeof tus.terminate>>, boolean>(true)
  same<Awaited<ReturnType<typeof tus.sweep>>, SweepCounts>(true)
  const claim = await tus.claim({ timeout: 1, lease: 2, signal: AbortSignal.timeout(1) })
  same<typeof claim, Claim | null>(true)
  await claim?.done({ remove: true })
  for await (const one of tus.claims({ lease: 1 })) {
    same<typeof one, Claim>(true)
    await one.saveTo('x')
    await one[Symbol.asyncDispose]()
  }

  // @ts-expect-error there is no such state
  tus.list({ state: 'begun' })
  // @ts-expect-error claims wait for ever
  tus.claims({ timeout: 1 })
  // @ts-expect-error without the question mark there may be none
  claim.release()
  // @ts-expect-error an id
  await tus.find()
}

export function requests (app: FastifyInstance): void {
  app.addHook('onResponse', async request => { same<typeof request.upload, Upload | null>(true) })
}

export function values (): void {
  const app = Fastify()
  same<typeof app.tus, TusApi>(true)
  same<typeof errorCodes, readonly string[]>(true)
  const error: unknown = null
  if (error instanceof TusError) same<typeof error.code, string>(true)
  if (error instanceof tus.TusError) same<typeof error.statusCode, number>(true)
  const options: TusOptions = {}
  const name: HookName = 'preCreate'
  const hooks: Partial<LifecycleHooks> = { preCreate: () => ({}) satisfies CreateDecision, preFinish: () => ({}) satisfies FinishDecision }
  const storage: Storage = createMemoryStorage()
  same<[typeof options, typeof name, typeof hooks, typeof storage] extends unknown[] ? true : false, true>(true)
}
