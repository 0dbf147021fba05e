import t from 'tap'
import { createMemoryStorage } from '../../adapters/memory/index.js'
import { LengthConflict, LockTimeout, OffsetConflict, StorageFull, StorageUnavailable, UploadExists, UploadMissing, type Storage } from '../../lib/index.js'
import { makeApp } from '../support/app.js'
import { createComplete, createUpload, head, patch, post, terminate } from '../support/http-tus.js'

t.test('what another process did to an upload meanwhile is told as what it is', async t => {
  const failures: ReadonlyArray<readonly [failure: unknown, status: number, code: string]> = [
    [new OffsetConflict(3), 409, 'TUS_ERR_OFFSET_MISMATCH'],
    [new UploadMissing(), 404, 'TUS_ERR_UPLOAD_NOT_FOUND'],
    [new UploadExists(), 409, 'TUS_ERR_UPLOAD_EXISTS'],
    [new LengthConflict(), 400, 'TUS_ERR_LENGTH_MISMATCH'],
    [new StorageFull(), 507, 'TUS_ERR_STORAGE_FULL'],
    [new StorageUnavailable(), 503, 'TUS_ERR_STORAGE_UNAVAILABLE'],
    [new LockTimeout(), 423, 'TUS_ERR_LOCK_TIMEOUT'],
    [new TypeError('secret'), 500, 'TUS_ERR_STORAGE_FAILED'],
    ['secret', 500, 'TUS_ERR_STORAGE_FAILED']
  ]
  for (const [failure, status, code] of failures) {
    const { app } = await makeApp(t, { storage: { ...createMemoryStorage(), append: async () => { throw failure } } })
    const response = await patch(app, await createUpload(app), 0, 'hello')
    t.equal(response.statusCode, status, code)
    t.match(response.json(), { code })
    t.notMatch(response.body, /secret/)
    t.equal(response.headers['upload-offset'], failure instanceof OffsetConflict ? '3' : undefined)
  }
})

t.test('an upload that goes between the question and the answer is 404', async t => {
  const inner = createMemoryStorage()
  let removed = false
  const storage: Storage = {
    ...inner,
    find: async id => {
      const upload = await inner.find(id)
      if (removed) await inner.remove(id)
      return upload
    }
  }
  const { app } = await makeApp(t, { storage })
  const read = await createComplete(app, 'hello')
  const deferred = await createUpload(app, { 'upload-defer-length': '1' })
  const empty = await createUpload(app)
  removed = true
  t.equal((await app.inject(read)).statusCode, 404, 'GET')
  t.equal((await patch(app, deferred, 0, 'x', { 'upload-length': '5' })).statusCode, 404, 'PATCH with a length')
  t.equal((await patch(app, empty, 0, 'hello')).statusCode, 404, 'PATCH')
})

t.test('a storage that can not be asked is a 500, in answer to HEAD a 423, and nothing is invented', async t => {
  const { app } = await makeApp(t, { storage: { ...createMemoryStorage(), find: async () => { throw new Error('secret') } } })
  const answers = [await head(app, '/files/one'), await patch(app, '/files/one', 0, 'x'), await terminate(app, '/files/one'), await app.inject('/files/one')]
  t.same(answers.map(({ statusCode }) => statusCode), [423, 500, 500, 500])
  for (const response of answers) {
    t.notOk('upload-offset' in response.headers)
    t.notMatch(response.body, /secret/)
  }
})

t.test('a completion that fails leaves the bytes, and the next request completes', async t => {
  const inner = createMemoryStorage()
  let broken = true
  const { app } = await makeApp(t, {
    storage: {
      ...inner,
      complete: async id => {
        if (broken) throw new Error('away')
        await inner.complete(id)
      }
    }
  })
  let finished = 0
  app.tus.addHook('postFinish', () => { finished++ })
  const url = await createUpload(app)
  t.equal((await patch(app, url, 0, 'hello')).statusCode, 500)
  t.equal((await app.inject(url)).statusCode, 404)
  t.equal(finished, 0)
  broken = false
  t.equal((await head(app, url)).statusCode, 200)
  t.equal((await app.inject(url)).body, 'hello')
  t.equal(finished, 1)
})

t.test('a storage without read or list works without downloads', async t => {
  const { read: _read, list: _list, ...storage } = createMemoryStorage()
  const { app } = await makeApp(t, { storage })
  const url = await createComplete(app, 'hello')
  t.equal((await app.inject(url)).statusCode, 405)
  const all: unknown[] = []
  for await (const upload of app.tus.list()) all.push(upload)
  t.same(all, [])
  await t.rejects(app.tus.createReadStream(url.slice('/files/'.length)).toArray(), { code: 'TUS_ERR_UPLOAD_NOT_FOUND' })
})

t.test('what a hook throws with a status of its own goes out as it is', async t => {
  const { app } = await makeApp(t, { maxSize: () => { throw Object.assign(new Error('quota unknown'), { statusCode: 429, headers: { 'retry-after': '7' } }) } })
  const response = await post(app, { 'upload-length': '5' })
  t.equal(response.statusCode, 429)
  t.equal(response.headers['retry-after'], '7')
  t.match(response.json(), { message: 'quota unknown' })
})

t.test('a hook that gives no limit that can be used does not mean that there is none', async t => {
  for (const maxSize of [-1, 1.5, Number.NaN, undefined, '5']) {
    const { app } = await makeApp(t, { maxSize: () => maxSize as number })
    const response = await post(app, { 'upload-length': '5' })
    t.match({ status: response.statusCode, ...response.json() }, { status: 500, code: 'TUS_ERR_HOOK_RESULT' }, String(maxSize))
  }
})

t.test('what a storage can not do is not offered', async t => {
  const offer = async (storage: Storage) => {
    const { app } = await makeApp(t, { storage })
    return String((await app.inject({ method: 'OPTIONS', url: '/files' })).headers['tus-extension']).split(',')
  }
  const { concatenate: _, addWaiting: __, ...storage } = createMemoryStorage()
  const both = ['concatenation', 'concatenation-unfinished']
  const among = (extensions: string[]) => both.filter(name => extensions.includes(name))
  t.same(among(await offer(storage)), [])
  t.same(among(await offer({ ...storage, concatenate: async () => 0 })), ['concatenation'])
})
