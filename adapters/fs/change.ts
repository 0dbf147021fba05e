import { LengthConflict, type UploadChange } from '../../lib/storage.js'
import type { Upload } from '../../lib/upload.js'
import { cutToHold } from './append.js'
import { isMeant, load } from './load.js'
import type { OpenUpload } from './open-upload.js'
import { isCompleteAt, toUpload } from './record.js'
import { replaceRecord } from './replace-record.js'
import type { Store } from './store.js'

export async function setLength (store: Store, id: string, length: number | null, createdAt?: Date): Promise<void> {
  const upload = await load(store, id, createdAt)
  const { record, durable } = upload
  if (record.upload.length === length) return
  if (!fits(record.upload.length, length, durable)) throw new LengthConflict('The upload has another length')
  // With this length the upload may be complete, and nobody looks for unverified bytes behind a complete one.
  await store.uploads.cut(upload)
  if (record.hold !== null) await store.uploads.use(upload, fd => cutToHold(store, upload, fd))
  await replaceRecord(store, upload, { ...upload.record, upload: { ...record.upload, length } })
}

/** Whether a length may follow another. */
function fits (before: number | null, length: number | null, durable: number): boolean {
  return length === null ? before !== durable : before === null && length >= durable
}

export async function complete (store: Store, id: string, createdAt?: Date): Promise<void> {
  // The holder has just appended the last byte: what completes at its length is complete, and nothing is asked or written.
  const known = store.uploads.peek(id)
  const upload = isMeant(known, createdAt) && isComplete(known) ? null : await load(store, id, createdAt)
  if (upload && !isComplete(upload)) await replaceRecord(store, upload, { ...upload.record, marked: true })
  // No more bytes will come: the descriptor is free for others.
  await store.uploads.drop(id)
}

function isComplete (upload: OpenUpload): boolean {
  return isCompleteAt(upload.record, upload.durable)
}

export async function update (store: Store, id: string, change: (upload: Upload) => UploadChange | null): Promise<Upload | null> {
  const upload = await store.uploads.load(id)
  if (upload === null) return null
  const changes = change(toUpload(upload.record, upload.durable, upload.modifiedAt))
  if (changes !== null) {
    if (isUnexpected(changes)) await store.news?.note('~', id)
    const { finished = upload.record.finished, processed = upload.record.processed, ...rest } = changes
    await replaceRecord(store, upload, { ...upload.record, finished, processed, upload: { ...upload.record.upload, ...rest } })
  }
  return store.uploads.find(id)
}

/** Whether the index would not see by itself that this upload is to be looked at: what usually changes takes an upload nearer to its end. */
function isUnexpected (changes: UploadChange): boolean {
  return 'expiresAt' in changes || 'completes' in changes || changes.processed === false || changes.finished === false
}
