import { UploadMissing } from '../../lib/storage.js'
import { isCreatedAt } from '../../lib/upload.js'
import { isOwn } from './own.js'
import type { UploadRecord } from './record.js'
import { removeWaiting } from './waiting.js'
import type { Store } from './store.js'

/**
 * Marks the record first: from then on nobody finds the upload, and no writer can commit. The record itself goes last, so that whatever is left after
 * a crash is found by the next removal, or by `tidy`.
 */
export async function remove (store: Store, id: string, createdAt?: Date): Promise<void> {
  const { bucket, keys, records } = store
  const entry = await records.loadWithRemoved(id)
  if (entry === null || !isCreatedAt(entry.record.upload, createdAt)) return
  const { mark } = entry.record
  const { record } = entry.record.removed
    ? entry
    : await records.note(entry, present => present.mark === mark ? { removed: true } : null).catch(error => {
      if (error instanceof UploadMissing) return entry
      throw error
    })
  // Another process has removed it, and its id was given again.
  if (record.mark !== mark) return
  await abortAll(store, record)
  const isThere = record.object !== null || record.parts.length > 0 || record.upload.length === 0
  const data = isThere || record.pieces.length > 0 || record.upload.length !== null ? await listOwnData(store, record) : []
  await bucket.delete([...data, ...record.pieces.map(({ name }) => keys.piece(id, name)), keys.claim(id)])
  await removeWaiting(store, id)
  await records.delete(id)
}

/** Those of the record and, where it may have had one, those that a crash kept from being named. */
async function abortAll ({ bucket, keys, options }: Store, record: UploadRecord): Promise<void> {
  const { multipart, key, upload } = record
  if (multipart !== null) await bucket.abortMultipart(key, multipart)
  if (multipart === null && (record.object !== null || (upload.length !== null && upload.length <= options.partSize))) return
  for await (const found of bucket.listMultiparts(key)) {
    if (found.key === key && key === keys.data(upload)) await bucket.abortMultipart(key, found.multipart)
  }
}

async function listOwnData ({ bucket }: Store, record: UploadRecord): Promise<string[]> {
  const found = await bucket.head(record.key)
  return found !== null && isOwn(record, found) ? [record.key] : []
}
