import { OffsetConflict, UploadMissing, type Addition } from '../../lib/storage.js'
import { isCreatedAt } from '../../lib/upload.js'
import { Appender } from './appender.js'
import { isOvertaken, UploadLost } from './failures.js'
import { getOffset } from './record.js'
import { giveUp } from './lost.js'
import { recover } from './recover.js'
import type { Entry } from './records.js'
import type { Store } from './store.js'

/** Appends a body. Of an upload where this process was the last to append, nothing is read before. */
export async function append (store: Store, id: string, addition: Addition): Promise<number> {
  const entry = await prepare(store, id, addition)
  try {
    return await new Appender(store, entry, addition).run()
  } catch (failure) {
    store.records.forget(id)
    const error = failure instanceof UploadLost ? await giveUp(store, entry).then(() => failure, error => error) : failure
    // A piece that is gone is a sign of that, too: whoever completed the upload has put it into the object.
    if (!isOvertaken(error)) throw error
    const found = await store.records.load(id)
    if (found?.record.mark !== entry.record.mark) throw new UploadMissing('The upload was removed', { cause: error })
    throw new OffsetConflict(getOffset(found.record))
  }
}

async function prepare (store: Store, id: string, { offset, createdAt }: Addition): Promise<Entry> {
  const known = store.records.peek(id)
  if (known && isCreatedAt(known.record.upload, createdAt) && isAt(known, offset)) return known
  const entry = await recover(store, id)
  if (entry === null || !isCreatedAt(entry.record.upload, createdAt)) throw new UploadMissing('There is no such upload')
  if (getOffset(entry.record) !== offset) throw new OffsetConflict(getOffset(entry.record))
  return entry
}

/** Whether this process may go on from what it remembers: what it writes counts only if nobody else has written. */
export function isAt ({ record }: Entry, offset: number): boolean {
  return record.window === null && !record.removed && getOffset(record) === offset
}
