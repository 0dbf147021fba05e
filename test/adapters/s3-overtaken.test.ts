import { CreateMultipartUploadCommand, HeadObjectCommand, ListMultipartUploadsCommand, ListObjectsV2Command, PutObjectCommand } from '@aws-sdk/client-s3'
import t, { type Test } from 'tap'
import type { S3StorageOptions } from '../../adapters/s3/index.js'
import { OffsetConflict, UploadMissing, type Storage } from '../../lib/storage.js'
import { makeApp } from '../support/app.js'
import { createGate, head, makeBytes, post, until } from '../support/http-tus.js'
import type { Call } from '../support/s3/proxy.js'
import { append, makeBody, MIB, readAll, setUp, type Machines, type Process } from '../support/s3/storages.js'
import { makeUpload } from '../support/uploads.js'

// What a writer leaves that was overtaken, and what it may not write over.

const CONTENT = makeBytes(16 * MIB)
const OTHER = Buffer.from(CONTENT).reverse()

async function open (t: Test, count: number, options: Partial<S3StorageOptions> = {}, prefix = 'uploads/'): Promise<{ machines: Machines, processes: Process[] }> {
  const machines = await setUp(t, 'aws', prefix)
  return { machines, processes: await Promise.all(Array.from({ length: count }, () => machines.open(options))) }
}

async function createUpload (storage: Storage, length: number | null, given = {}): Promise<string> {
  const upload = makeUpload({ length, ...given })
  await storage.create(upload)
  return upload.id
}

/** An append that has taken in its bytes, and waits for more. */
function appendSlowly (storage: Storage, id: string, offset: number, bytes: Uint8Array | string) {
  const { passed: more, open: end } = createGate()
  const appended = settle(storage.append(id, { offset, keep: 'prefix', body: makeBody(Buffer.from(bytes), { more }) }))
  return { end, appended }
}

function settle<Result> (work: Promise<Result>): Promise<{ result: Result } | { error: Error }> {
  return work.then(result => ({ result }), (error: Error) => ({ error }))
}

/** Holds up the n-th request that is like this, until it is let go. */
function hold ({ proxy }: Process, matches: (call: Call) => boolean, nth = 1) {
  const [arrived, gate] = [createGate(), createGate()]
  let seen = 0
  proxy.intercept = async call => {
    if (!matches(call) || ++seen !== nth) return null
    arrived.open()
    await gate.passed
    return null
  }
  return { arrived: arrived.passed, release: gate.open }
}

const isRecord = ({ operation, key }: Call) => operation === 'PutObject' && key.endsWith('.info')
const isObject = ({ operation, key }: Call) => operation === 'PutObject' && /\/[^.]+$/.test(key)

async function listUploads ({ client, bucket }: Machines): Promise<string[]> {
  const { Uploads = [] } = await client.send(new ListMultipartUploadsCommand({ Bucket: bucket }))
  return Uploads.map(({ Key }) => Key!)
}

async function listKeys ({ client, bucket }: Machines): Promise<string[]> {
  const { Contents = [] } = await client.send(new ListObjectsV2Command({ Bucket: bucket }))
  return Contents.map(({ Key }) => Key!)
}

t.test('an offset that the last writer tells can be used, though another process has begun to append there', async t => {
  const { processes: [one, two] } = await open(t, 2)
  const id = await createUpload(one!.storage, 100)
  await append(one!.storage, id, 0, 'begin')
  const { end, appended } = appendSlowly(two!.storage, id, 5, 'ABC')
  await until('the other has looked', () => two!.proxy.calls.some(({ operation }) => operation === 'GetObject'))
  t.equal((await one!.storage.find(id, { settled: true }))?.offset, 5)
  end()
  t.match(await appended, { error: { name: 'OffsetConflict', offset: 5 } })
  t.equal(await append(one!.storage, id, 5, 'abcdef'), 11)
})

for (const looks of [false, true]) {
  t.test(`a writer finds out that another process has set a length that it exceeds${looks ? ', also if its own has looked at it' : ''}`, async t => {
    const { processes: [slow, fast] } = await open(t, 2)
    const id = await createUpload(slow!.storage, null)
    await append(slow!.storage, id, 0, 'begin')
    const { end, appended } = appendSlowly(slow!.storage, id, 5, 'X'.repeat(50))
    await fast!.storage.setLength(id, 10)
    if (looks) await slow!.storage.find(id)
    end()
    t.match(await appended, { error: { name: 'OffsetConflict', offset: 5 } })
    t.equal(await append(fast!.storage, id, 5, 'abcde'), 10)
    t.equal(String(await readAll(slow!.storage, id)), 'beginabcde')
  })
}

t.test('two processes set the same length at the same time, and another one after bytes have come', async t => {
  const { processes: [slow, fast] } = await open(t, 2)
  for (const length of [100, 101]) {
    const id = await createUpload(slow!.storage, null)
    const held = hold(slow!, isRecord)
    const set = settle(slow!.storage.setLength(id, 100))
    await held.arrived
    await fast!.storage.setLength(id, length)
    held.release()
    t.match(await set, length === 100 ? { result: undefined } : { error: { name: 'LengthConflict' } })
    t.equal((await fast!.storage.find(id))?.length, length)
  }
  const id = await createUpload(slow!.storage, null)
  const held = hold(slow!, isRecord)
  const set = slow!.storage.setLength(id, 100)
  await held.arrived
  await append(fast!.storage, id, 0, 'begin')
  held.release()
  await set
  t.match(await fast!.storage.find(id), { length: 100, offset: 5 })
})

t.test('what another process has noted while an upload was put together is not written over', async t => {
  const { processes: [one, two] } = await open(t, 2)
  const id = await createUpload(one!.storage, 12 * MIB)
  const completion = hold(one!, ({ operation }) => operation === 'CompleteMultipartUpload')
  const appended = append(one!.storage, id, 0, CONTENT.subarray(0, 12 * MIB))
  await completion.arrived
  await two!.storage.update(id, () => ({ serverMetadata: { noted: true } }))
  await one!.storage.find(id)
  completion.release()
  t.equal(await appended, 12 * MIB)
  await one!.storage.update(id, () => ({ finished: true }))
  t.match(await two!.storage.find(id), { finished: true, complete: true, serverMetadata: { noted: true } })
})

t.test('memory that is reclaimed when a body has ended does not undo what the next one brought', async t => {
  const { machines, processes: [one, two] } = await open(t, 2, { memoryBudget: 10 * MIB })
  const [id, other] = [await createUpload(one!.storage, 100 * MIB), await createUpload(one!.storage, 100 * MIB)]
  const key = `${machines.prefix}${id}.info`
  const [ending, end] = [createGate(), createGate()]
  const [late, release] = [createGate(), createGate()]
  let commits = 0
  one!.proxy.intercept = async call => {
    if (!isRecord(call) || call.key !== key) return null
    commits++
    if (commits === 1) {
      ending.open()
      await end.passed
    } else if (commits === 2) {
      late.open()
      await release.passed
    }
    return null
  }
  const first = append(one!.storage, id, 0, CONTENT.subarray(0, 3 * MIB))
  await ending.passed
  const pressing = append(one!.storage, other, 0, OTHER.subarray(0, 9 * MIB))
  await new Promise(resolve => setTimeout(resolve, 100))
  end.open()
  t.equal(await first, 3 * MIB)
  // Where nothing comes late, the next body has the second commit.
  const early = await Promise.race([late.passed.then(() => true), pressing.then(() => false)])
  const second = append(one!.storage, id, 3 * MIB, 'second')
  if (early) {
    t.match(await settle(second), { result: 3 * MIB + 6 })
    release.open()
  } else {
    await late.passed
    release.open()
    t.equal(await second, 3 * MIB + 6)
  }
  await pressing
  await until('everything has come to rest', async () => (await one!.storage.find(other))?.offset === 9 * MIB)
  t.equal((await two!.storage.find(id))?.offset, 3 * MIB + 6, 'what was acknowledged is there')
})

t.test('two that replace an object that a crash has left: the one that was overtaken is told so', async t => {
  const { machines, processes: [dead, slow, fast] } = await open(t, 3)
  const id = await createUpload(dead!.storage, 5)
  dead!.proxy.intercept = call => isRecord(call) ? { when: 'before', what: 'reset' } : null
  await t.rejects(append(dead!.storage, id, 0, 'XXXXX'))
  t.ok((await listKeys(machines)).includes(`${machines.prefix}${id}`))
  const put = hold(slow!, isObject, 2)
  const appended = settle(append(slow!.storage, id, 0, 'ABCDE'))
  await put.arrived
  t.equal(await append(fast!.storage, id, 0, 'abcde'), 5)
  put.release()
  t.match(await appended, { error: { name: 'OffsetConflict', offset: 5 } })
  t.equal(String(await readAll(slow!.storage, id)), 'abcde')
})

t.test('an object that is put there while its upload is removed does not stay', async t => {
  const { machines, processes: [slow, fast] } = await open(t, 2)
  const id = await createUpload(slow!.storage, 5)
  const put = hold(slow!, isObject)
  const appended = settle(append(slow!.storage, id, 0, 'abcde'))
  await put.arrived
  await fast!.storage.remove(id)
  put.release()
  t.match(await appended, { error: { name: 'UploadMissing' } })
  t.same(await listKeys(machines), [])
})

t.test('two processes put one final upload together at the same time: both come to the end', async t => {
  const { machines, processes: [one, two] } = await open(t, 2)
  const parts = await Promise.all([CONTENT.subarray(0, 6 * MIB), OTHER.subarray(0, 7 * MIB)].map(async content => {
    const id = await createUpload(one!.storage, content.length, { partial: true })
    await append(one!.storage, id, 0, content)
    return id
  }))
  for (const [name, matches] of [['at its first commit', isRecord], ['at a part', ({ operation }: Call) => operation === 'UploadPartCopy']] as const) {
    const id = await createUpload(two!.storage, 13 * MIB, { final: true, parts })
    const held = hold(one!, matches)
    const joined = settle(one!.storage.concatenate!(id, parts))
    await held.arrived
    t.equal(await two!.storage.concatenate!(id, parts), 13 * MIB)
    held.release()
    t.match(await joined, { result: 13 * MIB }, name)
    t.ok((await readAll(one!.storage, id))!.equals(Buffer.concat([CONTENT.subarray(0, 6 * MIB), OTHER.subarray(0, 7 * MIB)])))
    await until('nothing is left', async () => (await listUploads(machines)).length === 0)
  }
})

t.test('a final upload of which others always are ahead: the client hears that it may come again, and the next request puts it together', async t => {
  const { machines, processes: [slow, fast] } = await open(t, 2)
  const { app } = await makeApp(t, { storage: slow!.storage, generateId: () => 'final' })
  for (const [id, content] of [['a', CONTENT.subarray(0, 6 * MIB)], ['b', OTHER.subarray(0, 7 * MIB)]] as const) {
    await createUpload(slow!.storage, content.length, { id, partial: true })
    await append(slow!.storage, id, 0, content)
  }
  slow!.proxy.intercept = async ({ operation, key }) => {
    if (operation === 'PutObject' && key === `${machines.prefix}final.info`) await fast!.storage.find('final', { settled: true })
    return null
  }
  const refused = await post(app, { 'upload-concat': 'final;/files/a /files/b' })
  t.match(refused, { statusCode: 503 })
  t.match(refused.json(), { code: 'TUS_ERR_STORAGE_UNAVAILABLE' })
  t.match(await fast!.storage.find('final'), { offset: 0, complete: false })

  slow!.proxy.intercept = () => null
  t.match(await head(app, '/files/final'), { statusCode: 200, headers: { 'upload-offset': String(13 * MIB) } })
  t.ok((await readAll(fast!.storage, 'final'))!.equals(Buffer.concat([CONTENT.subarray(0, 6 * MIB), OTHER.subarray(0, 7 * MIB)])))
  await until('nothing is left', async () => (await listUploads(machines)).length === 0)
})

for (const meanwhile of ['goes on with', 'removes'] as const) {
  t.test(`a multipart upload is aborted whose writer finds out that another process ${meanwhile} the upload`, async t => {
    const { machines, processes: [slow, fast] } = await open(t, 2)
    const id = await createUpload(slow!.storage, 12 * MIB)
    const held = hold(slow!, meanwhile === 'removes' ? ({ operation }) => operation === 'CreateMultipartUpload' : isRecord)
    const appended = settle(append(slow!.storage, id, 0, CONTENT.subarray(0, 7 * MIB)))
    await held.arrived
    if (meanwhile === 'removes') await fast!.storage.remove(id)
    else t.equal(await append(fast!.storage, id, 0, OTHER.subarray(0, 7 * MIB)), 7 * MIB)
    held.release()
    const { error } = await appended as { error: Error }
    t.ok(error instanceof (meanwhile === 'removes' ? UploadMissing : OffsetConflict), error?.name)
    t.equal((await listUploads(machines)).length, meanwhile === 'removes' ? 0 : 1)
    if (meanwhile === 'removes') return
    t.equal(await append(slow!.storage, id, 7 * MIB, OTHER.subarray(7 * MIB, 12 * MIB)), 12 * MIB)
    t.ok((await readAll(fast!.storage, id))!.equals(OTHER.subarray(0, 12 * MIB)))
  })
}

// The answer to the commit that names it gets lost, and somebody takes over before the writer looks.
t.test('a multipart upload is not aborted that the record of the next writer names', async t => {
  const { processes: [slow, fast] } = await open(t, 2)
  const id = await createUpload(slow!.storage, 12 * MIB)
  const [looks, look] = [createGate(), createGate()]
  let step: 'commit' | 'look' | 'done' = 'commit'
  slow!.proxy.intercept = async call => {
    if (step === 'commit' && isRecord(call)) {
      step = 'look'
      return { when: 'after', what: 'reset' }
    }
    if (step === 'look' && call.operation === 'GetObject') {
      step = 'done'
      looks.open()
      await look.passed
    }
    return null
  }
  const appended = settle(append(slow!.storage, id, 0, CONTENT.subarray(0, 7 * MIB)))
  await looks.passed
  t.equal((await fast!.storage.find(id, { settled: true }))?.offset, 0)
  look.open()
  t.match(await appended, { error: { name: 'OffsetConflict', offset: 0 } })
  t.equal(await append(fast!.storage, id, 0, OTHER.subarray(0, 12 * MIB)), 12 * MIB)
  t.ok((await readAll(fast!.storage, id))!.equals(OTHER.subarray(0, 12 * MIB)))
})

t.test('a sweep aborts multipart uploads whose upload is gone, and only those', async t => {
  const machines = await setUp(t)
  const one = await machines.open()
  const { client, bucket, prefix } = machines
  const foreign = ['other/abc', `${prefix}folder/abc`, `${prefix}taken-over-later`]
  for (const key of [...foreign, `${prefix}gone`]) await client.send(new CreateMultipartUploadCommand({ Bucket: bucket, Key: key }))
  await client.send(new PutObjectCommand({ Bucket: bucket, Key: `${prefix}taken-over-later.info`, Body: '{"ID":"of tusd"}' }))
  // An upload whose key was chosen by an earlier configuration.
  const chosen = await machines.open({ key: () => `${prefix}chosen` })
  const id = await createUpload(chosen.storage, 12 * MIB)
  await append(chosen.storage, id, 0, CONTENT.subarray(0, 7 * MIB))
  const before = new Date(Date.now() + 60_000)
  t.equal(await chosen.storage.tidy!(before), 0, 'with keys of the application')
  t.equal(await one.storage.tidy!(before), 1)
  t.same((await listUploads(machines)).sort(), [...foreign, `${prefix}chosen`].sort())
  t.equal(await append(one.storage, id, 7 * MIB, CONTENT.subarray(7 * MIB, 12 * MIB)), 12 * MIB)
  t.equal((await client.send(new HeadObjectCommand({ Bucket: bucket, Key: `${prefix}chosen` }))).ContentLength, 12 * MIB)
})

t.test('without a prefix, a sweep leaves multipart uploads that nothing is known of', async t => {
  const { machines, processes: [one] } = await open(t, 1, {}, '')
  await machines.client.send(new CreateMultipartUploadCommand({ Bucket: machines.bucket, Key: 'backup.tar' }))
  t.equal(await one!.storage.tidy!(new Date(Date.now() + 60_000)), 0)
  t.same(await listUploads(machines), ['backup.tar'])
})
