import { UploadExists } from '../../lib/storage.js'
import type { NewUpload } from '../../lib/upload.js'
import { putWhole } from './finish.js'
import { remove } from './remove.js'
import type { Entry } from './records.js'
import type { Store } from './store.js'

export async function create (store: Store, upload: NewUpload): Promise<void> {
  const entry = await reserve(store, upload)
  // "at-length": one of no bytes has all of them.
  if (upload.length === 0 && upload.completes === 'at-length' && !upload.final) await putWhole(store, entry, new Uint8Array())
}

async function reserve (store: Store, upload: NewUpload): Promise<Entry> {
  try {
    return await store.records.create(upload)
  } catch (error) {
    if (!(error instanceof UploadExists)) throw error
    // What is left of a removal that did not come to its end is nobody's any more.
    const found = await store.records.loadWithRemoved(upload.id)
    if (!found?.record.removed) throw error
    await remove(store, upload.id)
    return store.records.create(upload)
  }
}
