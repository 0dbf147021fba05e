import { AbortMultipartUploadCommand, CreateMultipartUploadCommand, ListMultipartUploadsCommand, ListObjectsV2Command, PutObjectCommand } from '@aws-sdk/client-s3'
import { readdir, readFile } from 'node:fs/promises'
import t from 'tap'
import { choosePartSize } from '../../adapters/s3/part-size.js'
import { createGate, makeBytes, until } from '../support/http-tus.js'
import type { Call, Fault } from '../support/s3/proxy.js'
import { append, makeBody, MIB, readAll, setUp, type Machines, type Process } from '../support/s3/storages.js'
import { makeUpload } from '../support/uploads.js'

// The faults that other servers for S3 have, one test each, in the order of docs/s3.md.

const CONTENT = makeBytes(24 * MIB)
const OTHER = Buffer.from(CONTENT).reverse()

async function createUpload ({ storage }: Process, length: number | null, given = {}): Promise<string> {
  const upload = makeUpload({ length, ...given })
  await storage.create(upload)
  return upload.id
}

/** Holds up the first request that is like this, until it is let go. */
function hold ({ proxy }: Process, matches: (call: Call) => boolean) {
  const [arrived, gate] = [createGate(), createGate()]
  let held = false
  proxy.intercept = async call => {
    if (held || !matches(call)) return null
    held = true
    arrived.open()
    await gate.passed
    return null
  }
  return { arrived: arrived.passed, release: gate.open }
}

/** The first request that is like this fails. */
function failOnce ({ proxy }: Process, matches: (call: Call) => boolean, fault: Fault): void {
  let failed = false
  proxy.intercept = call => {
    if (failed || !matches(call)) return null
    failed = true
    return fault
  }
}

async function listKeys ({ client, bucket, prefix }: Machines): Promise<string[]> {
  const { Contents = [] } = await client.send(new ListObjectsV2Command({ Bucket: bucket, Prefix: prefix }))
  return Contents.map(({ Key }) => Key!.slice(prefix.length))
}

async function listUploads ({ client, bucket }: Machines) {
  const { Uploads = [] } = await client.send(new ListMultipartUploadsCommand({ Bucket: bucket }))
  return Uploads
}

t.test('1: pending bytes are never overwritten: a process that loses the race leaves those of the winner as they are', async t => {
  const machines = await setUp(t)
  const [one, two] = [await machines.open(), await machines.open()]
  const id = await createUpload(one, 9)
  await append(one.storage, id, 0, 'abc')
  const commit = hold(one, ({ operation, key }) => operation === 'PutObject' && key.endsWith('.info'))
  const losing = append(one.storage, id, 3, 'XYZ')
  await commit.arrived
  t.equal(await append(two.storage, id, 3, 'def'), 6)
  commit.release()
  await t.rejects(losing, { name: 'OffsetConflict', offset: 6 })
  t.equal(await append(one.storage, id, 6, 'ghi'), 9)
  t.equal(String(await readAll(two.storage, id)), 'abcdefghi')
})

t.test('2: acknowledged bytes stay in S3 until they are stored elsewhere: a part that fails loses none of them', async t => {
  const machines = await setUp(t)
  const [one, two] = [await machines.open(), await machines.open()]
  const id = await createUpload(one, 6 * MIB)
  await append(one.storage, id, 0, CONTENT.subarray(0, 3 * MIB))
  failOnce(one, ({ operation, size }) => operation === 'UploadPart' && size >= 5 * MIB, { when: 'before', what: 500 })
  await t.rejects(append(one.storage, id, 3 * MIB, CONTENT.subarray(3 * MIB, 6 * MIB)))
  t.equal((await two.storage.find(id, { settled: true }))?.offset, 3 * MIB)
  t.equal(await append(two.storage, id, 3 * MIB, CONTENT.subarray(3 * MIB, 6 * MIB)), 6 * MIB)
  t.ok((await readAll(two.storage, id))?.equals(CONTENT.subarray(0, 6 * MIB)))
})

t.test('3: the offset is where the bytes have no gap: what arrived behind a part that failed does not count', async t => {
  for (const flavour of ['aws', 'ceph'] as const) {
    const machines = await setUp(t, flavour)
    const one = await machines.open()
    const id = await createUpload(one, 22 * MIB)
    let parts = 0
    one.proxy.intercept = ({ operation }) => operation === 'UploadPart' && ++parts === 2 ? { when: 'before', what: 500 } : null
    await t.rejects(append(one.storage, id, 0, CONTENT.subarray(0, 22 * MIB)))
    t.equal((await one.storage.find(id))?.offset, 5 * MIB)
    t.equal(await append(one.storage, id, 5 * MIB, CONTENT.subarray(5 * MIB, 22 * MIB)), 22 * MIB)
    t.ok((await readAll(one.storage, id))?.equals(CONTENT.subarray(0, 22 * MIB)))
  }
})

for (const flavour of ['aws', 'ceph'] as const) {
  for (const moment of ['before the upload is complete', 'after the upload is complete', 'before its successor sends parts'] as const) {
    t.test(`4: a writer that was overtaken damages nothing (${flavour}): its part arrives ${moment}`, async t => {
      const machines = await setUp(t, flavour)
      const [one, two] = [await machines.open(), await machines.open()]
      const id = await createUpload(one, 23 * MIB)
      const expected = Buffer.concat([CONTENT.subarray(0, 5 * MIB), OTHER.subarray(0, 18 * MIB)])
      let parts = 0
      let arrived = 0
      const part = hold(one, ({ operation }) => operation === 'UploadPart' && ++parts === 2)
      one.proxy.onAnswer = ({ operation }) => { if (operation === 'UploadPart') arrived++ }
      const end = createGate()
      const losing = one.storage.append(id, { offset: 0, keep: 'prefix', body: makeBody(CONTENT.subarray(0, 16 * MIB), { more: end.passed }) })
      losing.catch(() => {})
      await part.arrived
      await until('the other parts have arrived', () => arrived === 2)
      t.equal((await two.storage.find(id, { settled: true }))?.offset, 5 * MIB)
      const finishLosing = async () => {
        part.release()
        end.open()
        await t.rejects(losing, { name: 'OffsetConflict', ...moment === 'after the upload is complete' && { offset: 23 * MIB } })
      }
      if (moment === 'before its successor sends parts') await finishLosing()
      t.equal(await append(two.storage, id, 5 * MIB, OTHER.subarray(0, 6 * MIB)), 11 * MIB)
      if (moment === 'before the upload is complete') await finishLosing()
      t.equal(await append(two.storage, id, 11 * MIB, OTHER.subarray(6 * MIB, 18 * MIB)), 23 * MIB)
      if (moment === 'after the upload is complete') await finishLosing()
      t.ok((await readAll(two.storage, id))?.equals(expected), 'byte for byte')
      const three = await machines.open()
      t.equal((await three.storage.find(id))?.complete, true)
      t.ok((await readAll(three.storage, id))?.equals(expected), 'for a process that knows nothing, too')
    })
  }
}

t.test('5: a completion whose answer got lost is found, and one that an aborted upload makes impossible is no success', async t => {
  const machines = await setUp(t)
  for (const completes of ['at-length', 'by-mark'] as const) {
    const [one, two] = [await machines.open(), await machines.open()]
    const id = await createUpload(one, 12 * MIB, { completes })
    failOnce(one, ({ operation }) => operation === 'CompleteMultipartUpload', { when: 'after', what: 'reset', meanwhile: () => { one.proxy.intercept = () => ({ when: 'before', what: 'reset' }) } })
    await append(one.storage, id, 0, CONTENT.subarray(0, 12 * MIB)).then(() => one.storage.complete(id)).catch(() => {})
    t.equal((await two.storage.find(id))?.offset, 12 * MIB)
    await two.storage.complete(id)
    await two.storage.complete(id)
    t.equal((await two.storage.find(id))?.complete, true)
    t.ok((await readAll(two.storage, id))?.equals(CONTENT.subarray(0, 12 * MIB)))
  }

  const one = await machines.open()
  const id = await createUpload(one, 12 * MIB)
  await append(one.storage, id, 0, CONTENT.subarray(0, 7 * MIB))
  const upload = (await listUploads(machines)).find(({ Key }) => Key === `uploads/${id}`)!
  await machines.client.send(new AbortMultipartUploadCommand({ Bucket: machines.bucket, Key: upload.Key, UploadId: upload.UploadId }))
  await t.rejects(append(one.storage, id, 7 * MIB, CONTENT.subarray(7 * MIB, 12 * MIB)), { code: 'S3_UPLOAD_LOST', statusCode: 410 })
  t.equal(await one.storage.find(id), null, 'the client starts again')
})

t.test('6: clients that stall keep nobody waiting: their bytes go into S3 when memory runs out', async t => {
  const machines = await setUp(t)
  const one = await machines.open({ memoryBudget: 10 * MIB })
  const end = createGate()
  const stalled = await Promise.all(Array.from({ length: 40 }, async () => {
    const id = await createUpload(one, 8 * MIB)
    const body = makeBody(CONTENT.subarray(0, 700_000), { more: end.passed })
    return { id, appending: one.storage.append(id, { offset: 0, keep: 'prefix', body }) }
  }))
  const id = await createUpload(one, 20 * MIB)
  t.equal(await append(one.storage, id, 0, CONTENT.subarray(0, 20 * MIB)), 20 * MIB)
  t.ok((one.proxy.count().UploadPart ?? 0) >= 4)
  end.open()
  for (const { appending } of stalled) t.equal(await appending, 700_000)
  for (const { id } of stalled.slice(0, 3)) {
    t.equal(await append(one.storage, id, 700_000, CONTENT.subarray(700_000, 8 * MIB)), 8 * MIB)
    t.ok((await readAll(one.storage, id))?.equals(CONTENT.subarray(0, 8 * MIB)))
  }
})

t.test('7: no byte goes over a local disk', async t => {
  for (const name of await readdir('adapters/s3')) {
    t.notMatch(await readFile(`adapters/s3/${name}`, 'utf8'), /from 'node:(?:fs|os)/, name)
  }
})

t.test('8: a process that is killed in a long PATCH loses no part that has arrived', async t => {
  const machines = await setUp(t)
  const [one, two] = [await machines.open(), await machines.open()]
  const id = await createUpload(one, 23 * MIB)
  const appending = one.storage.append(id, { offset: 0, keep: 'prefix', body: makeBody(CONTENT.subarray(0, 18 * MIB), { more: new Promise(() => {}) }) })
  appending.catch(() => {})
  let arrived = 0
  one.proxy.onAnswer = ({ operation }) => { if (operation === 'UploadPart') arrived++ }
  await until('three parts are in S3', () => arrived === 3)
  one.proxy.intercept = () => ({ when: 'before', what: 'reset' })
  t.equal((await two.storage.find(id, { settled: true }))?.offset, 15 * MIB)
  t.equal(await append(two.storage, id, 15 * MIB, CONTENT.subarray(15 * MIB, 23 * MIB)), 23 * MIB)
  t.ok((await readAll(two.storage, id))?.equals(CONTENT.subarray(0, 23 * MIB)))
})

t.test('9: part numbers last: small PATCHes make no small parts, and parts grow with the upload', async t => {
  const machines = await setUp(t)
  const one = await machines.open()
  const id = await createUpload(one, null)
  for (let at = 0; at < 11 * MIB; at += 64 * 1024) await append(one.storage, id, at, CONTENT.subarray(at, at + 64 * 1024))
  t.equal(one.proxy.count().UploadPart, 2)
  await one.storage.setLength(id, 11 * MIB)
  t.ok((await readAll(one.storage, id))?.equals(CONTENT.subarray(0, 11 * MIB)))

  for (const length of [MIB, 100 * 1024 * MIB, 5 * 1024 ** 4]) {
    let [offset, next] = [0, 1]
    for (; offset < length; next++) offset += choosePartSize({ offset, length, next, least: 5 * MIB })
    t.ok(next - 1 <= 10_000, `${next - 1} parts for ${length} bytes`)
  }
  let [offset, next] = [0, 1]
  for (; next <= 10_000; next++) offset += choosePartSize({ offset, length: null, next, least: 8 * MIB })
  t.ok(offset >= 5 * 1024 ** 4, 'an upload of unknown length gets as far as S3 allows')
})

t.test('10: no bytes, few bytes, and a body with a checksum that is larger than a part', async t => {
  const machines = await setUp(t)
  const one = await machines.open()
  for (const [length, completes] of [[0, 'at-length'], [0, 'by-mark'], [1, 'at-length'], [1, 'by-mark'], [5 * MIB, 'at-length'], [5 * MIB, 'by-mark']] as const) {
    const id = await createUpload(one, length, { completes })
    await append(one.storage, id, 0, CONTENT.subarray(0, length))
    await one.storage.complete(id)
    t.equal((await readAll(one.storage, id))?.equals(CONTENT.subarray(0, length)), true, `${length} bytes, ${completes}`)
  }
  t.equal(one.proxy.count().CreateMultipartUpload, undefined)

  const id = await createUpload(one, 15 * MIB)
  await append(one.storage, id, 0, CONTENT.subarray(0, MIB))
  const wrong = makeBody(OTHER.subarray(0, 14 * MIB), { failure: new Error('the checksum is wrong') })
  await t.rejects(one.storage.append(id, { offset: MIB, keep: 'all-or-nothing', body: wrong }), { message: 'the checksum is wrong' })
  t.equal((await one.storage.find(id))?.offset, MIB)
  t.equal(await append(one.storage, id, MIB, CONTENT.subarray(MIB, 15 * MIB), 'all-or-nothing'), 15 * MIB)
  t.ok((await readAll(one.storage, id))?.equals(CONTENT.subarray(0, 15 * MIB)))
})

t.test('11: no multipart upload is left behind, and none of another application is touched', async t => {
  const machines = await setUp(t, 'aws', '')
  const { client, bucket } = machines
  await client.send(new CreateMultipartUploadCommand({ Bucket: bucket, Key: 'backup.tar' }))
  await client.send(new PutObjectCommand({ Bucket: bucket, Key: 'backup.0123456789abcdef01234567.pending', Body: 'not ours' }))
  const [one, two] = [await machines.open(), await machines.open()]
  const removed = await createUpload(one, 12 * MIB)
  await append(one.storage, removed, 0, CONTENT.subarray(0, 7 * MIB))
  await two.storage.remove(removed)
  t.same((await listUploads(machines)).map(({ Key }) => Key), ['backup.tar'])

  const kept = await createUpload(one, 12 * MIB)
  // The record never hears of the first multipart upload.
  failOnce(one, ({ operation }) => operation === 'CreateMultipartUpload', { when: 'after', what: 'reset' })
  await t.rejects(append(one.storage, kept, 0, CONTENT.subarray(0, 7 * MIB)))
  await append(one.storage, kept, 0, CONTENT.subarray(0, 7 * MIB))
  t.equal((await listUploads(machines)).length, 3)
  t.equal(await two.storage.tidy!(new Date(Date.now() + 60_000)), 1)
  t.equal((await listUploads(machines)).length, 2)
  t.equal(await append(one.storage, kept, 7 * MIB, CONTENT.subarray(7 * MIB, 12 * MIB)), 12 * MIB)
  await one.storage.remove(kept)
  t.same(await listKeys(machines), ['backup.0123456789abcdef01234567.pending'])
  t.same((await listUploads(machines)).map(({ Key }) => Key), ['backup.tar'])
})
