import { Superseded, UploadLost } from './failures.js'
import { giveUp } from './lost.js'
import { getOffset, getPartsEnd, type Part, type UploadRecord } from './record.js'
import type { Entry } from './records.js'
import { deletePieces, type Store } from './store.js'

/**
 * The upload as it is now, with nobody else at work on it: a writer that may still be sending parts is fenced off, and what of them has
 * arrived counts. The caller holds the lock, so there is no such writer in this process.
 */
export async function recover (store: Store, id: string): Promise<Entry | null> {
  for (let attempt = 0; ; attempt++) {
    const entry = await store.records.load(id)
    if (entry === null || entry.record.window === null) return entry
    try {
      await closeWindow(store, entry)
      return entry
    } catch (failure) {
      const error = failure instanceof UploadLost ? await giveUp(store, entry).catch(error => error) : failure
      if (error === undefined) return null
      if (!(error instanceof Superseded) || attempt === MOST_ATTEMPTS) throw error
    }
  }
}

/**
 * As {@link recover}; afterwards, an offset that this process tells can be used: whatever another one still has in hand comes to nothing.
 */
export async function settle (store: Store, id: string): Promise<Entry | null> {
  for (let attempt = 0; ; attempt++) {
    const entry = await recover(store, id)
    if (entry === null || entry.record.object !== null) return entry
    try {
      // Also where this process wrote last: another one may have begun to append to what it wrote.
      await store.records.commit(entry, {}, 'new')
      return entry
    } catch (error) {
      if (!(error instanceof Superseded) || attempt === MOST_ATTEMPTS) throw error
    }
  }
}

async function closeWindow (store: Store, entry: Entry): Promise<void> {
  const { bucket, records } = store
  // From here on, the other writer can't commit. Only now is it certain what of its parts counts.
  await records.commit(entry, {})
  const { record } = entry
  const there = await bucket.listParts(record.key, record.multipart!)
  if (there === null) throw new UploadLost('The multipart upload is gone')
  const parts = adopt(record, there)
  const adopted = parts.length > record.parts.length
  await records.commit(entry, {
    parts,
    pieces: adopted ? [] : record.pieces,
    window: null,
    next: Math.max(record.next, ...record.window!.numbers.map(number => number + 1)),
    ...adopted && { modifiedAt: new Date() }
  })
  if (adopted) deletePieces(store, entry.id, record.pieces)
}

/**
 * The parts that the record names, and those of the window that have arrived behind them without a gap.
 *
 * Whatever else of the window is there, or still comes, stays unnamed, and its number is never used again: the other writer may still be sending it.
 */
function adopt (record: UploadRecord, there: readonly Part[]): readonly Part[] {
  const { numbers, size, whole } = record.window!
  const parts = [...record.parts]
  if (whole) return parts
  const byNumber = new Map(there.map(part => [part.number, part]))
  let end = getPartsEnd(record)
  for (const number of numbers) {
    const part = byNumber.get(number)
    if (!part || (part.size !== size && end + part.size !== record.upload.length)) break
    // The pieces are its first bytes: it can't be smaller.
    if (end + part.size < getOffset(record)) break
    parts.push(part)
    end += part.size
  }
  return parts
}

const MOST_ATTEMPTS = 5
