import assert from 'node:assert/strict'
import type { Check } from './check.js'
import { append, createFilled, createUpload, mustFind, readAll } from './uploads.js'

/** What goes through all uploads. */
export function testListing (check: Check): void {
  check('tidy: takes nothing that belongs to an upload, however old', async storage => {
    if (!storage.tidy) return
    const parts = [await createFilled(storage, 'abc'), await createFilled(storage, 'def')]
    const { id } = await createUpload(storage, { length: 6, final: true, parts })
    const { id: waiting } = await createUpload(storage, { length: 3, partial: true })
    await append(storage, waiting, 0, 'ab')
    await storage.addWaiting?.(waiting, id)
    await storage.concatenate?.(id, parts)
    await storage.tidy(new Date(Date.now() + 60_000))
    if (storage.concatenate) assert.equal(await readAll(storage, id), 'abcdef')
    assert.equal(await readAll(storage, parts[0]!), 'abc')
    assert.equal((await mustFind(storage, waiting)).offset, 2)
    if (storage.addWaiting) assert.deepEqual(await storage.findWaiting?.(waiting), [id])
    assert.equal(await append(storage, waiting, 2, 'c'), 3)
  })

  check('list: bears that uploads are removed and created meanwhile', async storage => {
    if (!storage.list) return
    const stays = await createFilled(storage, 'stays')
    const ids = await Promise.all(Array.from({ length: 60 }, () => createFilled(storage, 'goes')))
    const listed: string[] = []
    for await (const { id } of storage.list()) {
      listed.push(id)
      await Promise.all(ids.splice(0, 7).map(id => storage.remove(id)))
      if (listed.length < 5) await createFilled(storage, 'new')
    }
    assert.equal(listed.filter(id => id === stays).length, 1)
    assert.equal(new Set(listed).size, listed.length)
  })

  check('list: tells of every upload', async storage => {
    if (!storage.list) return
    const ids = (await Promise.all(Array.from({ length: 20 }, () => createUpload(storage, { length: 1 })))).map(({ id }) => id)
    await append(storage, ids[0]!, 0, 'x')
    const listed = new Map<string, boolean>()
    for await (const { id, complete } of storage.list()) listed.set(id, complete)
    assert.deepEqual([...listed.keys()].sort(), ids.sort())
    assert.equal([...listed.values()].filter(Boolean).length, 1)
  })
}
