import type { FastifyInstance } from 'fastify'
import t, { type Test } from 'tap'
import { createS3Storage, type S3StorageOptions } from '../../adapters/s3/index.js'
import { makeApp } from '../support/app.js'
import { BYTES, createUpload, getOffset, makeBytes, patch, post } from '../support/http-tus.js'
import { createBucket, createClient, getServer } from '../support/s3/bucket.js'
import { S3Proxy } from '../support/s3/proxy.js'

// Requests are money and latency: what an upload costs, counted between the storage and its server.

const MIB = 1024 ** 2

async function start (t: Test, options: Partial<S3StorageOptions> = {}): Promise<{ app: FastifyInstance, proxy: S3Proxy }> {
  const server = await getServer(t)
  const proxy = await S3Proxy.start(t, server.endpoint)
  const client = createClient(t, { ...server, endpoint: proxy.endpoint })
  const bucket = await createBucket(client)
  // On a busy machine a long body would be committed on the way, too.
  const { app } = await makeApp(t, { storage: createS3Storage({ client, bucket, commitInterval: 3_600_000, ...options }) })
  await app.ready()
  proxy.reset()
  return { app, proxy }
}

function getSize ({ calls }: S3Proxy): number {
  return calls.filter(({ method }) => method === 'PUT').reduce((sum, { size }) => sum + size, 0)
}

t.test('10 KB by POST and PATCH: three requests', async t => {
  const { app, proxy } = await start(t)
  const url = await createUpload(app, { 'upload-length': '10000' })
  t.equal((await patch(app, url, 0, makeBytes(10_000))).statusCode, 204)
  t.strictSame(proxy.count(), { PutObject: 3 })
  t.equal((await app.inject(url)).rawPayload.length, 10_000)
})

t.test('10 KB by creation-with-upload: three requests', async t => {
  const { app, proxy } = await start(t)
  t.equal((await post(app, { 'upload-length': '10000', ...BYTES }, makeBytes(10_000))).statusCode, 201)
  t.strictSame(proxy.count(), { PutObject: 3 })
})

t.test('10 KB by POST and PATCH, each in another process: four requests', async t => {
  const server = await getServer(t)
  const proxy = await S3Proxy.start(t, server.endpoint)
  const client = createClient(t, { ...server, endpoint: proxy.endpoint })
  const bucket = await createBucket(client)
  const apps = await Promise.all([0, 1].map(() => makeApp(t, { storage: createS3Storage({ client, bucket }) }).then(({ app }) => app)))
  await Promise.all(apps.map(app => app.ready()))
  proxy.reset()
  const url = await createUpload(apps[0]!, { 'upload-length': '10000' })
  t.equal((await patch(apps[1]!, url, 0, makeBytes(10_000))).statusCode, 204)
  t.strictSame(proxy.count(), { PutObject: 3, GetObject: 1 })
})

t.test('100 MiB in one PATCH: its parts and five', async t => {
  const { app, proxy } = await start(t)
  const content = makeBytes(100 * MIB)
  const url = await createUpload(app, { 'upload-length': String(content.length) })
  t.equal((await patch(app, url, 0, content)).statusCode, 204)
  t.equal(proxy.count().UploadPart, 13)
  t.ok(proxy.calls.length <= 13 + 5, `${proxy.calls.length} requests, the creation included`)
  t.strictSame(proxy.count(), { PutObject: 3, CreateMultipartUpload: 1, UploadPart: 13, CompleteMultipartUpload: 1 })
})

t.test('10 MiB in PATCHes of 1 MiB: at most three requests each on average, twice the bytes, and nothing read', async t => {
  const { app, proxy } = await start(t)
  const content = makeBytes(10 * MIB)
  const url = await createUpload(app, { 'upload-length': String(content.length) })
  proxy.reset()
  for (let at = 0; at < content.length; at += MIB) {
    t.equal((await patch(app, url, at, content.subarray(at, at + MIB))).statusCode, 204)
  }
  t.ok(proxy.calls.length <= 30, `${proxy.calls.length} requests: ${JSON.stringify(proxy.count())}`)
  t.ok(getSize(proxy) <= 20 * MIB, `${(getSize(proxy) / MIB).toFixed(2)} MiB`)
  t.equal(proxy.count().GetObject, undefined, 'a warm PATCH reads nothing')
  t.same((await app.inject(url)).rawPayload.equals(content), true)
})

t.test('a HEAD reads the record and fences, also on the process that appended last: another one may have begun to', async t => {
  const { app, proxy } = await start(t)
  const url = await createUpload(app, { 'upload-length': '100' })
  await patch(app, url, 0, makeBytes(10))
  proxy.reset()
  t.equal(await getOffset(app, url), '10')
  t.strictSame(proxy.count(), { GetObject: 2, PutObject: 1 })
})
