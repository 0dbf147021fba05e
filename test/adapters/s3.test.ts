import { GetObjectTaggingCommand, HeadObjectCommand, PutObjectCommand, type S3Client } from '@aws-sdk/client-s3'
import { text } from 'node:stream/consumers'
import t from 'tap'
import { createS3Storage, type S3StorageOptions } from '../../adapters/s3/index.js'
import { MemoryBudget } from '../../adapters/s3/budget.js'
import { planJoin, splitRange } from '../../adapters/s3/join.js'
import { chooseWindow } from '../../adapters/s3/part-size.js'
import { StorageFull, StorageUnavailable, UploadExists, UploadMissing } from '../../lib/storage.js'
import { createGate, makeBytes, sleep, until } from '../support/http-tus.js'
import { createBucket, createClient } from '../support/s3/bucket.js'
import { startFakeS3 } from '../support/s3/fake-s3.mjs'
import { append, makeBody, MIB, readAll, setUp } from '../support/s3/storages.js'
import { makeUpload } from '../support/uploads.js'

const CONTENT = makeBytes(16 * MIB)

t.test('options: what can not work is refused by name', async t => {
  const client = { send () {} } as unknown as S3Client
  const good = { client, bucket: 'b' }
  for (const [name, value] of Object.entries({
    client: {},
    bucket: '',
    prefix: '/x',
    partSize: 5 * MIB - 1,
    memoryBudget: 15 * MIB,
    concurrency: 0,
    commitInterval: 0,
    key: 'x',
    objectOptions: 'x',
    conditionalWrites: 'maybe'
  })) {
    t.throws(() => createS3Storage({ ...good, [name]: value } as unknown as S3StorageOptions), { name: 'TypeError', message: new RegExp(`'${name}'`) })
  }
  t.ok(createS3Storage(good))
})

t.test('a server that ignores conditions is refused at the start, with what to do', async t => {
  const server = await startFakeS3({ conditions: 'ignored' })
  t.teardown(() => server.stop())
  const client = createClient(t, server)
  const bucket = await createBucket(client)
  await t.rejects(createS3Storage({ client, bucket }).open!(), { code: 'S3_UNSAFE_SERVER', message: /conditionalWrites: 'off'/ })

  const storage = createS3Storage({ client, bucket, conditionalWrites: 'off' })
  await storage.open!()
  const upload = makeUpload({ length: 6 })
  await storage.create(upload)
  await append(storage, upload.id, 0, 'abc')
  await append(storage, upload.id, 3, 'def')
  t.equal(String(await readAll(storage, upload.id)), 'abcdef')
})

t.test('the check at the start: servers that take ETags without quotes, that do not know conditions, that know no such bucket', async t => {
  const machines = await setUp(t)
  const answerTo = async (answer: (number: number) => number | null) => {
    const one = await machines.open()
    one.proxy.intercept = ({ operation }) => {
      const status = operation === 'PutObject' ? answer(one.proxy.count().PutObject!) : null
      return status === null ? null : { when: 'before', what: status }
    }
    return one.storage.open!()
  }
  await t.resolves(answerTo(() => null))
  await t.rejects(answerTo(number => number === 3 ? 501 : null), { code: 'S3_UNSAFE_SERVER', message: /does not know/ })
  await t.resolves(answerTo(number => number === 4 ? 412 : null), 'quoted: 412; then without quotes')
  await t.rejects(answerTo(number => number >= 4 ? 412 : null), { code: 'S3_UNSAFE_SERVER', message: /no If-Match/ })
  await t.rejects(answerTo(() => 403), { name: 'InternalError' })
})

t.test('the object has the key, the type, the metadata and the tags that the application wants', async t => {
  const machines = await setUp(t)
  const one = await machines.open({
    key: ({ metadata }) => `${machines.prefix}files/${metadata.filename}`,
    objectOptions: ({ metadata }) => ({ ContentType: 'text/x-test', Metadata: { owner: metadata.owner! }, Tagging: 'kind=upload', CacheControl: 'no-store' })
  })
  for (const [filename, size] of [['small +ü?#.txt', 10], ['large', 7 * MIB]] as const) {
    const upload = makeUpload({ length: size, metadata: { filename, owner: 'me' } })
    await one.storage.create(upload)
    await append(one.storage, upload.id, 0, CONTENT.subarray(0, size))
    const head = await machines.client.send(new HeadObjectCommand({ Bucket: machines.bucket, Key: `${machines.prefix}files/${filename}` }))
    t.match(head, { ContentLength: size, ContentType: 'text/x-test', CacheControl: 'no-store', Metadata: { owner: 'me' } })
    if (process.env.S3_ENDPOINT) {
      const { TagSet } = await machines.client.send(new GetObjectTaggingCommand({ Bucket: machines.bucket, Key: `${machines.prefix}files/${filename}` }))
      t.match(TagSet, [{ Key: 'kind', Value: 'upload' }])
    }
    t.ok((await readAll(one.storage, upload.id))?.equals(CONTENT.subarray(0, size)))
    const whole = makeUpload({ length: 6 * MIB + size, final: true, metadata: { filename: `whole-${size}`, owner: 'me' } })
    const other = makeUpload({ length: 6 * MIB, metadata: { filename: `other-${size}`, owner: 'me' } })
    await one.storage.create(other)
    await append(one.storage, other.id, 0, CONTENT.subarray(0, 6 * MIB))
    await one.storage.create(whole)
    t.equal(await one.storage.concatenate!(whole.id, [upload.id, other.id]), size + 6 * MIB, 'keys with other signs can be copied')
    await one.storage.remove(upload.id)
    await t.rejects(machines.client.send(new HeadObjectCommand({ Bucket: machines.bucket, Key: `${machines.prefix}files/${filename}` })), 'it goes with its upload')
  }
})

t.test('an object has the type of a download, and is an attachment with its name, unless the application says otherwise', async t => {
  const machines = await setUp(t)
  const look = async (metadata: Record<string, string>, objectOptions?: S3StorageOptions['objectOptions']) => {
    const one = await machines.open(objectOptions === undefined ? {} : { objectOptions })
    const upload = makeUpload({ length: 1, metadata })
    await one.storage.create(upload)
    await append(one.storage, upload.id, 0, 'x')
    const { ContentType, ContentDisposition } = await machines.client.send(new HeadObjectCommand({ Bucket: machines.bucket, Key: `${machines.prefix}${upload.id}` }))
    return [ContentType, ContentDisposition]
  }
  t.strictSame(await look({ filetype: 'image/png', filename: 'a.png' }), ['image/png', 'attachment; filename="a.png"'])
  t.strictSame(await look({ type: 'image/png', name: 'ä\r\n.png' }), ['image/png', 'attachment; filename="?__.png"; filename*=UTF-8\'\'%C3%A4__.png'])
  for (const filetype of ['text/html', 'image/svg+xml', 'no type\r\n', 'text/plain; x=y']) t.strictSame(await look({ filetype }), ['application/octet-stream', 'attachment'], filetype)
  t.strictSame(await look({ filetype: 'text/html', filename: 'a' }, { CacheControl: 'no-store' }), ['application/octet-stream', 'attachment; filename="a"'])
  t.strictSame(await look({ filetype: 'text/html', filename: 'a' }, ({ metadata }) => ({ ContentType: metadata.filetype, ContentDisposition: 'inline' })), ['text/html', 'inline'])
  t.equal((await look({ filename: 'a' }, { ContentDisposition: undefined }))[1], undefined)
})

t.test('an object of somebody else under the key is not overwritten', async t => {
  const machines = await setUp(t)
  const one = await machines.open({ key: () => `${machines.prefix}taken` })
  await machines.client.send(new PutObjectCommand({ Bucket: machines.bucket, Key: `${machines.prefix}taken`, Body: 'not ours' }))
  for (const length of [3, 7 * MIB]) {
    const upload = makeUpload({ length })
    await one.storage.create(upload)
    await t.rejects(append(one.storage, upload.id, 0, CONTENT.subarray(0, length)), { code: 'S3_KEY_TAKEN', statusCode: 409, key: `${machines.prefix}taken`, message: 'There is another object under the key of this upload' })
    await one.storage.remove(upload.id)
  }
  const { ContentLength } = await machines.client.send(new HeadObjectCommand({ Bucket: machines.bucket, Key: `${machines.prefix}taken` }))
  t.equal(ContentLength, 8)
})

t.test('a server that does not know the condition for a completion completes without', async t => {
  const machines = await setUp(t)
  const one = await machines.open()
  let refused = false
  one.proxy.intercept = ({ operation }) => {
    if (refused || operation !== 'CompleteMultipartUpload') return null
    refused = true
    return { when: 'before', what: 501 }
  }
  const upload = makeUpload({ length: 7 * MIB })
  await one.storage.create(upload)
  t.equal(await append(one.storage, upload.id, 0, CONTENT.subarray(0, 7 * MIB)), 7 * MIB)
  t.equal((await one.storage.find(upload.id))?.complete, true)
})

t.test('objects of the application that look like records, and the same id again, mislead nobody', async t => {
  const machines = await setUp(t)
  const [one, two] = [await machines.open(), await machines.open()]
  for (const [key, Body] of [['report.info', '{"version":"2"}'], ['other.info', 'not JSON']] as const) {
    await machines.client.send(new PutObjectCommand({ Bucket: machines.bucket, Key: `${machines.prefix}${key}`, Body }))
  }
  t.equal(await one.storage.find('report'), null)
  await t.rejects(one.storage.create(makeUpload({ id: 'report', length: 1 })), UploadExists)
  await one.storage.remove('report')
  const upload = makeUpload({ length: 3 })
  for (const [process, content] of [[one, 'abc'], [two, 'xyz']] as const) {
    await process.storage.create(upload)
    await append(process.storage, upload.id, 0, content)
    t.equal(String(await readAll(one.storage, upload.id)), content)
    if (process === one) await two.storage.remove(upload.id)
  }
  await one.storage.remove(upload.id)
  await one.storage.create(upload)
  await append(one.storage, upload.id, 0, '123')
  const stream = await two.storage.read!(upload.id, { start: 0, end: 2 })
  t.equal(await text(stream!), '123', 'what a process remembers is not read')
  const listed: string[] = []
  for await (const { id } of two.storage.list!()) listed.push(id)
  t.same(listed, [upload.id])
  t.equal(await two.storage.tidy!(new Date(Date.now() + 60_000)), 0)
})

t.test('a full server is StorageFull, and what was acknowledged stays', async t => {
  const machines = await setUp(t)
  const one = await machines.open()
  const upload = makeUpload({ length: 6 })
  await one.storage.create(upload)
  await append(one.storage, upload.id, 0, 'abc')
  one.proxy.intercept = ({ operation }) => operation === 'PutObject' ? { when: 'before', what: 507 } : null
  await t.rejects(append(one.storage, upload.id, 3, 'def'), StorageFull)
  one.proxy.intercept = () => null
  t.equal((await one.storage.find(upload.id))?.offset, 3)
  t.equal(await append(one.storage, upload.id, 3, 'def'), 6)
})

t.test('a note of another process between two commits costs no byte', async t => {
  const machines = await setUp(t)
  const [one, two] = [await machines.open(), await machines.open()]
  const upload = makeUpload({ length: 6 })
  await one.storage.create(upload)
  await append(one.storage, upload.id, 0, 'abc')
  await two.storage.update(upload.id, () => ({ serverMetadata: { seen: true } }))
  t.equal(await append(one.storage, upload.id, 3, 'def'), 6)
  t.match(await two.storage.find(upload.id), { offset: 6, complete: true, serverMetadata: { seen: true } })
})

t.test('an offset that was told to a client can be used: whatever another process had in hand comes to nothing', async t => {
  const machines = await setUp(t)
  const [one, two] = [await machines.open(), await machines.open()]
  const upload = makeUpload({ length: 6 })
  await one.storage.create(upload)
  await append(one.storage, upload.id, 0, 'abc')
  let end = () => {}
  const more = new Promise<void>(resolve => { end = resolve })
  const appending = one.storage.append(upload.id, { offset: 3, keep: 'prefix', body: makeBody(Buffer.from('XYZ'), { more }) })
  appending.catch(() => {})
  t.equal((await two.storage.find(upload.id, { settled: true }))?.offset, 3)
  end()
  await t.rejects(appending, { name: 'OffsetConflict', offset: 3 })
  t.equal(await append(two.storage, upload.id, 3, 'def'), 6)
  t.equal(String(await readAll(one.storage, upload.id)), 'abcdef')
})

t.test('a slow body is committed again and again, and progress is told', async t => {
  const machines = await setUp(t)
  const [one, two] = [await machines.open({ commitInterval: 1 }), await machines.open()]
  const upload = makeUpload({ length: 18 * MIB })
  await one.storage.create(upload)
  const told: number[] = []
  const seen: Array<number | undefined> = []
  const body = makeBody(CONTENT.subarray(0, 12 * MIB))
  const slow = { next: async () => { await sleep(5); seen.push((await two.storage.find(upload.id))?.offset); return body.next() } }
  await one.storage.append(upload.id, { offset: 0, keep: 'prefix', body: slow, onProgress: offset => told.push(offset), progressInterval: 1 })
  t.ok(new Set(seen).size > 5, `${seen}`)
  t.same(told, [...told].sort((a, b) => a - b))
  t.ok(told.length > 5)
  await append(one.storage, upload.id, 12 * MIB, CONTENT.subarray(0, 6 * MIB))
  t.ok((await readAll(two.storage, upload.id))?.equals(Buffer.concat([CONTENT.subarray(0, 12 * MIB), CONTENT.subarray(0, 6 * MIB)])))
})

t.test('progress is told as parts arrive', async t => {
  const machines = await setUp(t)
  const one = await machines.open()
  const upload = makeUpload({ length: 16 * MIB })
  await one.storage.create(upload)
  const told: number[] = []
  const body = makeBody(CONTENT)
  let [arrived, asked] = [0, 0]
  one.proxy.onAnswer = ({ operation }) => { if (operation === 'UploadPart') arrived++ }
  const next = async () => {
    if (++asked === 12) await until('a part has arrived', () => arrived > 0)
    await sleep(30)
    return body.next()
  }
  await one.storage.append(upload.id, {
    offset: 0,
    keep: 'prefix',
    body: { next },
    onProgress: offset => told.push(offset),
    progressInterval: 1
  })
  t.ok(told.some(offset => offset >= 5 * MIB && offset < 16 * MIB), `${told}`)
})

t.test('many pieces become one', async t => {
  const machines = await setUp(t)
  const [one, two] = [await machines.open(), await machines.open()]
  const upload = makeUpload({ length: 200 })
  await one.storage.create(upload)
  for (let at = 0; at < 199; at++) await append(at % 50 === 0 ? two.storage : one.storage, upload.id, at, CONTENT.subarray(at, at + 1)).catch(async () => append(one.storage, upload.id, at, CONTENT.subarray(at, at + 1)))
  await append(two.storage, upload.id, 199, CONTENT.subarray(199, 200))
  t.ok((await readAll(one.storage, upload.id))?.equals(CONTENT.subarray(0, 200)))
})

t.test('bytes of a body with a checksum that were put aside half an hour ago are stored anew before they count', async t => {
  const machines = await setUp(t)
  const one = await machines.open({ memoryBudget: 10 * MIB })
  const [upload, large] = [makeUpload({ length: 8 * MIB }), makeUpload({ length: 16 * MIB })]
  for (const created of [upload, large]) await one.storage.create(created)
  const end = createGate()
  const appending = one.storage.append(upload.id, { offset: 0, keep: 'all-or-nothing', body: makeBody(CONTENT.subarray(0, 4 * MIB), { more: end.passed }) })
  await sleep(1100)
  await append(one.storage, large.id, 0, CONTENT)
  const listPieces = () => one.proxy.calls.filter(({ operation, key }) => operation === 'PutObject' && key.endsWith('.pending')).map(({ key }) => key)
  t.equal(listPieces().length, 1, 'it lay idle when memory was needed')
  t.equal((await one.storage.find(upload.id))?.offset, 0)

  const { now } = Date
  t.teardown(() => { Date.now = now })
  // For one question, which comes before the next request: that must have the right time.
  Date.now = () => {
    Date.now = now
    return now() + 31 * 60_000
  }
  end.open()
  t.equal(await appending, 4 * MIB)
  t.equal(listPieces().length, 2)
  await one.storage.close!()
  await t.rejects(machines.client.send(new HeadObjectCommand({ Bucket: machines.bucket, Key: listPieces()[0] })), { name: 'NotFound' })
  t.equal(await append(one.storage, upload.id, 4 * MIB, CONTENT.subarray(4 * MIB, 8 * MIB)), 8 * MIB)
  t.ok((await readAll(one.storage, upload.id))?.equals(CONTENT.subarray(0, 8 * MIB)))
})

t.test('one of many processes gets a lease; it is renewed, runs out, is lost and released', async t => {
  const machines = await setUp(t)
  const all = await Promise.all(Array.from({ length: 5 }, () => machines.open()))
  const leases = await Promise.all(all.map(({ storage }) => storage.claim!('a', 60_000)))
  const lease = leases.find(lease => lease !== null)!
  t.equal(leases.filter(lease => lease !== null).length, 1)
  t.equal(await lease.renew(), true)
  t.equal(await all[0]!.storage.claim!('a', 60_000), null)
  await lease.release()
  const short = (await all[1]!.storage.claim!('a', 1))!
  await sleep(20)
  const next = (await all[2]!.storage.claim!('a', 60_000))!
  t.ok(next)
  t.equal(await short.renew(), false, 'it was taken over')
  await short.release()
  t.equal(await next.renew(), true)
  const [two] = all.slice(2)
  two!.proxy.intercept = ({ operation }) => operation === 'PutObject' ? { when: 'after', what: 'reset' } : null
  t.equal(await next.renew(), true, 'it was written, though the answer got lost')
  two!.proxy.intercept = ({ operation }) => operation === 'PutObject' ? { when: 'before', what: 500 } : null
  await t.rejects(next.renew(), StorageUnavailable)
})

t.test('what is left of a removal is cleared away, by tidy or by the next upload of that id', async t => {
  for (const by of ['tidy', 'create', 'remove'] as const) {
    const machines = await setUp(t)
    const [one, two] = [await machines.open(), await machines.open()]
    const upload = makeUpload({ length: 6, partial: true })
    await one.storage.create(upload)
    await append(one.storage, upload.id, 0, 'abc')
    await one.storage.addWaiting!(upload.id, 'final')
    one.proxy.intercept = ({ operation }) => operation.startsWith('Delete') ? { when: 'before', what: 'reset' } : null
    await t.rejects(one.storage.remove(upload.id))
    t.equal(await two.storage.find(upload.id), null)
    await t.rejects(append(two.storage, upload.id, 3, 'def'), UploadMissing)
    await t.rejects(two.storage.setLength(upload.id, 6), UploadMissing)
    t.equal(await two.storage.update(upload.id, () => ({ finished: true })), null)
    if (by === 'tidy') await two.storage.tidy!(new Date(Date.now() + 60_000))
    if (by === 'create') await two.storage.create(upload)
    if (by === 'remove') await two.storage.remove(upload.id)
    t.same(await two.storage.findWaiting!(upload.id), [])
    t.equal((await two.storage.find(upload.id))?.offset, by === 'create' ? 0 : undefined)
  }
})

t.test('a join copies what is large, and puts what is small together', async t => {
  const describe = (sizes: number[]) => planJoin(sizes, 5).map(section => section.kind === 'copy' ? `${section.source}:${section.start}-${section.end}` : section.ranges.map(({ source, start, end }) => `${source}:${start}-${end}`).join('+'))
  t.same(describe([20]), ['0:0-19'])
  t.same(describe([20, 3]), ['0:0-19', '1:0-2'])
  t.same(describe([3, 20]), ['0:0-2+1:0-1', '1:2-19'])
  t.same(describe([1, 1, 1, 1, 1, 1, 1]), ['0:0-0+1:0-0+2:0-0+3:0-0+4:0-0', '5:0-0+6:0-0'])
  t.same(describe([3, 4, 0, 9]), ['0:0-2+1:0-1', '1:2-3+3:0-2', '3:3-8'])
  t.same(describe([0, 5, 0]), ['1:0-4'])
  t.same(splitRange(10, 10 + 5 * 1024 ** 3 - 1).map(([start, end]) => end - start + 1), Array.from({ length: 5 }, () => 1024 ** 3))
})

t.test('part numbers are reserved sparingly', async t => {
  t.equal(chooseWindow(1, Infinity), 32)
  t.equal(chooseWindow(1, 3), 3)
  t.equal(chooseWindow(9_990, Infinity), 1)
})

t.test('memory: who holds most lets go first, and nobody waits for what nobody can free', async t => {
  const budget = new MemoryBudget(10)
  const reclaimed: string[] = []
  const hold = (name: string, size: number) => {
    budget.take(size)
    const holder = { reclaimable: size, touchedAt: 0, reclaim () { reclaimed.push(name); holder.reclaimable = 0; budget.give(size) } }
    budget.add(holder)
  }
  hold('small', 2)
  hold('large', 5)
  await budget.makeRoom()
  t.same(reclaimed, [])
  await budget.makeRoom(4)
  t.same(reclaimed, ['large'])
  budget.take(18)
  await budget.makeRoom()
  t.same(reclaimed, ['large', 'small'])
  budget.take(2)
  t.equal(budget.used, 20)
  let sent = () => {}
  const sending = budget.send(20, () => new Promise<void>(resolve => { sent = resolve }))
  const room = budget.makeRoom()
  sent()
  await Promise.all([sending, room])
  t.equal(budget.used, 0)
})
