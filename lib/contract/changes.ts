import assert from 'node:assert/strict'
import { LengthConflict, UploadMissing } from '../storage.js'
import type { Check } from './check.js'
import { append, createUpload, makeId, mustFind, readAll } from './uploads.js'

/** The length, the completion, and what changes in a record. */
export function testChanges (check: Check): void {
  check('setLength: sets it and takes the same again', async storage => {
    const { id } = await createUpload(storage, { length: null })
    await append(storage, id, 0, 'abc')
    assert.equal((await mustFind(storage, id)).length, null)
    await storage.setLength(id, 5)
    await storage.setLength(id, 5)
    await assert.rejects(storage.setLength(id, 6), LengthConflict)
    const found = await mustFind(storage, id)
    assert.deepEqual([found.length, found.offset, found.complete], [5, 3, false])
    await append(storage, id, 3, 'de')
    assert.equal(await readAll(storage, id), 'abcde')
  })

  check('setLength: takes it back, as long as not all bytes are there', async storage => {
    const { id } = await createUpload(storage, { length: null })
    await append(storage, id, 0, 'abc')
    await storage.setLength(id, 5)
    await storage.setLength(id, null)
    assert.equal((await mustFind(storage, id)).length, null)
    await storage.setLength(id, 3)
    await assert.rejects(storage.setLength(id, null), LengthConflict)
    assert.equal((await mustFind(storage, id)).length, 3)
  })

  check('setLength: refuses less than what is there, and an upload that is not there', async storage => {
    const { id } = await createUpload(storage, { length: null })
    await append(storage, id, 0, 'abc')
    await assert.rejects(storage.setLength(id, 2), LengthConflict)
    assert.equal((await mustFind(storage, id)).length, null)
    await assert.rejects(storage.setLength(makeId(), 2), UploadMissing)
  })

  check('setLength: the length that has arrived already completes the upload', async storage => {
    const { id } = await createUpload(storage, { length: null })
    await append(storage, id, 0, 'abc')
    await storage.setLength(id, 3)
    assert.equal((await mustFind(storage, id)).complete, true)
  })

  check('complete: an upload that completes at its length needs no mark', async storage => {
    const { id } = await createUpload(storage, { length: 3 })
    await append(storage, id, 0, 'ab')
    assert.equal((await mustFind(storage, id)).complete, false)
    await append(storage, id, 2, 'c')
    assert.equal((await mustFind(storage, id)).complete, true)
    await storage.complete(id)
    assert.equal((await mustFind(storage, id)).complete, true)
    assert.equal(await readAll(storage, id), 'abc')
  })

  check('complete: an upload that completes by a mark waits for it', async storage => {
    const { id } = await createUpload(storage, { length: 3, completes: 'by-mark' })
    await append(storage, id, 0, 'abc')
    assert.equal((await mustFind(storage, id)).complete, false)
    await storage.complete(id)
    await storage.complete(id)
    assert.equal((await mustFind(storage, id)).complete, true)
    assert.equal(await readAll(storage, id), 'abc')
  })

  check('complete: an upload of which nobody has said that it is all waits for that', async storage => {
    for (const completes of ['at-length', 'by-mark'] as const) {
      const { id } = await createUpload(storage, { length: 3, completes: 'when-told' })
      await append(storage, id, 0, 'abc')
      assert.deepEqual((({ complete, offset }) => [complete, offset])(await mustFind(storage, id)), [false, 3])
      await storage.update(id, () => ({ completes }))
      await storage.complete(id)
      assert.equal((await mustFind(storage, id)).complete, true)
      assert.equal(await readAll(storage, id), 'abc')
    }
  })

  check('update: keeps what an upload is for', async storage => {
    const purpose = { target: 'POST /x []', digests: { sha256: null }, answer: null }
    const { id } = await createUpload(storage, { length: 3, purpose })
    assert.deepEqual((await mustFind(storage, id)).purpose, purpose)
    await append(storage, id, 0, 'abc')
    const answered = { ...purpose, digests: { sha256: 'eA==' }, answer: { status: 200, headers: { a: 'b' }, body: 'eA==' } }
    await storage.update(id, () => ({ purpose: answered }))
    assert.deepEqual((({ purpose, complete }) => [purpose, complete])(await mustFind(storage, id)), [answered, true])
  })

  check('complete: refuses an upload that is not there', async storage => {
    await assert.rejects(storage.complete(makeId()), UploadMissing)
  })

  check('complete: an upload of no bytes is complete, and reads as nothing', async storage => {
    const { id } = await createUpload(storage, { length: 0 })
    assert.equal((await mustFind(storage, id)).complete, true)
    await storage.complete(id)
    assert.equal(await readAll(storage, id), '')
  })

  check('update: changes what it is told, and shows the upload as it is', async storage => {
    const { id } = await createUpload(storage, { length: 3 })
    await append(storage, id, 0, 'ab')
    const updated = await storage.update(id, ({ offset }) => ({ serverMetadata: { seen: offset }, completes: 'by-mark' }))
    assert.deepEqual([updated?.serverMetadata, updated?.offset], [{ seen: 2 }, 2])
    await append(storage, id, 2, 'c')
    const found = await mustFind(storage, id)
    assert.deepEqual([found.serverMetadata, found.complete, found.offset], [{ seen: 2 }, false, 3])
  })

  check('update: marks what is finished and what is processed, each by itself', async storage => {
    const { id } = await createUpload(storage, { length: 3, completes: 'by-mark' })
    await append(storage, id, 0, 'abc')
    await storage.complete(id)
    const look = async () => {
      const { finished, processed, complete, offset } = await mustFind(storage, id)
      return { finished, processed, complete, offset }
    }
    assert.deepEqual(await look(), { finished: false, processed: false, complete: true, offset: 3 })
    assert.equal((await storage.update(id, () => ({ finished: true })))?.finished, true)
    assert.deepEqual(await look(), { finished: true, processed: false, complete: true, offset: 3 })
    await storage.update(id, () => ({ processed: true }))
    assert.deepEqual(await look(), { finished: true, processed: true, complete: true, offset: 3 })
    assert.equal(await readAll(storage, id), 'abc')
  })

  check('update: leaves an upload alone where there is nothing to change', async storage => {
    const { id } = await createUpload(storage, { length: 3, serverMetadata: { a: 1 } })
    assert.deepEqual((await storage.update(id, () => null))?.serverMetadata, { a: 1 })
    assert.equal(await storage.update(makeId(), () => ({ expiresAt: null })), null)
  })
}
