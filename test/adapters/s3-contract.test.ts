import t from 'tap'
import { createS3Storage } from '../../adapters/s3/index.js'
import { runStorageContract } from '../../lib/contract.js'
import type { Storage } from '../../lib/storage.js'
import { createBucket, createClient, getServer } from '../support/s3/bucket.js'

t.test('S3 storage', async t => {
  const client = createClient(t, await getServer(t))
  const bucket = await createBucket(client)
  const prefixes = new WeakMap<Storage, string>()
  let count = 0
  const open = (prefix: string) => {
    const storage = createS3Storage({ client, bucket, prefix })
    prefixes.set(storage, prefix)
    return storage
  }
  runStorageContract({
    test: (name, run) => t.test(name, run),
    createStorage: () => open(`${count++}/`),
    reopen: storage => open(prefixes.get(storage)!)
  })
})
