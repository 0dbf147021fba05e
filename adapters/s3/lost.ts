import type { Entry } from './records.js'
import type { Store } from './store.js'

/**
 * Marks an upload as removed that can't be completed any more: clients find none, and start again. What is left of it is cleared away by `tidy`.
 */
export async function giveUp (store: Store, entry: Entry): Promise<void> {
  const current = await store.records.load(entry.id)
  if (current !== null && current.record.mark === entry.record.mark) await store.records.note(current, () => ({ removed: true }))
  store.records.forget(entry.id)
}
