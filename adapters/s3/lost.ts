import type { Entry } from './records.js'
import type { Store } from './store.js'

/**
 * Marks an upload as removed that can't be completed any more: clients find none, and start again. What is left of it is cleared away by `tidy`.
 *
 * @throws Superseded if another process has gone on with the upload: what this one misses is no loss then
 */
export async function giveUp (store: Store, entry: Entry): Promise<void> {
  await store.records.commit(entry, { removed: true })
  store.records.forget(entry.id)
}
