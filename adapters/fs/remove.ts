import type { Store } from './store.js'

/** The record goes first: without it there is no upload, and the sweeper clears away what a crash leaves of the rest. */
export async function remove ({ files, paths, uploads, directory }: Store, id: string): Promise<void> {
  await uploads.drop(id)
  await files.remove(paths.record(id))
  await files.remove(paths.data(id))
  await directory.sync()
}
