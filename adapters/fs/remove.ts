import { isCreatedAt } from '../../lib/upload.js'
import { removeClaim } from './claim.js'
import { noteRemoval } from './journal/removals.js'
import { findRemains } from './remains.js'
import type { Store } from './store.js'
import { removeWaiting } from './waiting.js'

/**
 * The bytes go first: without them there is no upload, and the record tells the sweeper that what a crash leaves is ours.
 *
 * Of what is no upload, only that goes which a removal left that was not finished.
 */
export async function remove (store: Store, id: string, createdAt?: Date): Promise<void> {
  const { files, paths, uploads, directory } = store
  const upload = await uploads.load(id)
  if (upload === null) return removeRemains(store, id)
  const { partial, createdAt: found } = upload.record.upload
  if (!isCreatedAt(upload.record.upload, createdAt)) return
  await noteRemoval(store, { id, createdAt: found.getTime() })
  await files.remove(paths.data(id))
  await uploads.drop(id)
  await files.remove(paths.record(id))
  await removeClaim(store, id)
  if (partial) await removeWaiting(store, id)
  await directory.sync()
  await store.news?.note('-', id)
}

async function removeRemains (store: Store, id: string): Promise<void> {
  const remains = await findRemains(store, id)
  if (!remains?.proven || remains.paths.length === 0) return
  for (const path of remains.paths) await store.files.remove(path)
  await store.directory.sync()
  await store.news?.note('-', id)
}
