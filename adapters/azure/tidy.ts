import { isConflict } from './failures.js'
import { listBlobs, type Listed } from './list.js'
import { remove } from './remove.js'
import type { Store } from './store.js'

/** Removes what crashes left: bytes without a record, a record or notes without bytes. Nothing is touched that is not provably of this storage. */
export async function tidy (store: Store, before: Date, onRemoved: (name: string) => void = () => {}): Promise<number> {
  let removed = 0
  for await (const page of listBlobs(store)) {
    for (const listed of page) {
      if (listed.item.properties.lastModified >= before || !canBeLeft(listed) || !await tidyBlob(store, listed)) continue
      removed++
      onRemoved(listed.item.name)
    }
  }
  return removed
}

/** Bytes without a record are those of a creation that did not come to its end: none. */
function canBeLeft ({ kind, data }: Listed): boolean {
  return kind === 'data' ? data!.size === 0 : data === null
}

async function tidyBlob (store: Store, { id, kind, item }: Listed): Promise<boolean> {
  if (await store.entries.load(id) !== null) return false
  if (kind === 'record') return remove(store, id)
  return store.blobs.delete(item.name, item.properties.etag).then(() => true, error => {
    if (isConflict(error)) return false
    throw error
  })
}
