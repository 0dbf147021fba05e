import t, { type Test } from 'tap'
import { StorageUnavailable } from '../../lib/storage.js'
import { makeApp } from '../support/app.js'
import { createComplete, createUpload, getOffset, head, makeBytes, patch, post, terminate } from '../support/http-tus.js'
import type { Fault } from '../support/s3/proxy.js'
import { append, MIB, setUp, type Process } from '../support/s3/storages.js'
import { makeUpload } from '../support/uploads.js'

// S3 that can't be reached, fails or asks for fewer requests: 503, and what was acknowledged is there afterwards.

const CONTENT = makeBytes(12 * MIB)

async function serve (t: Test, { storage }: Process) {
  const { app } = await makeApp(t, { storage, expiration: false })
  await app.ready()
  return app
}

for (const what of [500, 502, 503, 504, 429, 'reset', 'silence'] as const) {
  t.test(`while every request to S3 ends in ${what}, every request is 503, or 423 at HEAD, and uploads go on afterwards`, async t => {
    const machines = await setUp(t)
    const one = await machines.open({}, what === 'silence' ? { requestHandler: { socketTimeout: 1000 } } : {})
    const app = await serve(t, one)
    const [url, complete] = [await createUpload(app, { 'upload-length': String(CONTENT.length) }), await createComplete(app, 'hello')]
    t.equal((await patch(app, url, 0, CONTENT.subarray(0, 3))).statusCode, 204)

    one.proxy.intercept = (): Fault => ({ when: 'before', what })
    const answers = {
      POST: await post(app, { 'upload-length': '5' }),
      PATCH: await patch(app, url, 3, CONTENT.subarray(3, 7)),
      'a PATCH of several parts': await patch(app, url, 3, CONTENT.subarray(3)),
      HEAD: await head(app, url),
      GET: await app.inject(complete),
      DELETE: await terminate(app, complete)
    }
    for (const [method, { statusCode, headers, payload }] of Object.entries(answers)) {
      // A client of tus takes any other error than 423 at HEAD for an upload that is lost.
      t.equal(statusCode, method === 'HEAD' ? 423 : 503, method)
      t.notOk('upload-offset' in headers, `${method}: no offset is invented`)
      if (method !== 'HEAD') t.match(JSON.parse(payload), { code: 'TUS_ERR_STORAGE_UNAVAILABLE' }, method)
      t.notMatch(payload, /127\.0\.0\.1|A test says so/)
    }

    one.proxy.intercept = () => null
    t.equal(await getOffset(app, url), '3', 'what was acknowledged')
    t.equal((await patch(app, url, 3, CONTENT.subarray(3))).statusCode, 204)
    t.ok((await app.inject(url)).rawPayload.equals(CONTENT), 'byte for byte')
  })
}

for (const [what, code] of [[400, 'ExpiredToken'], [403, 'InvalidToken'], [403, 'RequestTimeTooSkewed'], [403, 'ExpiredTokenException']] as const) {
  t.test(`credentials that S3 refuses as ${code} are an outage, which ends when they are renewed`, async t => {
    const machines = await setUp(t)
    const one = await machines.open()
    const app = await serve(t, one)
    const url = await createUpload(app)
    one.proxy.intercept = (): Fault => ({ when: 'before', what, code })
    for (const response of [await post(app, { 'upload-length': '5' }), await patch(app, url, 0, 'hello')]) {
      t.match(response, { statusCode: 503, headers: { 'retry-after': /^\d+$/ } })
    }
    t.match(await head(app, url), { statusCode: 423, headers: { 'retry-after': /^\d+$/ } })
    one.proxy.intercept = () => null
    t.equal((await patch(app, url, 0, 'hello')).statusCode, 204)
  })
}

t.test('an outage in the middle of a body keeps the parts that have arrived', async t => {
  const machines = await setUp(t)
  const [one, two] = [await machines.open(), await machines.open()]
  const app = await serve(t, one)
  const url = await createUpload(app, { 'upload-length': String(CONTENT.length) })
  let parts = 0
  one.proxy.intercept = ({ operation }) => {
    if (operation === 'UploadPart') parts++
    return parts > 2 ? { when: 'before', what: 503 } : null
  }
  t.equal((await patch(app, url, 0, CONTENT)).statusCode, 503)
  const other = await serve(t, two)
  t.equal(await getOffset(other, url), String(10 * MIB))
  t.equal((await patch(other, url, 10 * MIB, CONTENT.subarray(10 * MIB))).statusCode, 204)
  t.ok((await other.inject(url)).rawPayload.equals(CONTENT))
})

t.test('a server that nobody listens at, and one that refuses', async t => {
  const machines = await setUp(t)
  const gone = await machines.open({}, { endpoint: 'http://127.0.0.1:9' })
  await t.rejects(gone.storage.create(makeUpload()), StorageUnavailable)
  await t.rejects(gone.storage.open!(), { name: 'StorageUnavailable', message: /ECONNREFUSED/ })

  const refused = await machines.open()
  refused.proxy.intercept = (): Fault => ({ when: 'before', what: 403 })
  const denied = { name: 'InternalError' }
  await t.rejects(refused.storage.create(makeUpload()), denied, 'a right that is missing does not come by waiting')
  await t.rejects(append(refused.storage, 'x', 0, 'abc'), denied)
})

t.test('a body that breaks is not the fault of S3', async t => {
  const machines = await setUp(t)
  const one = await machines.open()
  const upload = makeUpload({ length: 10 })
  await one.storage.create(upload)
  const failure = Object.assign(new Error('the client is gone'), { code: 'ECONNRESET' })
  const body = { next: async () => { throw failure } }
  t.equal(await one.storage.append(upload.id, { offset: 0, keep: 'prefix', body }).catch(error => error), failure)
})
