import t from 'tap'
import { createAzureStorage } from '../../adapters/azure/index.js'
import { runStorageContract } from '../../lib/contract.js'
import type { Storage } from '../../lib/storage.js'
import { createContainer, getAccount, skip } from '../support/azure/azurite.js'

t.test('Azure storage', { skip }, async t => {
  const container = await createContainer(await getAccount(t))
  const prefixes = new WeakMap<Storage, string>()
  let count = 0
  const open = (prefix: string) => {
    const storage = createAzureStorage({ container, prefix, blockSize: 1024 ** 2 })
    prefixes.set(storage, prefix)
    return storage
  }
  runStorageContract({
    test: (name, run) => t.test(name, run),
    createStorage: () => open(`${count++}/`),
    reopen: storage => open(prefixes.get(storage)!)
  })
})
