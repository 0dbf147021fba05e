import { parseKey } from './keys.js'
import { remove } from './remove.js'
import { MARK, type Store } from './store.js'

/**
 * Removes what crashes left: pieces that no record names, notes of uploads that are gone, uploads whose removal was begun, and multipart uploads that a
 * record's upload had but does not name. Nothing is touched that is not provably of this storage.
 */
export async function tidy (store: Store, before: Date, onRemoved: (name: string) => void = () => {}): Promise<number> {
  return await tidyObjects(store, before, onRemoved) + await tidyMultiparts(store, before, onRemoved)
}

async function tidyObjects (store: Store, before: Date, onRemoved: (name: string) => void): Promise<number> {
  const { bucket, keys } = store
  let removed = 0
  for await (const { key, modifiedAt } of bucket.list(keys.prefix)) {
    if (modifiedAt >= before) continue
    if (!await tidyObject(store, key)) continue
    removed++
    onRemoved(key)
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

/**
 * Those under the key of an upload that is there; and under the prefix, where nobody else writes, those that nothing is known of. Without a prefix, and
 * where the application chooses keys, they could be another application's.
 */
async function tidyMultiparts (store: Store, before: Date, onRemoved: (name: string) => void): Promise<number> {
  const { bucket, keys, records } = store
  const unknown: Multipart[] = []
  let removed = 0
  for await (const { key, multipart, createdAt } of bucket.listMultiparts(keys.prefix)) {
    if (createdAt >= before) continue
    const id = key.slice(keys.prefix.length)
    if (!/^[\w.-]+$/.test(id)) continue
    const entry = await records.loadWithRemoved(id)
    if (entry === null) unknown.push({ key, multipart })
    if (entry === null || entry.record.key !== key || entry.record.multipart === multipart) continue
    await bucket.abortMultipart(key, multipart)
    removed++
    onRemoved(key)
  }
  const left = keys.prefix === '' || keys.chosen ? [] : await findUnnamed(store, unknown)
  for (const { key, multipart } of left) {
    await bucket.abortMultipart(key, multipart)
    onRemoved(key)
  }
  return removed + left.length
}

interface Multipart {
  readonly key: string
  readonly multipart: string
}

/**
 * Those that no record names, whatever its id, and that have no record of another server, from which the upload could still be taken over.
 */
async function findUnnamed ({ bucket, keys, records }: Store, multiparts: readonly Multipart[]): Promise<Multipart[]> {
  if (multiparts.length === 0) return []
  const named = new Set<string>()
  for await (const { key, etag } of bucket.list(keys.prefix)) {
    const parsed = parseKey(keys.prefix, key)
    if (parsed?.kind !== 'record') continue
    named.add(key)
    const entry = await records.loadListed(parsed.id, etag)
    if (entry?.record.multipart) named.add(entry.record.multipart)
  }
  return multiparts.filter(({ key, multipart }) => !named.has(`${key}.info`) && !named.has(multipart))
}
