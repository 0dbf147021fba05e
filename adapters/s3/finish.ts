import type { Condition } from './bucket.js'
import { getStatus, isConflict, isInvalidPart, isMissing, isOvertaken, isUnclear, KeyTaken, UploadLost } from './failures.js'
import { createName } from './keys.js'
import { isOwn } from './own.js'
import { getOffset, type StoredObject, type UploadRecord } from './record.js'
import type { Change, Entry } from './records.js'
import { splice } from './splice.js'
import { ATTEMPT, MARK, getObjectOptions, type Store } from './store.js'

/**
 * Puts a whole upload into S3 in one request, and commits it: for uploads that fit into a part.
 *
 * The object is never put over one that somebody else put there.
 *
 * @param more to be committed together with it
 * @throws Superseded, KeyTaken
 */
export async function putWhole (store: Store, entry: Entry, bytes: Uint8Array, more: Change = {}): Promise<void> {
  const { multipart } = entry.record
  const attempt = createName()
  const etag = await putObject(store, entry, bytes, attempt)
  const modifiedAt = bytes.length > getOffset(entry.record) ? new Date() : entry.record.modifiedAt
  const change = { object: { etag, size: bytes.length }, parts: [], pieces: [], multipart: null, window: null, modifiedAt, ...more }
  await store.records.commit(entry, change).catch(async error => {
    if (isOvertaken(error)) await takeBack(store, entry, attempt).catch(() => {})
    throw error
  })
  if (multipart !== null) store.background.run(() => store.bucket.abortMultipart(entry.record.key, multipart))
}

async function putObject (store: Store, entry: Entry, bytes: Uint8Array, attempt: string): Promise<string> {
  const { bucket, records } = store
  const { record } = entry
  const options = getObjectOptions(store, record, attempt)
  let condition: Condition = { ifNoneMatch: '*' }
  for (let tries = 0; ; tries++) {
    try {
      return await bucket.put(record.key, bytes, condition, options)
    } catch (error) {
      if (!isConflict(error) && !(isMissing(error) && tries > 0)) throw error
      const found = await bucket.head(record.key)
      if (found?.metadata[ATTEMPT] === attempt) return found.etag
      if (found !== null && found.metadata[MARK] !== record.mark) throw new KeyTaken(record.key, error)
      // A writer that died or was overtaken has left it. Only who is not overtaken may replace it.
      await records.commit(entry, {})
      if (tries === MOST_TRIES) throw error
      condition = found === null ? { ifNoneMatch: '*' } : { ifMatch: found.etag }
    }
  }
}

/**
 * Who removed the upload meanwhile may not have seen the object. Who has gone on with it replaces the object, which therefore stays.
 */
async function takeBack ({ bucket, records }: Store, { id, record }: Entry, attempt: string): Promise<void> {
  const now = await records.load(id)
  if (now?.record.mark === record.mark) return
  const found = await bucket.head(record.key)
  if (found?.metadata[ATTEMPT] === attempt) await bucket.delete([record.key])
}

/**
 * Puts the parts of a sealed upload together. Safe to call again, whatever became of an earlier call: the object tells whose it is.
 *
 * What the record says of it is written by the caller, or by the next who needs it.
 *
 * @throws UploadLost if that is not possible any more
 */
export async function assemble (store: Store, entry: Entry): Promise<void> {
  try {
    await (entry.record.splice === null ? join(store, entry) : splice(store, entry))
  } catch (error) {
    // Another process may have come first: what is missing is in the object then.
    const object = error instanceof UploadLost ? await findObject(store, entry.record) : null
    if (object === null) throw error
    entry.record = { ...entry.record, object }
  }
}

async function join (store: Store, entry: Entry): Promise<void> {
  const { record } = entry
  let condition: Condition = { ifNoneMatch: '*' }
  for (let attempt = 0; ; attempt++) {
    try {
      const etag = await store.bucket.completeMultipart(record.key, record.multipart!, record.parts, condition)
      entry.record = { ...entry.record, object: { etag, size: getOffset(record) } }
      return
    } catch (error) {
      if (isInvalidPart(error)) return splice(store, entry)
      if (!isMissing(error) && !isUnclear(error) && !isConflict(error)) throw error
      // Ceph answers 500 where there is no such multipart upload any more.
      const isGone = isMissing(error) || (isUnclear(error) && await store.bucket.listParts(record.key, record.multipart!) === null)
      // Perhaps an earlier try was carried out, and its answer got lost.
      const object = await findObject(store, record)
      if (object !== null) {
        entry.record = { ...entry.record, object }
        return
      }
      if (isGone) throw new UploadLost('The multipart upload is gone, and there is no object', { cause: error })
      if (getStatus(error) === 412) throw new KeyTaken(record.key, error)
      // Some servers know the condition for other writes only.
      if (getStatus(error) === 501) condition = {}
      if (attempt === PAUSES.length) throw error
      await new Promise(resolve => setTimeout(resolve, PAUSES[attempt]))
    }
  }
}

/** The object of an upload, if it is there and is this upload's. */
export async function findObject ({ bucket }: Store, record: UploadRecord): Promise<StoredObject | null> {
  const found = await bucket.head(record.key)
  if (found === null || found.size !== getOffset(record) || !isOwn(record, found)) return null
  return { etag: found.etag, size: found.size }
}

/** Of putting an object in the place of one that others left, or are putting there. */
const MOST_TRIES = 5
/** Between tries, in ms: a server may still be at work on an earlier one. */
const PAUSES = [200, 1000, 3000]
