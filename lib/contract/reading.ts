import assert from 'node:assert/strict'
import { randomBytes } from 'node:crypto'
import { LengthConflict, type Storage } from '../storage.js'
import type { Check, Reopen } from './check.js'
import { MIB, createFilled, createUpload, makeBody, mustFind, readAll, readBytes } from './uploads.js'

/** What can be read of an upload before it is complete: all of it, once all bytes are there. */
export function testReading (check: Check, reopen?: Reopen): void {
  for (const completes of ['by-mark', 'when-told'] as const) {
    for (const size of [0, 5, MIB + 1, 17 * MIB + 1]) {
      check(`read: gives the ${size} bytes of a full upload that completes ${completes}, and leaves it as incomplete as it was`, async storage => {
        if (!storage.read) return
        const bytes = randomBytes(size)
        const { id } = await createUpload(storage, { length: size, completes })
        if (size > 0) await fill(storage, id, bytes)
        await checkFull(storage, id, bytes)
        await useNext(storage, reopen, next => checkFull(next, id, bytes))
        await storage.update(id, () => ({ completes: 'by-mark', serverMetadata: { looked: true } }))
        await checkFull(storage, id, bytes)
        for (const time of ['once', 'twice']) {
          await storage.complete(id)
          await checkComplete(storage, id, bytes, time)
        }
        await useNext(storage, reopen, async next => {
          await checkComplete(next, id, bytes, 'in another process')
          assert.deepEqual((await mustFind(next, id)).serverMetadata, { looked: true })
        })
        await storage.remove(id)
        assert.equal(await storage.read(id, { start: 0, end: 0 }), null)
      })
    }
  }

  check('read: of a full upload, another process completes it after this one has read it, and the other way round', async storage => {
    if (!storage.read || !reopen) return
    const bytes = randomBytes(9 * MIB)
    const ids = await Promise.all([1, 2].map(async () => {
      const { id } = await createUpload(storage, { length: bytes.length, completes: 'by-mark' })
      await fill(storage, id, bytes)
      return id
    }))
    await checkFull(storage, ids[0]!, bytes)
    await useNext(storage, reopen, async next => {
      await next.complete(ids[0]!)
      await checkFull(next, ids[1]!, bytes)
    })
    await storage.complete(ids[1]!)
    for (const id of ids) await checkComplete(storage, id, bytes, id)
  })

  check('read: gives a final upload that is full and not complete', async storage => {
    if (!storage.read || !storage.concatenate) return
    for (const sizes of [[0, 0], [3, 4], [6 * MIB, 3, 6 * MIB]]) {
      const contents = sizes.map(size => randomBytes(size))
      const parts = await Promise.all(contents.map(content => createFilled(storage, content)))
      const bytes = Buffer.concat(contents)
      const { id } = await createUpload(storage, { length: bytes.length, final: true, parts, completes: 'by-mark' })
      await storage.concatenate(id, parts)
      await checkFull(storage, id, bytes)
      assert.equal(await storage.concatenate(id, parts), bytes.length)
      await useNext(storage, reopen, next => checkFull(next, id, bytes))
      await storage.complete(id)
      await checkComplete(storage, id, bytes, `parts of ${sizes}`)
    }
  })

  check('remove: takes a full upload that was read, and nothing is left of it', async storage => {
    if (!storage.read) return
    const bytes = randomBytes(9 * MIB)
    const { id } = await createUpload(storage, { length: bytes.length, completes: 'by-mark' })
    await fill(storage, id, bytes)
    await checkFull(storage, id, bytes)
    await storage.remove(id)
    assert.equal(await storage.find(id), null)
    assert.equal(await storage.read(id, { start: 0, end: 0 }), null)
    await createUpload(storage, { id, length: 3 })
    await fill(storage, id, Buffer.from('new'))
    assert.equal(await readAll(storage, id), 'new')
  })
}

async function fill (storage: Storage, id: string, bytes: Buffer): Promise<void> {
  const batches = Array.from({ length: Math.ceil(bytes.length / MIB) }, (_, index) => [bytes.subarray(index * MIB, (index + 1) * MIB)])
  assert.equal(await storage.append(id, { offset: 0, keep: 'prefix', body: makeBody(batches) }), bytes.length)
}

async function checkFull (storage: Storage, id: string, bytes: Buffer): Promise<void> {
  await checkBytes(storage, id, bytes)
  const { offset, complete, finished } = await mustFind(storage, id)
  assert.deepEqual([offset, complete, finished], [bytes.length, false, false])
  assert.equal(await storage.append(id, { offset, keep: 'prefix', body: makeBody([]) }), offset)
  await assert.rejects(storage.setLength(id, null), LengthConflict)
  assert.equal((await mustFind(storage, id)).complete, false)
}

async function checkComplete (storage: Storage, id: string, bytes: Buffer, when: string): Promise<void> {
  const { offset, complete } = await mustFind(storage, id)
  assert.deepEqual([offset, complete], [bytes.length, true], when)
  await checkBytes(storage, id, bytes)
}

async function checkBytes (storage: Storage, id: string, bytes: Buffer): Promise<void> {
  assert.ok((await readBytes(storage, id)).equals(bytes), 'byte for byte')
  const { length } = bytes
  if (length === 0) return
  for (const [start, end] of [[0, 0], [length - 1, length - 1], [length >> 1, (length >> 1) + 1]] as const) {
    assert.ok((await readBytes(storage, id, start, end)).equals(bytes.subarray(start, end + 1)), `from ${start} to ${end}`)
  }
}

/** As the next process would. */
async function useNext (storage: Storage, reopen: Reopen | undefined, work: (next: Storage) => Promise<void>): Promise<void> {
  const next = await reopen?.(storage)
  if (!next) return
  try {
    await work(next)
  } finally {
    await next.close?.()
  }
}
