import { isCreatedAt } from '../../lib/upload.js'
import { isConflict, Superseded } from './failures.js'
import { parseRecord } from './record.js'
import { retry } from './retry.js'
import type { Store } from './store.js'
import { removeWaiting } from './waiting.js'

/**
 * Removes the bytes first: from then on nobody finds the upload, and no writer can commit. The record goes last, so that whatever is left after a
 * crash is found by the next removal, or by `tidy`. Resolves to whether there was anything.
 */
export async function remove (store: Store, id: string, createdAt?: Date): Promise<boolean> {
  return retry(() => removeAll(store, id, createdAt), () => false)
}

async function removeAll (store: Store, id: string, createdAt: Date | undefined): Promise<boolean> {
  const { blobs, names, entries } = store
  entries.forget(id)
  const record = await blobs.getText(names.record(id))
  const parsed = record && parseRecord(record.text)
  if (!record || !parsed || !isCreatedAt(parsed.upload, createdAt)) return false
  const entry = await entries.load(id)
  try {
    if (entry !== null && entry.record.mark !== parsed.mark) throw new Superseded('Another upload was created under that id')
    if (entry !== null) await blobs.delete(names.data(id), entry.etag)
    await blobs.delete(names.claim(id))
    await removeWaiting(store, id)
    await blobs.delete(names.record(id), record.etag)
    return true
  } catch (error) {
    // A writer has come first, or somebody has made a new upload of that id.
    throw isConflict(error) ? new Superseded('The upload has changed', { cause: error }) : error
  }
}
