import { AbortMultipartUploadCommand, CreateMultipartUploadCommand, PutObjectCommand, UploadPartCommand } from '@aws-sdk/client-s3'
import t from 'tap'
import { createS3Storage } from '../../adapters/s3/index.js'
import { adopt, CONTENT, createAdoption, goOn, listKeys, makeBucket, MIB, runAdoption, type Bucket, type Origin } from '../support/adopt-bucket.js'
import { startApp } from '../support/app.js'
import { send } from '../support/foreign-servers.js'
import { TUS } from '../support/http-tus.js'
import { createClient } from '../support/s3/bucket.js'
import { S3Proxy } from '../support/s3/proxy.js'
import { ServerProcess } from '../support/server-process.js'
import { download, sha256 } from '../support/tus-client-bytes.js'

// Uploads that are written into the bucket as another server would have: also those that are hard to come by.

const TWICE = Buffer.concat([CONTENT, CONTENT])

/** What another server writes for an upload, with parts of those numbers and sizes, and perhaps bytes behind them. Resolves to the last part of its path. */
async function forge ({ client, bucket, prefix }: Bucket, id: string, parts: ReadonlyArray<readonly [number, number]>, tail = 0, from: Origin = 'tus-server', more: object = {}): Promise<string> {
  const { UploadId } = await client.send(new CreateMultipartUploadCommand({ Bucket: bucket, Key: prefix + id }))
  let at = 0
  for (const [number, size] of parts) {
    await client.send(new UploadPartCommand({ Bucket: bucket, Key: prefix + id, UploadId, PartNumber: number, Body: TWICE.subarray(at, at + size) }))
    at += size
  }
  if (tail > 0) await client.send(new PutObjectCommand({ Bucket: bucket, Key: `${prefix + id}.part`, Body: CONTENT.subarray(at, at + tail) }))
  const path = from === 'tusd' ? `${id}+${UploadId}` : id
  const record = from === 'tusd'
    ? { ID: path, Size: CONTENT.length, SizeIsDeferred: false, Offset: 0, MetaData: {}, IsPartial: false, IsFinal: false, PartialUploads: null, Storage: { Bucket: bucket, Key: prefix + id, Type: 's3store' }, ...more }
    : { id, size: CONTENT.length, offset: 0, metadata: {}, creation_date: new Date().toISOString(), storage: { type: 's3', path: prefix + id, bucket } }
  const Metadata: Record<string, string> = from === 'tusd' ? {} : { 'upload-id': UploadId!, 'tus-version': '1.0.0' }
  await client.send(new PutObjectCommand({ Bucket: bucket, Key: `${prefix + id}.info`, Body: JSON.stringify(record), Metadata }))
  return path
}

t.test('an upload as tusd notes it goes on under its path, with the id of the multipart upload in it', async t => {
  const place = await makeBucket(t, 'incoming/')
  const path = await forge(place, 'abc', [[1, 5 * MIB], [2, 6 * MIB]], 1000, 'tusd')
  t.same(await runAdoption(createAdoption('tusd', place)), { adopted: 1 })
  process.env.AWS_ACCESS_KEY_ID = place.accessKeyId
  process.env.AWS_SECRET_ACCESS_KEY = place.secretAccessKey
  const server = await ServerProcess.start(t, { flags: ['--s3-bucket', place.bucket, '--s3-endpoint', place.endpoint, '--s3-prefix', place.prefix, '--tusd-urls'] })
  const upload = { content: CONTENT, sent: 0, headers: { 'upload-length': String(CONTENT.length) } }
  await goOn(t, new URL(server.url).origin, { ...upload, name: 'its path', path: `/files/${path}`, kept: 11 * MIB + 1000 })
  await goOn(t, new URL(server.url).origin, { ...upload, name: 'encoded', path: `/files/${encodeURIComponent(path)}`, kept: CONTENT.length })
})

t.test('complete uploads as tusd notes them are adopted; partial ones, and a final one that was broken off, are left', async t => {
  const place = await makeBucket(t, '')
  await forge(place, 'whole', [], 0, 'tusd', { SizeIsDeferred: true })
  const [, multipart] = (await forge(place, 'joined', [], 0, 'tusd', { IsFinal: true, PartialUploads: ['one', 'two'] })).split('+')
  await place.client.send(new AbortMultipartUploadCommand({ Bucket: place.bucket, Key: 'joined', UploadId: multipart }))
  await place.client.send(new PutObjectCommand({ Bucket: place.bucket, Key: 'joined', Body: CONTENT }))
  await forge(place, 'part', [[1, 5 * MIB]], 0, 'tusd', { IsPartial: true })
  await forge(place, 'broken', [[1, 5 * MIB]], 0, 'tusd', { IsFinal: true, PartialUploads: ['part'] })
  await forge(place, 'last', [[10_000, 5 * MIB]], 0, 'tusd')
  await place.client.send(new PutObjectCommand({ Bucket: place.bucket, Key: 'renamed.info', Body: JSON.stringify({ ID: 'other+1', Size: 1 }) }))
  await place.client.send(new PutObjectCommand({ Bucket: place.bucket, Key: 'without.info', Body: JSON.stringify({ ID: 'without', Size: 1 }) }))
  const { stdout } = await adopt('tusd', place, '--write', '--claimable', '--no-backup')
  t.same(stdout.trim().split('\n'), [
    'left "broken": a final upload that was broken off while its parts were put together: its client has to make it again',
    'adopted "joined": complete, 13631488 bytes',
    'left "last": all part numbers are used',
    'left "part": a partial upload: the one that its client would make of it names it by an address that this server has not',
    'adopted "whole": incomplete, 0 bytes, length not known yet',
    'adopted 1 complete and 1 incomplete uploads, left 3'
  ])
  const { url } = await startApp(t, { storage: createS3Storage({ client: place.client, bucket: place.bucket }) })
  const { headers } = await send(`${url}/joined`, 'HEAD', TUS, 200)
  t.equal(headers.get('upload-concat'), 'final;/files/one /files/two')
  t.equal((await download(`${url}/joined`)).sha256, sha256(CONTENT))
})

for (const flavour of ['aws', 'ceph'] as const) {
  t.test(`parts behind a hole do not count, and are not in the file (${flavour})`, async t => {
    const place = await makeBucket(t, 'a/', flavour)
    await forge(place, 'hole', [[1, 5 * MIB], [3, 5 * MIB]], 1000)
    t.same(await runAdoption(createAdoption('tus-server', place)), { adopted: 1 })
    const { url } = await startApp(t, { storage: createS3Storage({ client: place.client, bucket: place.bucket, prefix: place.prefix }) })
    await goOn(t, new URL(url).origin, { name: 'hole', path: '/files/hole', content: CONTENT, sent: 10 * MIB, headers: { 'upload-length': String(CONTENT.length) }, kept: 5 * MIB })
  })
}

t.test('what can not be adopted on S3 is left as it is', async t => {
  const place = await makeBucket(t, '')
  await forge(place, 'too-long', [[1, 7 * MIB], [2, 7 * MIB]])
  await forge(place, 'in the way', [])
  await forge(place, 'taken', [[1, 5 * MIB]])
  await place.client.send(new PutObjectCommand({ Bucket: place.bucket, Key: 'taken', Body: 'something else' }))
  await place.client.send(new PutObjectCommand({ Bucket: place.bucket, Key: 'gone.info', Body: JSON.stringify({ id: 'gone', size: 5 }), Metadata: { 'upload-id': 'none' } }))
  await place.client.send(new PutObjectCommand({ Bucket: place.bucket, Key: 'short.info', Body: JSON.stringify({ id: 'short', size: 5 }), Metadata: { 'upload-id': 'none' } }))
  await place.client.send(new PutObjectCommand({ Bucket: place.bucket, Key: 'short', Body: '1234' }))
  await place.client.send(new PutObjectCommand({ Bucket: place.bucket, Key: 'app.info', Body: 'of the application' }))
  const before = await listKeys(place)
  const { stdout } = await adopt('tus-server', place, '--write')
  t.same(stdout.trim().split('\n'), [
    'left "gone": its bytes are gone',
    'left "in the way": this server takes no such id',
    'left "short": its object has 4 bytes of 5',
    'left "taken": there is an object under its key already',
    'left "too-long": its parts have more bytes than it',
    'adopted 0 complete and 0 incomplete uploads, left 5'
  ])
  t.same(await listKeys(place), before)
})

t.test('a record that changes while it is adopted is left', async t => {
  const place = await makeBucket(t, '')
  await forge(place, 'busy', [[1, 5 * MIB]], 1000)
  const proxy = await S3Proxy.start(t, place.endpoint)
  const client = createClient(t, { ...place, endpoint: proxy.endpoint })
  proxy.intercept = async ({ method, key }) => {
    if (method === 'PUT' && key === 'busy.info') await place.client.send(new PutObjectCommand({ Bucket: place.bucket, Key: 'busy.info', Body: '{"id":"busy","size":1}' }))
    return null
  }
  t.same(await runAdoption({ ...createAdoption('tus-server', place), client }), { left: 1 })
  t.same(await listKeys(place), ['.adopted/busy.info', 'busy.info', 'busy.part'])
})
