import { isCreatedAt } from '../../lib/upload.js'
import { noteRemoval } from './journal/removals.js'
import type { Store } from './store.js'
import { removeWaiting } from './waiting.js'

/** The record goes first: without it there is no upload, and the sweeper clears away what a crash leaves of the rest. */
export async function remove (store: Store, id: string, createdAt?: Date): Promise<void> {
  const { files, paths, uploads, directory } = store
  const upload = await uploads.load(id)
  if (upload !== null && !isCreatedAt(upload.record.upload, createdAt)) return
  if (upload !== null) await noteRemoval(store, { id, createdAt: upload.record.upload.createdAt.getTime() })
  await files.remove(paths.record(id))
  await uploads.drop(id)
  await files.remove(paths.data(id))
  await files.remove(paths.claim(id))
  if (upload?.record.upload.partial) await removeWaiting(store, id)
  await directory.sync()
  await store.news?.note('-', id)
}
