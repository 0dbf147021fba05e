import type { Entry } from './records.js'
import type { Store } from './store.js'

/**
 * Aborts a multipart upload that a writer began before it was overtaken.
 *
 * Not if the record names it: the write that was to say so may have been carried out although its answer got lost, and then it is the other writer's.
 */
export async function abortUnnamed ({ bucket, records }: Store, { id, record }: Entry, multipart: string): Promise<void> {
  const now = await records.loadWithRemoved(id)
  if (now?.record.multipart !== multipart) await bucket.abortMultipart(record.key, multipart)
}
