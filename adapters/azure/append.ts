import { OffsetConflict, type Addition } from '../../lib/storage.js'
import { isCreatedAt } from '../../lib/upload.js'
import { Appender } from './appender.js'
import { isClosed, throwConflict, type Entry } from './entries.js'
import { Superseded } from './failures.js'
import { rethrow, retry } from './retry.js'
import type { Store } from './store.js'

/** Appends a body. Of an upload where this process was the last to append, nothing is read before. */
export async function append (store: Store, id: string, addition: Addition): Promise<number> {
  try {
    const entry = await retry(() => prepare(store, id, addition), rethrow)
    return await new Appender(store, entry, addition).run()
  } catch (error) {
    if (!(error instanceof OffsetConflict)) store.entries.forget(id)
    return error instanceof Superseded ? throwConflict(store.entries, id, addition.createdAt, error) : Promise.reject(error)
  }
}

async function prepare (store: Store, id: string, { offset, createdAt }: Addition): Promise<Entry> {
  const known = store.entries.peek(id)
  if (known && isCreatedAt(known.record.upload, createdAt) && isGoingOn(store, known, offset)) return known
  const entry = await store.entries.loadMeant(id, createdAt)
  if (entry.offset !== offset) throw new OffsetConflict(entry.offset)
  if (!isClosed(entry)) await store.entries.getBlocks(entry)
  return entry
}

/** Whether this process may go on from what it remembers: what it writes counts only if nobody else has written. */
export function isGoingOn ({ entries }: Store, entry: Entry, offset: number): boolean {
  return entry.offset === offset && entry.blocks !== null && entry.state.writer === entries.writer && !isClosed(entry)
}
