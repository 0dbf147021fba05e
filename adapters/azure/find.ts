import type { FindHint } from '../../lib/storage.js'
import type { Upload } from '../../lib/upload.js'
import { isGoingOn } from './append.js'
import { describeUpload, isClosed, type Entry } from './entries.js'
import { retry } from './retry.js'
import type { Store } from './store.js'

export async function find (store: Store, id: string, { appendAt, settled = false, place = false }: FindHint = {}): Promise<Upload | null> {
  const known = appendAt === undefined && !place ? null : store.entries.peek(id)
  if (known && place) return describeUpload(known)
  if (known && isGoingOn(store, known, appendAt!)) return describeUpload(known)
  const entry = settled ? await settle(store, id) : await store.entries.load(id)
  return entry && describeUpload(entry)
}

/** The upload as it is now, with nobody else at work on it: whatever another process still has in hand comes to nothing. */
async function settle ({ entries }: Store, id: string): Promise<Entry | null> {
  return retry(async () => {
    const entry = await entries.load(id)
    if (entry !== null && !isClosed(entry) && entry.state.writer !== entries.writer) await entries.commitState(entry, {})
    return entry
  }, () => null)
}
