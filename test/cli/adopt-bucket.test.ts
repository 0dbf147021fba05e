import { AbortMultipartUploadCommand, CreateMultipartUploadCommand, ListMultipartUploadsCommand, ListObjectsV2Command, PutObjectCommand, UploadPartCommand, type S3Client } from '@aws-sdk/client-s3'
import t, { type Test } from 'tap'
import { createS3Storage } from '../../adapters/s3/index.js'
import { adoptBucket, type BucketAdoption } from '../../lib/cli/adopt/bucket.js'
import { runAdopt } from '../support/adopt.js'
import { startApp } from '../support/app.js'
import { begin, hasTusd, send, startTusd, startTusServer, type Begun, type BucketPlace } from '../support/foreign-servers.js'
import { BYTES, TUS } from '../support/http-tus.js'
import { createBucket, createClient, getServer } from '../support/s3/bucket.js'
import { S3Proxy } from '../support/s3/proxy.js'
import { ServerProcess } from '../support/server-process.js'
import { download, makeBytes, sha256 } from '../support/tus-client-bytes.js'

// Real uploads to the other servers on S3, which are then stopped; their buckets are adopted, and the clients go on where they were.

type Origin = 'tus-server' | 'tusd'
const SERVERS = { 'tus-server': startTusServer, tusd: startTusd }
const PREFIX = { 'tus-server': '', tusd: 'incoming/' }
const NEEDS_TUSD = hasTusd() ? false : 'tusd is not installed'
const MIB = 1024 ** 2
const CONTENT = makeBytes(2, 13 * MIB)
const TWICE = Buffer.concat([CONTENT, CONTENT])
const METADATA = { filename: 'Grüße.bin', filetype: 'application/octet-stream' }

interface Bucket extends BucketPlace {
  readonly client: S3Client
}

async function makeBucket (t: Test, prefix: string, flavour: 'aws' | 'ceph' = 'aws'): Promise<Bucket> {
  const server = await getServer(t, flavour)
  const client = createClient(t, server)
  return { ...server, client, bucket: await createBucket(client), prefix }
}

/** Uploads that end in every way, and how many bytes of each can be told to be right. */
async function beginAll (url: string): Promise<Array<Begun & { readonly kept: number }>> {
  return [
    { ...await begin(url, { name: 'complete', content: CONTENT, pieces: [6 * MIB, 7 * MIB], metadata: METADATA }), kept: 13 * MIB },
    { ...await begin(url, { name: 'complete and small', content: CONTENT.subarray(0, 1000), pieces: [1000] }), kept: 1000 },
    { ...await begin(url, { name: 'of parts', content: CONTENT, pieces: [10 * MIB], metadata: METADATA }), kept: 10 * MIB },
    { ...await begin(url, { name: 'of parts and a tail', content: CONTENT, pieces: [11 * MIB] }), kept: 11 * MIB },
    { ...await begin(url, { name: 'of a tail that may follow a part that is lost', content: CONTENT, pieces: [6 * MIB] }), kept: 5 * MIB },
    { ...await begin(url, { name: 'small, of a tail', content: CONTENT.subarray(0, MIB), pieces: [1000, 2000] }), kept: 3000 },
    { ...await begin(url, { name: 'created', content: CONTENT, pieces: [] }), kept: 0 }
  ]
}

function getId ({ path }: Begun): string {
  return decodeURIComponent(path.split('/').at(-1)!).split('+')[0]!
}

async function fill (t: Test, from: Origin) {
  const place = await makeBucket(t, PREFIX[from])
  const server = await SERVERS[from](t, place)
  const begun = await beginAll(server.url)
  await server.stop()
  return { place, begun }
}

function adopt (from: Origin, { bucket, endpoint, prefix, accessKeyId, secretAccessKey }: Bucket, ...flags: string[]) {
  process.env.AWS_ACCESS_KEY_ID = accessKeyId
  process.env.AWS_SECRET_ACCESS_KEY = secretAccessKey
  return runAdopt('--from', from, '--bucket', bucket, '--endpoint', endpoint, '--prefix', prefix, ...flags)
}

async function listKeys ({ client, bucket }: Bucket): Promise<string[]> {
  const { Contents = [] } = await client.send(new ListObjectsV2Command({ Bucket: bucket }))
  return Contents.map(({ Key }) => Key!)
}

async function goOn (t: Test, origin: string, { name, path, content, kept, headers }: Begun & { kept: number }): Promise<void> {
  const url = origin + path
  const { headers: found } = await send(url, 'HEAD', TUS, 200)
  t.equal(found.get('upload-offset'), String(kept), `${name}: the offset`)
  t.equal(found.get('upload-length'), headers['upload-length'], `${name}: the length`)
  if (kept < content.length) await send(url, 'PATCH', { ...TUS, ...BYTES, 'upload-offset': String(kept) }, 204, content.subarray(kept))
  t.equal((await download(url)).sha256, sha256(content), `${name}: the bytes are those that the client sent`)
}

for (const from of ['tus-server', 'tusd'] as const) {
  t.test(`uploads of ${from} on S3 go on under their paths`, { skip: from === 'tusd' && NEEDS_TUSD, timeout: 120_000 }, async t => {
    const { place, begun } = await fill(t, from)
    const before = await listKeys(place)
    const dry = await adopt(from, place)
    t.match(dry, { code: 0, stdout: 'would adopt 2 complete and 5 incomplete uploads, left 0\n' }, dry.stderr)
    t.same(await listKeys(place), before, 'without --write, nothing changes')

    const run = await adopt(from, place, '--write')
    t.match(run, { code: 0, stdout: 'adopted 2 complete and 5 incomplete uploads, left 0\n' }, run.stderr)
    t.match(run.stdout, 'incomplete, 5242880 of 13631488 bytes; the last 1048576 bytes have to be sent again\n')
    const keys = await listKeys(place)
    t.same(keys.filter(key => key.startsWith(`${place.prefix}.adopted/`) && key.endsWith('.info')), begun.map(upload => `${place.prefix}.adopted/${getId(upload)}.info`).sort())
    t.same(keys.filter(key => key.endsWith('.part') && !key.includes('.adopted/')), [])
    t.match((await adopt(from, place, '--write')).stdout, 'left 0, 7 adopted before\n')

    process.env.AWS_ACCESS_KEY_ID = place.accessKeyId
    process.env.AWS_SECRET_ACCESS_KEY = place.secretAccessKey
    const flags = ['--s3-bucket', place.bucket, '--s3-endpoint', place.endpoint, '--s3-prefix', place.prefix, ...from === 'tusd' ? ['--tusd-urls'] : []]
    const server = await ServerProcess.start(t, { flags })
    const { origin } = new URL(server.url)
    for (const upload of begun) await goOn(t, origin, upload)
    for (const upload of begun) {
      await send(origin + upload.path, 'DELETE', TUS, 204)
      await send(origin + upload.path, 'HEAD', TUS, 404)
    }
    await server.kill('SIGTERM')
    t.same((await listKeys(place)).filter(key => !key.includes('.adopted/')), [], 'removed, they leave nothing')
    const { Uploads = [] } = await place.client.send(new ListMultipartUploadsCommand({ Bucket: place.bucket }))
    t.same(Uploads, [])
  })
}

function createAdoption (from: Origin, { client, bucket, prefix }: Bucket): BucketAdoption {
  return { from, client, bucket, prefix, urlPrefix: '/files', write: true, backup: true, claimable: false }
}

async function runAdoption (adoption: BucketAdoption) {
  const results: Record<string, number> = {}
  for await (const { result } of adoptBucket(adoption)) results[result] = (results[result] ?? 0) + 1
  return results
}

t.test('wherever the adoption on S3 breaks off, nothing is lost, and the next one comes to the end', { timeout: 240_000 }, async t => {
  const place = await makeBucket(t, '')
  const proxy = await S3Proxy.start(t, place.endpoint)
  const client = createClient(t, { ...place, endpoint: proxy.endpoint }, { maxAttempts: 1 })
  const content = CONTENT.subarray(0, 6 * MIB)
  for (let step = 1, broken = true; broken; step++) {
    const server = await startTusServer(t, place)
    const begun = await begin(server.url, { name: `step ${step}`, content, pieces: [5.5 * MIB] })
    await server.stop()
    proxy.reset()
    let writes = 0
    broken = false
    proxy.intercept = ({ method, key }) => {
      // Those of the check at the start change nothing.
      if (method === 'GET' || method === 'HEAD' || key.endsWith('.tmp') || ++writes !== step) return null
      broken = true
      return { when: step % 2 === 0 ? 'before' : 'after', what: 'reset' }
    }
    const adoption = { ...createAdoption('tus-server', place), client }
    await runAdoption(adoption).catch(() => {})
    proxy.intercept = () => null
    const results = await runAdoption(adoption)
    t.notOk(results.left, `step ${step}: none is left`)
    const storage = createS3Storage({ client: place.client, bucket: place.bucket })
    const { app, url } = await startApp(t, { storage })
    await goOn(t, new URL(url).origin, { ...begun, kept: 5.5 * MIB })
    await app.close()
  }
})

t.test('an answer that gets lost while an adopted upload is completed does no harm', async t => {
  for (const when of ['before', 'after'] as const) {
    const place = await makeBucket(t, '')
    const server = await startTusServer(t, place)
    const begun = await begin(server.url, { name: `lost ${when}`, content: CONTENT, pieces: [10 * MIB] })
    await server.stop()
    await runAdoption(createAdoption('tus-server', place))
    const proxy = await S3Proxy.start(t, place.endpoint)
    const client = createClient(t, { ...place, endpoint: proxy.endpoint }, { maxAttempts: 1 })
    let failures = 0
    proxy.intercept = ({ operation }) => operation === 'CompleteMultipartUpload' && failures++ === 0 ? { when, what: 'reset' } : null
    const { url } = await startApp(t, { storage: createS3Storage({ client, bucket: place.bucket }) })
    await goOn(t, new URL(url).origin, { ...begun, kept: 10 * MIB })
    t.ok(failures > 0)
  }
})

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

t.test('final uploads of tusd on S3 are adopted, partial ones are left', { skip: NEEDS_TUSD }, async t => {
  const place = await makeBucket(t, 'x/')
  const server = await startTusd(t, place)
  const partial = (content: Buffer) => begin(server.url, { name: 'partial', content, pieces: [content.length], headers: { 'upload-concat': 'partial', 'upload-length': String(content.length) } })
  const [one, two] = [await partial(CONTENT.subarray(0, 6 * MIB)), await partial(CONTENT.subarray(6 * MIB))]
  const { headers } = await send(server.url, 'POST', { ...TUS, 'upload-concat': `final;${one.path} ${two.path}` }, 201)
  await server.stop()
  const { stdout } = await adopt('tusd', place, '--write')
  t.match(stdout, `left "${getId(one)}": a partial upload`)
  t.match(stdout, 'adopted 1 complete and 0 incomplete uploads, left 2\n')
  const id = new URL(headers.get('location')!).pathname.split('/').at(-1)!.split('+')[0]!
  const { url } = await startApp(t, { storage: createS3Storage({ client: place.client, bucket: place.bucket, prefix: place.prefix }) })
  t.equal((await download(`${url}/${id}`)).sha256, sha256(CONTENT))
})
