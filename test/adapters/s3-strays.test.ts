import assert from 'node:assert/strict'
import t from 'tap'
import { createGate, makeBytes, until } from '../support/http-tus.js'
import { append, makeBody, MIB, readAll, setUp, type Machines, type Process } from '../support/s3/storages.js'
import { makeUpload } from '../support/uploads.js'

// Parts that no record names: they are never taken for others, and never sent over.

const CONTENT = makeBytes(24 * MIB)
const OTHER = Buffer.from(CONTENT).reverse()

async function createUpload ({ storage }: Process, length: number): Promise<string> {
  const upload = makeUpload({ length })
  await storage.create(upload)
  return upload.id
}

/** A writer whose parts are held up, as far as `isHeld` says; its body stays open until it is let go. */
async function startWriter (machines: Machines, id: string, bytes: Buffer, isHeld: (index: number) => boolean) {
  const process = await machines.open()
  const [released, end] = [createGate(), createGate()]
  let sent = 0
  let arrived = 0
  process.proxy.intercept = async ({ operation }) => {
    if (operation === 'UploadPart' && isHeld(++sent)) await released.passed
    return null
  }
  process.proxy.onAnswer = ({ operation }) => { if (operation === 'UploadPart') arrived++ }
  const appending = process.storage.append(id, { offset: 0, keep: 'prefix', body: makeBody(bytes, { more: end.passed }) })
  appending.catch(() => {})
  return {
    untilSent: (sentParts: number, arrivedParts: number) => until(`${arrivedParts} of ${sentParts} parts have arrived`, () => sent === sentParts && arrived === arrivedParts),
    async finish () {
      released.open()
      end.open()
      await assert.rejects(appending, { name: 'OffsetConflict' })
    }
  }
}

for (const flavour of ['aws', 'ceph'] as const) {
  t.test(`a part that does not count is not taken for one that was to come in its place (${flavour})`, async t => {
    const machines = await setUp(t, flavour)
    const [two, three] = [await machines.open(), await machines.open()]
    const id = await createUpload(two, 24 * MIB)
    const one = await startWriter(machines, id, CONTENT.subarray(0, 10 * MIB), index => index === 1)
    await one.untilSent(2, 1)
    t.equal((await three.storage.find(id, { settled: true }))?.offset, 0, 'the first part is missing')

    const second = await startWriter(machines, id, OTHER.subarray(0, 6 * MIB), () => true)
    await second.untilSent(1, 0)
    t.equal((await two.storage.find(id, { settled: true }))?.offset, 0, 'nothing of the second writer has arrived')
    t.equal(await append(two.storage, id, 0, OTHER.subarray(0, 12 * MIB)), 12 * MIB)
    await one.finish()
    await second.finish()
    t.equal(await append(three.storage, id, 12 * MIB, OTHER.subarray(12 * MIB)), 24 * MIB)
    t.ok((await readAll(two.storage, id))?.equals(OTHER), 'byte for byte')
  })
}

t.test('no number is sent twice, whatever became of the part', async t => {
  const machines = await setUp(t, 'ceph')
  const one = await machines.open()
  const id = await createUpload(one, 24 * MIB)
  const body = makeBody(CONTENT.subarray(0, 12 * MIB), { failure: new Error('wrong sum') })
  await t.rejects(one.storage.append(id, { offset: 0, keep: 'all-or-nothing', body }), { message: 'wrong sum' })
  let parts = 0
  one.proxy.intercept = ({ operation }) => operation === 'UploadPart' && ++parts === 2 ? { when: 'before', what: 500 } : null
  await t.rejects(append(one.storage, id, 0, CONTENT))
  const { offset } = (await one.storage.find(id))!
  t.equal(offset, 5 * MIB)
  t.equal(await append(one.storage, id, offset, CONTENT.subarray(offset)), 24 * MIB)
  const numbers = one.proxy.calls.flatMap(({ operation, part }) => operation === 'UploadPart' ? [part] : [])
  t.equal(new Set(numbers).size, numbers.length, numbers.join(' '))
  t.ok((await readAll(one.storage, id))?.equals(CONTENT), 'byte for byte')
})

t.test('a first part that was sent twice does no harm where numbers are missing behind it', async t => {
  const machines = await setUp(t, 'ceph')
  const one = await machines.open({}, { maxAttempts: 3 })
  const id = await createUpload(one, 24 * MIB)
  let lost = 0
  one.proxy.intercept = ({ operation }) => operation === 'UploadPart' && lost++ === 0 ? { when: 'after', what: 'reset' } : null
  t.equal(await append(one.storage, id, 0, CONTENT.subarray(0, 10 * MIB)), 10 * MIB)
  t.equal(one.proxy.calls.filter(({ part }) => part === '1').length, 2, 'the SDK has sent the first part twice')

  const two = await machines.open()
  two.proxy.intercept = ({ operation }) => operation === 'UploadPart' ? { when: 'before', what: 500 } : null
  await t.rejects(append(two.storage, id, 10 * MIB, CONTENT.subarray(10 * MIB, 15 * MIB)))
  two.proxy.intercept = () => null
  t.equal(await append(two.storage, id, 10 * MIB, CONTENT.subarray(10 * MIB)), 24 * MIB)
  t.ok((await readAll(two.storage, id))?.equals(CONTENT), 'byte for byte')
})

for (const code of ['InvalidPart', 'NoSuchUpload']) {
  t.test(`an upload that another process completes at the same moment is not lost: S3 says ${code}`, async t => {
    const machines = await setUp(t)
    const [one, two] = [await machines.open(), await machines.open()]
    const upload = makeUpload({ length: 12 * MIB, completes: 'by-mark' })
    await one.storage.create(upload)
    await append(one.storage, upload.id, 0, CONTENT.subarray(0, 12 * MIB))
    let other: Promise<void> | null = null
    two.proxy.intercept = async ({ operation }) => {
      if (operation !== 'CompleteMultipartUpload' || other !== null) return null
      other = one.storage.complete(upload.id)
      await until('the other one has put it together', () => one.proxy.count().CompleteMultipartUpload === 1)
      await other.catch(() => {})
      return { when: 'before', what: code === 'InvalidPart' ? 400 : 404, code }
    }
    await two.storage.complete(upload.id)
    t.equal((await two.storage.find(upload.id))?.complete, true)
    t.ok((await readAll(two.storage, upload.id))?.equals(CONTENT.subarray(0, 12 * MIB)), 'byte for byte')
  })
}

t.test('a stray that arrives while others are being cut out is cut out, too', async t => {
  const machines = await setUp(t, 'ceph')
  const two = await machines.open()
  const id = await createUpload(two, 24 * MIB)
  const first = await startWriter(machines, id, CONTENT.subarray(0, 10 * MIB), () => true)
  await first.untilSent(2, 0)
  t.equal((await two.storage.find(id, { settled: true }))?.offset, 0)
  const second = await startWriter(machines, id, CONTENT.subarray(0, 10 * MIB), () => true)
  await second.untilSent(2, 0)
  t.equal((await two.storage.find(id, { settled: true }))?.offset, 0)
  t.equal(await append(two.storage, id, 0, CONTENT.subarray(0, 12 * MIB)), 12 * MIB)
  await first.finish()
  let completions = 0
  two.proxy.intercept = async ({ operation }) => {
    if (operation === 'CompleteMultipartUpload' && ++completions === 2) await second.finish()
    return null
  }
  t.equal(await append(two.storage, id, 12 * MIB, CONTENT.subarray(12 * MIB)), 24 * MIB)
  t.ok(completions >= 4, `${completions} completions`)
  t.ok((await readAll(two.storage, id))?.equals(CONTENT), 'byte for byte')
})
