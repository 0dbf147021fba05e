import assert from 'node:assert/strict'
import { createHash, randomBytes } from 'node:crypto'
import { UploadMissing } from '../storage.js'
import type { Check, Reopen } from './check.js'
import { MIB, append, createFilled, createUpload, hashOf, makeId, mustFind, pause, readAll } from './uploads.js'

/** Uploads made of others. */
export function testConcatenation (check: Check, reopen?: Reopen): void {
  check('concatenate: joins parts in their order, one several times, others empty', async storage => {
    if (!storage.concatenate) return
    const texts = ['Hello ', '', 'wor', 'ld']
    const parts = await Promise.all(texts.map(text => createFilled(storage, text)))
    const list = [3, 0, 1, 2, 3, 1, 3].map(index => parts[index]!)
    const whole = [3, 0, 1, 2, 3, 1, 3].map(index => texts[index]!).join('')
    const { id } = await createUpload(storage, { length: whole.length, final: true, parts: list })
    assert.equal(await storage.concatenate(id, list), whole.length)
    const found = await mustFind(storage, id)
    assert.deepEqual([found.offset, found.complete, found.parts], [whole.length, true, list])
    assert.equal(await readAll(storage, id), whole)
    for (const [index, part] of parts.entries()) assert.equal(await readAll(storage, part), texts[index], 'a part stays as it is')
  })

  check('concatenate: is safe to call again, and an upload that completes by a mark waits for it', async storage => {
    if (!storage.concatenate) return
    const parts = [await createFilled(storage, 'abc'), await createFilled(storage, 'def')]
    const { id } = await createUpload(storage, { length: 6, final: true, parts, completes: 'by-mark' })
    await storage.concatenate(id, parts)
    assert.equal(await storage.concatenate(id, parts), 6)
    const found = await mustFind(storage, id)
    assert.deepEqual([found.offset, found.complete], [6, false])
    await storage.complete(id)
    assert.equal((await mustFind(storage, id)).complete, true)
    assert.equal(await readAll(storage, id), 'abcdef')
  })

  check('concatenate: parts of many bytes, and 1200 of few', async storage => {
    if (!storage.concatenate) return
    const large = randomBytes(3 * MIB + 1)
    const few = await Promise.all(Array.from({ length: 1200 }, (_, index) => createFilled(storage, String(index % 10))))
    const parts = [await createFilled(storage, large), ...few, await createFilled(storage, large)]
    const { id } = await createUpload(storage, { length: 2 * large.length + 1200, final: true, parts })
    const next = await reopen?.(storage) ?? storage
    assert.equal(await next.concatenate!(id, parts), 2 * large.length + 1200)
    if (next !== storage) await next.close?.()
    const digits = Array.from({ length: 1200 }, (_, index) => index % 10).join('')
    assert.equal(await hashOf(storage, id), createHash('sha256').update(large).update(digits).update(large).digest('hex'))
  })

  check('concatenate: throws if a part or the upload is not there, and leaves the upload empty', async storage => {
    if (!storage.concatenate) return
    const part = await createFilled(storage, 'abc')
    const { id } = await createUpload(storage, { length: 6, final: true, parts: [part] })
    await assert.rejects(storage.concatenate(id, [part, makeId()]), UploadMissing)
    await assert.rejects(storage.concatenate(makeId(), [part]), UploadMissing)
    assert.equal((await mustFind(storage, id)).offset, 0)
    assert.equal(await readAll(storage, part), 'abc')
  })

  check('concatenate: a part that is removed meanwhile leaves a whole upload or an empty one', async storage => {
    if (!storage.concatenate) return
    const bytes = randomBytes(MIB)
    for (let count = 0; count < 8; count++) {
      const parts = await Promise.all([1, 2, 3, 4].map(() => createFilled(storage, bytes)))
      const { id } = await createUpload(storage, { length: 4 * MIB, final: true, parts })
      const concatenating: Promise<number> = storage.concatenate(id, parts)
      const [concatenated] = await Promise.allSettled([concatenating, pause(count).then(() => storage.remove(parts[3]!))])
      const { offset } = await mustFind(storage, id)
      if (concatenated.status === 'rejected') assert.ok(concatenated.reason instanceof UploadMissing, String(concatenated.reason))
      assert.equal(offset, concatenated.status === 'fulfilled' ? 4 * MIB : 0)
    }
  })

  check('concatenate: ends when its signal aborts, leaves a whole upload or an empty one, and can be called again', async storage => {
    if (!storage.concatenate) return
    const bytes = randomBytes(2 * MIB)
    const parts = await Promise.all([1, 2, 3, 4].map(() => createFilled(storage, bytes)))
    const reason = new Error('enough')
    for (let count = -1; count < 6; count++) {
      const { id } = await createUpload(storage, { length: 8 * MIB, final: true, parts })
      const end = new AbortController()
      if (count < 0) end.abort(reason)
      const concatenating: Promise<number> = storage.concatenate(id, parts, undefined, end.signal)
      const [concatenated] = await Promise.allSettled([concatenating, pause(4 * count).then(() => end.abort(reason))])
      if (concatenated.status === 'rejected') assert.equal(concatenated.reason, reason)
      else assert.ok(count >= 0, 'nothing is begun')
      assert.equal((await mustFind(storage, id)).offset, concatenated.status === 'fulfilled' ? 8 * MIB : 0)
      assert.equal(await storage.concatenate(id, parts), 8 * MIB)
      assert.equal(await hashOf(storage, id), createHash('sha256').update(bytes).update(bytes).update(bytes).update(bytes).digest('hex'))
      await storage.remove(id)
    }
  })

  check('concatenate: an upload that becomes complete by its length is changed meanwhile, and completed', async storage => {
    if (!storage.concatenate) return
    for (const size of [3, 6 * MIB]) {
      const bytes = randomBytes(size)
      const parts = [await createFilled(storage, bytes), await createFilled(storage, bytes)]
      const { id } = await createUpload(storage, { length: 2 * size, final: true, parts, completes: 'when-told' })
      const concatenating: Promise<number> = storage.concatenate(id, parts)
      const [offset] = await Promise.all([concatenating, storage.update(id, () => ({ completes: 'at-length' }))])
      assert.equal(offset, 2 * size)
      await storage.complete(id)
      const found = await mustFind(storage, id)
      assert.deepEqual([found.offset, found.complete, found.completes], [2 * size, true, 'at-length'])
      assert.equal(await hashOf(storage, id), createHash('sha256').update(bytes).update(bytes).digest('hex'))
    }
  })

  check('addWaiting: findWaiting tells every final upload until the partial one is removed', async storage => {
    if (!storage.addWaiting || !storage.findWaiting) return
    const { id } = await createUpload(storage, { length: 1, partial: true })
    assert.deepEqual(await storage.findWaiting(id), [])
    const finals = [makeId(), makeId()].sort()
    for (const final of [...finals, ...finals]) await storage.addWaiting(id, final)
    assert.deepEqual([...await storage.findWaiting(id)].sort(), finals)
    const next = await reopen?.(storage)
    if (next) assert.deepEqual([...await next.findWaiting!(id)].sort(), finals)
    await next?.close?.()
    await append(storage, id, 0, 'x')
    assert.deepEqual([...await storage.findWaiting(id)].sort(), finals)
    await storage.remove(id)
    assert.deepEqual(await storage.findWaiting(id), [])
    assert.deepEqual(await storage.findWaiting(makeId()), [])
  })
}
