import assert from 'node:assert/strict'
import { UploadExists } from '../storage.js'
import type { Check } from './check.js'
import { append, createUpload, makeId, makeUpload, mustFind, plain, readAll } from './uploads.js'

/** An upload from its creation to its removal, and what can be read of it. */
export function testCreation (check: Check): void {
  check('create: find returns what was created, empty and incomplete', async storage => {
    const upload = makeUpload({
      length: Number.MAX_SAFE_INTEGER,
      metadata: JSON.parse('{"filename":"füße.txt","__proto__":"a key like any other","empty":""}'),
      serverMetadata: { owner: 7, tags: ['a', null], nested: { ok: true } },
      echo: { 'upload-metadata': 'filename ZsO8w59lLnR4dA==' },
      partial: true,
      expiresAt: new Date(Date.now() + 1000),
      scope: '/t/f%C3%BC%C3%9Fe/files'
    })
    await storage.create(upload)
    const { modifiedAt, ...found } = await mustFind(storage, upload.id)
    assert.deepEqual(plain(found), plain({ ...upload, offset: 0, complete: false, finished: false, processed: false }))
    assert.ok(modifiedAt instanceof Date)
  })

  check('create: refuses an id that exists, and leaves that upload as it is', async storage => {
    const upload = await createUpload(storage, { length: 10 })
    await append(storage, upload.id, 0, 'abc')
    await assert.rejects(storage.create(makeUpload({ id: upload.id, length: 99 })), UploadExists)
    const found = await mustFind(storage, upload.id)
    assert.deepEqual([found.length, found.offset], [10, 3])
  })

  check('create: lets exactly one of many win the same id', async storage => {
    const upload = makeUpload({ length: 1 })
    const outcomes = await Promise.allSettled(Array.from({ length: 8 }, () => storage.create(upload)))
    assert.equal(outcomes.filter(({ status }) => status === 'fulfilled').length, 1)
    assert.equal((await mustFind(storage, upload.id)).offset, 0)
  })

  check('find: knows nothing of an id that was never created', async storage => {
    assert.equal(await storage.find(makeId()), null)
  })

  check('remove: nothing is left, and the id is free again', async storage => {
    const { id } = await createUpload(storage, { length: 3 })
    await append(storage, id, 0, 'abc')
    await storage.remove(id)
    await storage.remove(id)
    assert.equal(await storage.find(id), null)
    assert.equal(await storage.read?.(id, { start: 0, end: 2 }) ?? null, null)
    await storage.create(makeUpload({ id, length: 2 }))
    assert.equal((await mustFind(storage, id)).offset, 0)
    await append(storage, id, 0, 'xy')
    assert.equal(await readAll(storage, id), 'xy')
  })

  check('remove: an upload that never was is no error', async storage => {
    await storage.remove(makeId())
  })

  check('read: gives any range, and nothing for what is not there', async storage => {
    const { id } = await createUpload(storage, { length: 10 })
    await append(storage, id, 0, '0123456789')
    if (!storage.read) return
    for (const [start, end] of [[0, 9], [0, 0], [9, 9], [3, 6]] as const) {
      assert.equal(await readAll(storage, id, start, end), '0123456789'.slice(start, end + 1))
    }
    assert.equal(await storage.read(makeId(), { start: 0, end: 0 }), null)
  })
}
