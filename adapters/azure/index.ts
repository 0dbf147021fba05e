import type { Storage } from '../../lib/storage.js'
import { MemoryBudget } from '../s3/budget.js'
import { append } from './append.js'
import { Blobs } from './blobs.js'
import { complete, setLength, update } from './change.js'
import { claim } from './claim.js'
import { concatenate } from './concatenate.js'
import { Entries } from './entries.js'
import { find } from './find.js'
import { list } from './list.js'
import { createNames } from './names.js'
import { resolveAzureOptions, type AzureStorageOptions } from './options.js'
import { read } from './read.js'
import { remove } from './remove.js'
import type { Store } from './store.js'
import { tidy } from './tidy.js'
import { addWaiting, findWaiting } from './waiting.js'

export type { AzureStorageOptions, BlobOptions } from './options.js'

/**
 * Keeps uploads in a container of Azure Blob Storage: `<id>` is the block blob that an upload grows into, `<id>.info` its record.
 *
 * Any process on any machine may answer any request on any upload. Writing the blob over the one that was read is the commit, and keeps writers
 * that were overtaken from doing harm; no lock server is needed.
 *
 * @throws TypeError (`TUS_ERR_OPTION_UNKNOWN`, `TUS_ERR_OPTION_INVALID`) for options that it can't work with
 */
export function createAzureStorage (options: AzureStorageOptions): Storage {
  const resolved = resolveAzureOptions(options)
  const blobs = new Blobs(resolved.container, resolved.requestTimeout)
  const names = createNames(resolved.prefix)
  const entries = new Entries(blobs, names, resolved.blobOptions)
  const store: Store = { blobs, names, options: resolved, entries, budget: new MemoryBudget(resolved.memoryBudget) }

  return {
    open: () => blobs.check(),
    create: upload => entries.create(upload),
    find: (id, hint) => find(store, id, hint),
    append: (id, addition) => append(store, id, addition),
    setLength: (id, length, createdAt) => setLength(store, id, length, createdAt),
    complete: (id, createdAt) => complete(store, id, createdAt),
    async remove (id, createdAt) {
      await remove(store, id, createdAt)
    },
    update: (id, change) => update(store, id, change),
    read: (id, range, createdAt) => read(store, id, range, createdAt),
    concatenate: (id, parts, created, signal) => concatenate(store, id, parts, created, signal),
    addWaiting: (partial, final) => addWaiting(store, partial, final),
    findWaiting: partial => findWaiting(store, partial),
    claim: (id, duration) => claim(store, id, duration),
    list: () => list(store),
    tidy: (before, onRemoved) => tidy(store, before, onRemoved),
    async close () {
      entries.close()
    }
  }
}
