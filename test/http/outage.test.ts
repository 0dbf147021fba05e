import t, { type Test } from 'tap'
import { createMemoryStorage } from '../../adapters/memory/index.js'
import { StorageFull, StorageUnavailable, type Storage } from '../../lib/index.js'
import { Upload } from 'tus-js-client'
import { startApp } from '../support/app.js'
import { TUS, createUpload, head, makeBytes, patch, post } from '../support/http-tus.js'

/** A storage whose methods of these names fail while `failure` gives an error. */
function createFailing (names: ReadonlyArray<keyof Storage>, failure: () => Error | null): Storage {
  const storage = createMemoryStorage()
  const handler: ProxyHandler<Storage> = {
    get (target, name) {
      const method = Reflect.get(target, name)
      if (!names.includes(name as keyof Storage)) return typeof method === 'function' ? method.bind(target) : method
      return async (...args: unknown[]) => {
        const error = failure()
        if (error) throw error
        return method.apply(target, args)
      }
    }
  }
  return new Proxy(storage, handler)
}

const FAILURES: ReadonlyArray<readonly [name: string, create: () => Error, status: number]> = [
  ['that is away', () => new StorageUnavailable('away'), 503],
  ['that is full', () => new StorageFull('full'), 507],
  ['that says EACCES', () => Object.assign(new Error('no'), { code: 'EACCES' }), 500],
  ['that says EMFILE', () => Object.assign(new Error('no'), { code: 'EMFILE' }), 500],
  ['that says what is not known', () => new Error('?'), 500]
]

for (const [name, create, status] of FAILURES) {
  t.test(`a storage ${name}: HEAD is 423 with Retry-After, everything else says so`, async t => {
    let isAway = false
    const { app } = await startApp(t, { storage: createFailing(['find', 'create', 'append'], () => isAway ? create() : null) })
    const url = await createUpload(app)
    isAway = true
    t.match(await head(app, url), { statusCode: 423, headers: { 'retry-after': /^\d+$/, 'cache-control': 'no-store', 'tus-resumable': '1.0.0' } })
    t.match(await app.inject({ method: 'POST', url, headers: { ...TUS, 'x-http-method-override': 'HEAD' } }), { statusCode: 423, headers: { 'retry-after': /^\d+$/ } })
    for (const response of [await patch(app, url, 0, 'hello'), await post(app, { 'upload-length': '5' })]) {
      t.match(response, { statusCode: status, ...status === 503 && { headers: { 'retry-after': /^\d+$/ } } })
    }
    isAway = false
    t.match(await head(app, url), { statusCode: 200, headers: { 'upload-offset': '0' } })
    t.equal((await patch(app, url, 0, 'hello')).statusCode, 204)
  })
}

t.test('a hook that fails does not make a client forget its upload', async t => {
  const { app } = await startApp(t)
  const url = await createUpload(app)
  app.tus.addHook('preAccess', () => { throw new Error('the database is away') })
  t.match(await head(app, url), { statusCode: 423, headers: { 'retry-after': /^\d+$/ } })
  t.equal((await patch(app, url, 0, 'hello')).statusCode, 500)
})

t.test('a completion that fails for good is never told as a file', async t => {
  let fails = true
  let finished = 0
  const { app } = await startApp(t, { storage: createFailing(['complete'], () => fails ? Object.assign(new Error('AccessDenied'), { name: 'AccessDenied' }) : null) })
  app.tus.addHook('postFinish', () => { finished++ })
  const url = await createUpload(app)
  t.equal((await patch(app, url, 0, 'hello')).statusCode, 500)
  for (let asked = 0; asked < 3; asked++) t.match(await head(app, url), { statusCode: 423, headers: { 'upload-offset': undefined, 'retry-after': /^\d+$/ } })
  t.equal((await app.inject(url)).statusCode, 404)
  t.equal(finished, 0)
  fails = false
  t.match(await head(app, url), { statusCode: 200, headers: { 'upload-offset': '5' } })
  t.equal(finished, 1)
  t.equal((await app.inject(url)).body, 'hello')
})

/** Uploads with tus-js-client as it comes; the storage is away from the moment that half of it is stored, for so many requests. */
async function uploadThroughOutage (t: Test, requests: number): Promise<number> {
  const size = 8 * 64 * 1024
  let left = 0
  let creations = 0
  const { app, url } = await startApp(t, { storage: createFailing(['find', 'create', 'append'], () => left > 0 ? new StorageUnavailable('away') : null) })
  app.server.on('request', () => { left-- })
  app.tus.addHook('postCreate', () => { creations++ })
  await new Promise<void>((resolve, reject) => {
    new Upload(makeBytes(size), {
      endpoint: url,
      uploadSize: size,
      chunkSize: size / 8,
      retryDelays: [0, 20, 50, 100, 200, 400],
      onSuccess: () => resolve(),
      onError: reject,
      onChunkComplete: (_size, sent) => { if (sent === size / 2) left = requests }
    }).start()
  })
  return creations
}

t.test('tus-js-client resumes after an outage, and does not begin again', async t => {
  for (const requests of [1, 2, 3, 5]) t.equal(await uploadThroughOutage(t, requests), 1, `an outage of ${requests} requests`)
})
