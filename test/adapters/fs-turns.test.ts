import { setImmediate as nextTurn } from 'node:timers/promises'
import t, { type Test } from 'tap'
import { createFsStorage } from '../../adapters/fs/index.js'
import { OffsetConflict, UploadMissing, type Storage } from '../../lib/storage.js'
import { makeDirectory } from '../support/app.js'
import { makeUpload } from '../support/uploads.js'

// What the holder of a lock has found need not be looked at again, but only as long as nobody can have changed it.

function append (storage: Storage, offset: number, text: string): Promise<number> {
  const rest = [[Buffer.from(text)]]
  return storage.append('a', { offset, keep: 'prefix', body: { next: async () => rest.shift() ?? null } })
}

async function makeTwo (t: Test): Promise<[Storage, Storage]> {
  const directory = await makeDirectory(t)
  const storages: [Storage, Storage] = [createFsStorage({ directory }), createFsStorage({ directory })]
  for (const storage of storages) {
    await storage.open?.()
    t.teardown(() => storage.close?.())
  }
  await storages[0].create(makeUpload({ id: 'a', length: 10 }))
  return storages
}

t.test('an append in a later turn than the creation sees what another process has added', async t => {
  const [one, other] = await makeTwo(t)
  await nextTurn()
  t.equal(await append(other, 0, 'abc'), 3)
  await t.rejects(append(one, 0, 'xyz'), new OffsetConflict(3))
  t.equal(await append(one, 3, 'def'), 6)
})

t.test('an append in a later turn than the look sees what another process has added, and removed', async t => {
  const [one, other] = await makeTwo(t)
  t.equal((await one.find('a', { appendAt: 0 }))?.offset, 0)
  await nextTurn()
  t.equal(await append(other, 0, 'abc'), 3)
  await t.rejects(append(one, 0, 'xyz'), new OffsetConflict(3))
  t.equal((await one.find('a', { appendAt: 3 }))?.offset, 3)
  await nextTurn()
  await other.remove('a')
  await t.rejects(append(one, 3, 'def'), UploadMissing)
})

t.test('a look counts for one append', async t => {
  const [one, other] = await makeTwo(t)
  t.equal((await one.find('a', { appendAt: 0 }))?.offset, 0)
  t.equal(await append(one, 0, 'abc'), 3)
  t.equal(await append(other, 3, 'def'), 6)
  await t.rejects(append(one, 3, 'xyz'), new OffsetConflict(6))
})
