import type { OpenUpload } from '../open-upload.js'
import type { Store } from '../store.js'
import { withdrawRemoval } from './removals.js'

/**
 * To be called before an upload is changed whose lock is held. Costs nothing where no journal can know of it: this process writes none, and has made
 * the upload itself, or its names durable.
 */
export function goOn (store: Store, upload: OpenUpload): Promise<void> | void {
  if (store.journal === null && upload.isNamed) return
  return withdrawRemoval(store, { id: upload.id, createdAt: upload.record.upload.createdAt.getTime() })
}
