import { mkdtemp } from 'node:fs/promises'
import { join } from 'node:path'
import t from 'tap'
import { createFsStorage } from '../../adapters/fs/index.js'
import { createMemoryStorage } from '../../adapters/memory/index.js'
import { runLockerContract, runStorageContract, type RegisterTest } from '../../lib/contract.js'
import { createMemoryLocker } from '../../lib/locker.js'
import type { Storage } from '../../lib/storage.js'
import { makeDirectory } from '../support/app.js'
import { withoutSqlite } from '../support/sqlite.js'

t.test('memory storage', async t => {
  runStorageContract({ test: (name, run) => t.test(name, run), createStorage: createMemoryStorage })
})

for (const options of [
  { durability: 'fsync' },
  { durability: 'none' },
  { durability: 'fsync', metadataCalls: 'async' },
  { durability: 'fsync', index: true },
  { durability: 'none', metadataCalls: 'async', index: true },
  { durability: 'fsync', journal: true }
] as const) {
  const skip = ('index' in options && withoutSqlite) || ('journal' in options && process.platform !== 'linux' && 'the journal is for Linux')
  t.test(`filesystem storage, ${JSON.stringify(options)}`, { skip }, async t => {
    const root = await makeDirectory(t)
    const directories = new WeakMap<Storage, string>()
    const open = (directory: string) => {
      const storage = createFsStorage({ directory, ...options })
      directories.set(storage, directory)
      return storage
    }
    runStorageContract({
      test: (name, run) => t.test(name, run),
      createStorage: async () => open(await mkdtemp(join(root, 'storage-'))),
      reopen: storage => open(directories.get(storage)!)
    })
  })
}

t.test('memory locker', async t => {
  const test: RegisterTest = (name, run) => t.test(name, run)
  runLockerContract({ test, createLocker: createMemoryLocker })
})
