import { parseKey } from './keys.js'
import { remove } from './remove.js'
import { MARK, type Store } from './store.js'

/**
 * Removes what crashes left: pieces that no record names, notes of uploads that are gone, uploads whose removal was begun, and multipart uploads that a
 * record's upload had but does not name. Nothing is touched that is not provably of this storage.
 */
export async function tidy (store: Store, before: Date): Promise<number> {
  return await tidyObjects(store, before) + await tidyMultiparts(store, before)
}

async function tidyObjects (store: Store, before: Date): Promise<number> {
  const { bucket, keys } = store
  let removed = 0
  for await (const { key, modifiedAt } of bucket.list(keys.prefix)) {
    if (modifiedAt >= before) continue
    if (await tidyObject(store, key)) removed++
  }
  return removed
}

async function tidyObject (store: Store, key: string): Promise<boolean> {
  const { bucket, keys, records } = store
  const parsed = parseKey(keys.prefix, key)
  if (parsed === null) return false
  const { id, kind, name } = parsed
  const entry = await records.loadWithRemoved(id)
  if (kind === 'record') {
    if (!entry?.record.removed) return false
    await remove(store, id)
    return true
  }
  const isNamed = entry !== null && !entry.record.removed && (kind !== 'piece' || entry.record.pieces.some(piece => piece.name === name))
  if (isNamed || (kind === 'piece' && (await bucket.head(key))?.metadata[MARK] !== id)) return false
  await bucket.delete([key])
  return true
}

/** Only those under the key of an upload that is there: another application may have uploads under any other. */
async function tidyMultiparts (store: Store, before: Date): Promise<number> {
  const { bucket, keys, records } = store
  let removed = 0
  for await (const { key, multipart, createdAt } of bucket.listMultiparts(keys.prefix)) {
    if (createdAt >= before) continue
    const id = key.slice(keys.prefix.length)
    const entry = /^[\w.-]+$/.test(id) ? await records.loadWithRemoved(id) : null
    if (entry === null || entry.record.key !== key || entry.record.multipart === multipart) continue
    await bucket.abortMultipart(key, multipart)
    removed++
  }
  return removed
}
