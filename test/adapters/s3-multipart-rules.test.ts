import {
  AbortMultipartUploadCommand, CompleteMultipartUploadCommand, CreateMultipartUploadCommand, GetObjectCommand, HeadObjectCommand, ListMultipartUploadsCommand,
  ListPartsCommand, UploadPartCommand
} from '@aws-sdk/client-s3'
import t, { type Test } from 'tap'
import { createS3Storage } from '../../adapters/s3/index.js'
import { makeBytes } from '../support/http-tus.js'
import { createBucket, createClient, getServer } from '../support/s3/bucket.js'
import { append, MIB, readAll } from '../support/s3/storages.js'
import { makeUpload } from '../support/uploads.js'

// What the storage expects of multipart uploads, and large uploads by it, on any server. S3_CONDITIONS=off is for those without conditional writes: there, one
// process is at work.

const conditionalWrites = process.env.S3_CONDITIONS === 'off' ? 'off' : 'on'
const CONTENT = makeBytes(17 * MIB)

async function setUp (t: Test) {
  const client = createClient(t, await getServer(t))
  const bucket = await createBucket(client)
  const open = (options = {}) => createS3Storage({ client, bucket, prefix: 'uploads/', partSize: 5 * MIB, conditionalWrites, ...options })
  return { client, bucket, open }
}

async function begin (t: Test) {
  const { client, bucket } = await setUp(t)
  const at = { Bucket: bucket, Key: 'object' }
  const { UploadId } = await client.send(new CreateMultipartUploadCommand(at))
  const send = async (PartNumber: number, bytes: Uint8Array) => {
    const { ETag } = await client.send(new UploadPartCommand({ ...at, UploadId, PartNumber, Body: bytes }))
    return { PartNumber, ETag }
  }
  type Named = Awaited<ReturnType<typeof send>>
  const complete = (Parts: Named[]) => client.send(new CompleteMultipartUploadCommand({ ...at, UploadId, MultipartUpload: { Parts } }))
  const download = async () => Buffer.from(await (await client.send(new GetObjectCommand(at))).Body!.transformToByteArray())
  return { client, bucket, at: { ...at, UploadId }, send, complete, download }
}

t.test('parts are put together by their numbers, whatever the order in which they came and the numbers between them', async t => {
  const { send, complete, download } = await begin(t)
  const last = await send(9000, CONTENT.subarray(10 * MIB, 11 * MIB))
  const second = await send(7, CONTENT.subarray(5 * MIB, 10 * MIB))
  const first = await send(2, CONTENT.subarray(0, 5 * MIB))
  await complete([first, second, last])
  t.ok((await download()).equals(CONTENT.subarray(0, 11 * MIB)))
})

t.test('a part that is sent again replaces the one before, and the ETag of that one is refused', async t => {
  const { send, complete, download } = await begin(t)
  const former = await send(1, CONTENT.subarray(5 * MIB, 10 * MIB))
  const first = await send(1, CONTENT.subarray(0, 5 * MIB))
  const second = await send(2, CONTENT.subarray(5 * MIB, 6 * MIB))
  await t.rejects(complete([former, second]), { name: 'InvalidPart' })
  await complete([first, second])
  t.ok((await download()).equals(CONTENT.subarray(0, 6 * MIB)))
})

t.test('a part that was not sent, and a small one that is not the last, are refused; the upload stays', async t => {
  const { send, complete, download } = await begin(t)
  const [first, small] = [await send(1, CONTENT.subarray(0, 5 * MIB)), await send(2, CONTENT.subarray(5 * MIB, 6 * MIB))]
  await t.rejects(complete([first, small, { PartNumber: 3, ETag: first.ETag }]), { name: 'InvalidPart' })
  const third = await send(3, CONTENT.subarray(6 * MIB, 7 * MIB))
  await t.rejects(complete([first, small, third]), { name: 'EntityTooSmall' })
  const whole = await send(2, CONTENT.subarray(5 * MIB, 10 * MIB))
  await complete([first, whole, await send(3, CONTENT.subarray(10 * MIB, 11 * MIB))])
  t.ok((await download()).equals(CONTENT.subarray(0, 11 * MIB)))
})

t.test('a subset of the parts makes an object of these alone, or is refused', async t => {
  const { send, complete, download } = await begin(t)
  const first = await send(1, CONTENT.subarray(0, 5 * MIB))
  await send(2, CONTENT.subarray(10 * MIB, 15 * MIB))
  const third = await send(3, CONTENT.subarray(5 * MIB, 6 * MIB))
  const refusal = await complete([first, third]).then(() => null, error => error)
  if (refusal === null) t.ok((await download()).equals(CONTENT.subarray(0, 6 * MIB)))
  else t.match(refusal, { name: /^InvalidPart/ })
  t.comment(refusal === null ? 'left out' : 'refused')
})

t.test('an upload that was aborted is gone: for parts, for a list of them, for a completion', async t => {
  const { client, bucket, at, send, complete } = await begin(t)
  const first = await send(1, CONTENT.subarray(0, MIB))
  const { Parts } = await client.send(new ListPartsCommand(at))
  t.match(Parts, [{ PartNumber: 1, Size: MIB, ETag: first.ETag }])
  await client.send(new AbortMultipartUploadCommand(at))
  const missing = { name: /^NoSuch(?:Upload|Key)$|^NotFound$/ }
  await t.rejects(client.send(new ListPartsCommand(at)), missing)
  await t.rejects(send(2, CONTENT.subarray(0, 1000)), missing)
  // Ceph: "This multipart completion is already in progress".
  await t.rejects(complete([first]), { name: /^NoSuch(?:Upload|Key)$|^InternalError$/ })
  await t.rejects(client.send(new HeadObjectCommand({ Bucket: bucket, Key: at.Key })), missing)
  t.same((await client.send(new ListMultipartUploadsCommand({ Bucket: bucket }))).Uploads ?? [], [])
})

t.test('a large upload in several PATCHes, continued by the next process, and read in ranges', async t => {
  const { open } = await setUp(t)
  const upload = makeUpload({ length: CONTENT.length })
  const [one, two] = [open(), open()]
  await one.open!()
  await one.create(upload)
  t.equal(await append(one, upload.id, 0, CONTENT.subarray(0, 3)), 3)
  t.equal(await append(one, upload.id, 3, CONTENT.subarray(3, 11 * MIB)), 11 * MIB)
  await one.close!()
  t.equal((await two.find(upload.id))?.offset, 11 * MIB)
  t.equal(await append(two, upload.id, 11 * MIB, CONTENT.subarray(11 * MIB), 'all-or-nothing'), CONTENT.length)
  t.ok((await readAll(two, upload.id))?.equals(CONTENT))
  const chunks = await (await two.read!(upload.id, { start: 5 * MIB - 2, end: 5 * MIB + 1 }))!.toArray()
  t.ok(Buffer.concat(chunks).equals(CONTENT.subarray(5 * MIB - 2, 5 * MIB + 2)))
})

t.test('an upload of unknown length, a concatenation, and a removal that leaves nothing', async t => {
  const { client, bucket, open } = await setUp(t)
  const storage = open()
  const [first, second, whole] = [makeUpload({ partial: true }), makeUpload({ length: 3, partial: true }), makeUpload({ length: 6 * MIB + 3, final: true })]
  for (const upload of [first, second, whole]) await storage.create(upload)
  await append(storage, first.id, 0, CONTENT.subarray(0, 6 * MIB))
  await storage.setLength(first.id, 6 * MIB)
  await append(storage, second.id, 0, 'abc')
  t.equal(await storage.concatenate!(whole.id, [first.id, second.id]), 6 * MIB + 3)
  t.ok((await readAll(storage, whole.id))?.equals(Buffer.concat([CONTENT.subarray(0, 6 * MIB), Buffer.from('abc')])))
  const half = makeUpload({ length: 12 * MIB })
  await storage.create(half)
  await append(storage, half.id, 0, CONTENT.subarray(0, 7 * MIB))
  for (const { id } of [first, second, whole, half]) await storage.remove(id)
  await storage.close!()
  t.same((await client.send(new ListMultipartUploadsCommand({ Bucket: bucket }))).Uploads ?? [], [])
  for (const { id } of [first, second, whole, half]) t.equal(await storage.find(id), null)
})

t.test('an upload whose parts were aborted behind its back is lost, and not tried for ever', async t => {
  const { client, bucket, open } = await setUp(t)
  const storage = open()
  const upload = makeUpload({ length: 12 * MIB, completes: 'by-mark' })
  await storage.create(upload)
  await append(storage, upload.id, 0, CONTENT.subarray(0, 12 * MIB))
  const { Uploads = [] } = await client.send(new ListMultipartUploadsCommand({ Bucket: bucket }))
  await client.send(new AbortMultipartUploadCommand({ Bucket: bucket, Key: Uploads[0]!.Key, UploadId: Uploads[0]!.UploadId }))
  await t.rejects(storage.complete(upload.id), { code: 'S3_UPLOAD_LOST', statusCode: 410 })
  t.equal(await storage.find(upload.id), null)
})
