import { ListMultipartUploadsCommand, ListObjectsV2Command } from '@aws-sdk/client-s3'
import assert from 'node:assert/strict'
import { buffer } from 'node:stream/consumers'
import t, { type Test } from 'tap'
import type { Storage } from '../../lib/storage.js'
import { createGate, makeBytes } from '../support/http-tus.js'
import type { Call, Fault } from '../support/s3/proxy.js'
import { append, MIB, readAll, setUp, type Machines, type Process } from '../support/s3/storages.js'
import { makeUpload } from '../support/uploads.js'

// Uploads that are full and not complete: read by a process that dies, and by two at once.

const CONTENT = makeBytes(12 * MIB)
const LATER = new Date(Date.now() + 3_600_000)

interface Made {
  readonly id: string
  readonly bytes: Buffer
}

/** Every way in which a full upload lies in a bucket. */
const KINDS: Readonly<Record<string, (storage: Storage) => Promise<Made>>> = {
  'of no bytes': storage => fill(storage, [0]),
  'in one piece': storage => fill(storage, [5]),
  'in several pieces': storage => fill(storage, [5, 3000, 1]),
  'in parts': storage => fill(storage, [6 * MIB]),
  'in parts and a piece': async storage => {
    // Its length was not known when the bytes came.
    const { id, bytes } = await fill(storage, [5 * MIB, 3], null)
    await storage.setLength(id, bytes.length)
    return { id, bytes }
  },
  'of small parts of others': storage => join(storage, [3, 5]),
  'of large parts of others': storage => join(storage, [6 * MIB, 6 * MIB])
}

async function fill (storage: Storage, sizes: readonly number[], length: number | null = sizes.reduce((sum, size) => sum + size)): Promise<Made> {
  const upload = makeUpload({ length, completes: 'by-mark' })
  await storage.create(upload)
  let offset = 0
  for (const size of sizes) offset = await append(storage, upload.id, offset, CONTENT.subarray(offset, offset + size))
  return { id: upload.id, bytes: CONTENT.subarray(0, offset) }
}

async function join (storage: Storage, sizes: readonly number[]): Promise<Made> {
  const parts = await Promise.all(sizes.map(async size => {
    const upload = makeUpload({ length: size, partial: true })
    await storage.create(upload)
    await append(storage, upload.id, 0, CONTENT.subarray(0, size))
    return upload.id
  }))
  const bytes = Buffer.concat(sizes.map(size => CONTENT.subarray(0, size)))
  const upload = makeUpload({ length: bytes.length, final: true, parts, completes: 'by-mark' })
  await storage.create(upload)
  await storage.concatenate!(upload.id, parts)
  for (const part of parts) await storage.remove(part)
  return { id: upload.id, bytes }
}

async function listKeys ({ client, bucket }: Machines): Promise<string[]> {
  const { Contents = [] } = await client.send(new ListObjectsV2Command({ Bucket: bucket }))
  const { Uploads = [] } = await client.send(new ListMultipartUploadsCommand({ Bucket: bucket }))
  return [...Contents, ...Uploads].map(({ Key }) => Key!)
}

/** What the next process finds is incomplete, or whole; it can be read, and completed, and nothing is left behind it. */
async function checkSuccessor (machines: Machines, { storage }: Process, { id, bytes }: Made, mayBeComplete: boolean): Promise<void> {
  const found = await storage.find(id)
  assert.equal(found?.offset, bytes.length)
  if (!mayBeComplete) assert.equal(found.complete, false)
  assert.ok((await readAll(storage, id))?.equals(bytes))
  assert.equal((await storage.find(id))?.complete, found.complete)
  await storage.complete(id)
  assert.equal((await storage.find(id))?.complete, true)
  assert.ok((await readAll(storage, id))?.equals(bytes))
  await storage.remove(id)
  // What a process had put elsewhere when it died.
  await storage.tidy!(LATER)
  await storage.close!()
  assert.deepEqual(await listKeys(machines), [])
}

for (const [kind, make] of Object.entries(KINDS)) {
  for (const work of ['read', 'complete', 'read and complete', 'remove what was read'] as const) {
    for (const when of ['before', 'after'] as const) {
      t.test(`${work}, an upload ${kind}: a process that dies ${when} any of its requests loses nothing, and completes nothing by reading`, async t => {
        const machines = await setUp(t)
        for (let k = 1, died = true; died; k++) {
          const [first, second] = [await machines.open(), await machines.open()]
          const made = await make(first.storage)
          died = await dieAt(first, k, when, () => perform(first.storage, made, work))
          await first.storage.close!().catch(() => {})
          if (work === 'remove what was read' && await second.storage.find(made.id) === null) {
            await second.storage.tidy!(LATER)
            await second.storage.close!()
            t.same(await listKeys(machines), [], `request ${k}`)
          } else {
            await checkSuccessor(machines, second, made, work === 'complete' || work === 'read and complete')
            t.pass(`request ${k}`)
          }
        }
      })
    }
  }
}

async function perform (storage: Storage, { id, bytes }: Made, work: string): Promise<void> {
  if (work !== 'complete') assert.ok((await readAll(storage, id))!.equals(bytes))
  if (work.includes('complete')) await storage.complete(id)
  if (work.includes('remove')) await storage.remove(id)
}

/** Whether there was a k-th request, from which on nothing that the process sends arrives. */
async function dieAt ({ proxy }: Process, k: number, when: Fault['when'], work: () => Promise<void>): Promise<boolean> {
  proxy.reset()
  let dead = false
  proxy.intercept = ({ number }): Fault | null => {
    if (dead) return { when: 'before', what: 'reset' }
    dead = number === k
    return dead ? { when, what: 'reset' } : null
  }
  await work().catch(error => { if (!dead) throw error })
  return dead
}

async function open (t: Test) {
  const machines = await setUp(t)
  const [slow, fast] = [await machines.open(), await machines.open()]
  return { machines, slow, fast }
}

/** Holds up the first request that is like this, until it is let go. */
function hold ({ proxy }: Process, matches: (call: Call) => boolean) {
  const [arrived, gate] = [createGate(), createGate()]
  let isHeld = false
  proxy.intercept = async call => {
    if (isHeld || !matches(call)) return null
    isHeld = true
    arrived.open()
    await gate.passed
    return null
  }
  return { arrived: arrived.passed, release: gate.open }
}

const isPiece = ({ operation, key }: Call) => operation === 'GetObject' && key.endsWith('.pending')
const isJoining = ({ operation }: Call) => operation === 'CompleteMultipartUpload'
const isCommit = ({ operation, key }: Call) => operation === 'PutObject' && key.endsWith('.info')

t.test('what fits into a part lies under no key of its own before it is complete; what does not lies there, and is incomplete', async t => {
  const { machines, slow, fast } = await open(t)
  for (const [kind, isThere] of [['in several pieces', false], ['in parts', true], ['of small parts of others', false], ['of large parts of others', true]] as const) {
    const { id, bytes } = await KINDS[kind]!(slow.storage)
    for (const { storage } of [slow, fast, slow]) {
      t.ok((await readAll(storage, id))!.equals(bytes))
      t.match(await storage.find(id), { complete: false, offset: bytes.length })
    }
    t.equal((await listKeys(machines)).includes(`${machines.prefix}${id}`), isThere, kind)
    await slow.storage.remove(id)
  }
})

for (const [kind, what, matches] of [
  ['in several pieces', 'a piece', isPiece], ['in parts', 'the joining of its parts', isJoining], ['in parts', 'the note of its object', isCommit],
  ['of large parts of others', 'the joining of its parts', isJoining]
] as const) {
  for (const meanwhile of ['reads', 'completes'] as const) {
    t.test(`an upload ${kind} that another process ${meanwhile} while this one waits for ${what} is read whole`, async t => {
      const { slow, fast } = await open(t)
      const { id, bytes } = await KINDS[kind]!(fast.storage)
      const held = hold(slow, matches)
      const reading = readAll(slow.storage, id)
      await held.arrived
      if (meanwhile === 'reads') t.ok((await readAll(fast.storage, id))!.equals(bytes))
      else await fast.storage.complete(id)
      // What the other one has put elsewhere, it deletes.
      await fast.storage.close!()
      held.release()
      t.ok((await reading)!.equals(bytes))
      const third = await slow.storage.find(id)
      t.equal(third?.complete, meanwhile === 'completes')
      await slow.storage.complete(id)
      t.ok((await readAll(slow.storage, id))!.equals(bytes))
    })
  }

  t.test(`an upload ${kind} that another process removes while this one waits for ${what} gives no other bytes, and leaves nothing`, async t => {
    const { machines, slow, fast } = await open(t)
    const { id } = await KINDS[kind]!(fast.storage)
    const held = hold(slow, matches)
    const reading = slow.storage.read!(id, { start: 0, end: 9 }).then(stream => stream && buffer(stream)).catch((error: Error) => error)
    await held.arrived
    await fast.storage.remove(id)
    await fast.storage.create(makeUpload({ id, length: 5, completes: 'by-mark' }))
    await append(fast.storage, id, 0, 'other')
    held.release()
    const result = await reading
    t.ok(result === null || result instanceof Error, String(result))
    t.equal(String(await readAll(fast.storage, id)), 'other')
    await fast.storage.complete(id)
    t.equal(String(await readAll(slow.storage, id)), 'other')
    await fast.storage.remove(id)
    await Promise.all([slow, fast].map(({ storage }) => storage.close!()))
    t.same(await listKeys(machines), [])
  })
}
