import { UploadMissing, type FindHint } from '../../lib/storage.js'
import type { Upload } from '../../lib/upload.js'
import { isAt } from './append.js'
import { findObject } from './finish.js'
import { getOffset, isSealed, toUpload } from './record.js'
import { settle } from './recover.js'
import type { Entry } from './records.js'
import type { Store } from './store.js'

export async function find (store: Store, id: string, { appendAt, settled = false, place = false }: FindHint = {}): Promise<Upload | null> {
  const known = appendAt === undefined && !place ? null : store.records.peek(id)
  if (known && place) return toUpload(known.record)
  if (known && isAt(known, appendAt!) && getOffset(known.record) !== known.record.upload.length) return toUpload(known.record)
  const entry = await confirm(store, settled ? await settle(store, id) : await store.records.load(id))
  return entry && toUpload(entry.record)
}

/**
 * The writer who puts the parts of an upload together does not write that down, which would be one more request. Whoever needs to know
 * looks for the object, and writes it down for the others.
 */
export async function confirm (store: Store, entry: Entry | null): Promise<Entry | null> {
  if (entry === null || !isSealed(entry.record) || entry.record.upload.completes !== 'at-length') return entry
  const object = await findObject(store, entry.record)
  if (object === null) return entry
  const { mark } = entry.record
  const change = { object, parts: [], multipart: null, splice: null }
  return store.records.note(entry, record => record.mark === mark && isSealed(record) ? change : null).catch(error => {
    if (error instanceof UploadMissing) return null
    throw error
  })
}
