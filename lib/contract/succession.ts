import assert from 'node:assert/strict'
import { OffsetConflict, UploadMissing } from '../storage.js'
import type { Check, Reopen } from './check.js'
import { append, createUpload, mustFind, plain, readAll } from './uploads.js'

/** What another process finds. */
export function testSuccession (check: Check, reopen: Reopen): void {
  check('the next process finds everything as it was, and goes on', async storage => {
    const { id } = await createUpload(storage, { length: 8, completes: 'by-mark', serverMetadata: { a: [1] } })
    await append(storage, id, 0, 'abcd')
    const before = await mustFind(storage, id)
    const next = await reopen(storage)
    await next.open?.()
    try {
      const { modifiedAt, ...after } = await mustFind(next, id)
      assert.deepEqual(plain({ ...after, modifiedAt: before.modifiedAt }), plain(before))
      await append(next, id, 4, 'efgh')
      await next.complete(id)
      assert.equal(await readAll(next, id), 'abcdefgh')
      assert.equal((await mustFind(storage, id)).complete, true)
    } finally {
      await next.close?.()
    }
  })

  check('two processes never append at the same place', async storage => {
    const { id } = await createUpload(storage, { length: 6 })
    const next = await reopen(storage)
    try {
      await append(storage, id, 0, 'abc')
      await assert.rejects(append(next, id, 0, 'xyz'), OffsetConflict)
      assert.equal(await append(next, id, 3, 'def'), 6)
      await assert.rejects(append(storage, id, 3, 'xyz'), OffsetConflict)
      assert.equal(await readAll(storage, id), 'abcdef')
      await next.remove(id)
      assert.equal(await storage.find(id), null)
      await assert.rejects(append(storage, id, 6), UploadMissing)
    } finally {
      await next.close?.()
    }
  })
}
