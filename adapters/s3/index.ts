import type { Storage } from '../../lib/storage.js'
import { append } from './append.js'
import { Background } from './background.js'
import { S3Bucket } from './bucket.js'
import { MemoryBudget } from './budget.js'
import { complete, setLength, update } from './change.js'
import { claim } from './claim.js'
import { concatenate } from './concatenate.js'
import { create } from './create.js'
import { find } from './find.js'
import { createKeys } from './keys.js'
import { resolveS3Options, type S3StorageOptions } from './options.js'
import { list, read } from './read.js'
import { Records } from './records.js'
import { remove } from './remove.js'
import { checkServer } from './self-check.js'
import type { Store } from './store.js'
import { tidy } from './tidy.js'
import { addWaiting, findWaiting } from './waiting.js'

export { KeyTaken, UnsafeServer, UploadLost } from './failures.js'
export type { S3Message } from './channel.js'
export type { ObjectOptions, S3StorageOptions } from './options.js'

/**
 * Keeps uploads in a bucket of S3, or of a server that speaks S3: `<id>` is the object that an upload becomes, `<id>.info` its record,
 * `<id>.<name>.pending` are bytes that do not fill a part yet.
 *
 * Any process on any machine may answer any request on any upload. Writing the record over the one that was read is the commit, and keeps writers
 * that were overtaken from doing harm; no lock server is needed.
 *
 * @throws TypeError (`TUS_ERR_OPTION_UNKNOWN`, `TUS_ERR_OPTION_INVALID`) for options that it can't work with
 */
export function createS3Storage (options: S3StorageOptions): Storage {
  const resolved = resolveS3Options(options)
  const bucket = new S3Bucket(resolved.client, resolved.bucket, resolved.conditionalWrites)
  const keys = createKeys(resolved.prefix, resolved.key)
  const budget = new MemoryBudget(resolved.memoryBudget)
  const store: Store = { bucket, keys, options: resolved, budget, records: new Records(bucket, keys, budget), background: new Background() }

  return {
    async open () {
      if (resolved.conditionalWrites === 'on') await checkServer(bucket, keys)
    },
    create: upload => create(store, upload),
    find: (id, hint) => find(store, id, hint),
    append: (id, addition) => append(store, id, addition),
    setLength: (id, length, createdAt) => setLength(store, id, length, createdAt),
    complete: (id, createdAt) => complete(store, id, createdAt),
    remove: (id, createdAt) => remove(store, id, createdAt),
    update: (id, change) => update(store, id, change),
    read: (id, range, createdAt) => read(store, id, range, createdAt),
    concatenate: (id, parts, created, signal) => concatenate(store, id, parts, created, signal),
    addWaiting: (partial, final) => addWaiting(store, partial, final),
    findWaiting: partial => findWaiting(store, partial),
    claim: (id, duration) => claim(store, id, duration),
    list: () => list(store),
    tidy: (before, onRemoved) => tidy(store, before, onRemoved),
    async close () {
      await store.background.drain()
      store.records.close()
    }
  }
}
