import { LengthConflict, UploadMissing, type UploadChange } from '../../lib/storage.js'
import { isCreatedAt, type Upload } from '../../lib/upload.js'
import { Appender } from './appender.js'
import { isOvertaken, Superseded, UploadLost } from './failures.js'
import { confirm } from './find.js'
import { assemble, putWhole } from './finish.js'
import { giveUp } from './lost.js'
import { getOffset, isComplete, isSealed, toUpload, type UploadRecord } from './record.js'
import { recover } from './recover.js'
import type { Change, Entry } from './records.js'
import { deletePieces, readPiece, type Store } from './store.js'

export async function setLength (store: Store, id: string, length: number | null, createdAt?: Date): Promise<void> {
  for (let attempt = 0; ; attempt++) {
    const entry = await recover(store, id)
    if (entry === null || !isCreatedAt(entry.record.upload, createdAt)) throw new UploadMissing('There is no such upload')
    let isSet = false
    const noted = await store.records.note(entry, record => {
      if (record.mark !== entry.record.mark) throw new UploadMissing('The upload was removed')
      isSet = isNewLength(record, length) && record.window === null
      return isSet ? { upload: { ...record.upload, length } } : null
    })
    if (isSet) return finishIfFull(store, noted)
    if (noted.record.upload.length === length) return
    // Another process has begun to send parts meanwhile, which could go beyond that length: it is fenced off first.
    if (attempt === MOST_ATTEMPTS) throw new Superseded('Another process goes on with the upload')
  }
}

/** @throws LengthConflict */
function isNewLength (record: UploadRecord, length: number | null): boolean {
  const { upload } = record
  const offset = getOffset(record)
  if (upload.length === length) return false
  const fits = length === null ? offset !== upload.length : upload.length === null && length >= offset
  if (!fits) throw new LengthConflict('The upload has another length')
  return true
}

async function finishIfFull (store: Store, entry: Entry): Promise<void> {
  const { upload } = entry.record
  if (getOffset(entry.record) !== upload.length || upload.completes !== 'at-length') return
  await finish(store, entry, {}).catch(error => {
    if (!isOvertaken(error)) throw error
    return complete(store, entry.id, entry.record.upload.createdAt)
  })
}

/** Makes one object of everything that there is, and marks the upload. Safe to call again after a crash at any point. */
export async function complete (store: Store, id: string, createdAt?: Date): Promise<void> {
  const known = store.records.peek(id)?.record
  if (known && isComplete(known) && isCreatedAt(known.upload, createdAt)) return
  if (await makeObject(store, id, createdAt, MARKED) === null) throw new UploadMissing('There is no such upload')
}

/**
 * Makes one object of everything that there is, and writes that down. Safe to call again after a crash at any point. Resolves to `null` if there is no such
 * upload.
 *
 * @param mark whether the upload is complete by that: not as long as its object is only to be looked at
 */
export async function makeObject (store: Store, id: string, createdAt?: Date, mark: typeof MARKED | Record<never, never> = {}): Promise<Entry | null> {
  for (let attempt = 0; ; attempt++) {
    const entry = await confirm(store, await recover(store, id))
    if (entry === null || !isCreatedAt(entry.record.upload, createdAt)) return null
    if (isComplete(entry.record)) return entry
    try {
      if (entry.record.object === null) await finish(store, entry, mark)
      const { object, parts, multipart, marked } = entry.record
      // One that was put there whole is written down already.
      const isNoted = parts.length === 0 && multipart === null && (marked || mark !== MARKED)
      if (!isNoted) await store.records.commit(entry, { object, parts: [], multipart: null, window: null, ...mark })
      return entry
    } catch (failure) {
      store.records.forget(id)
      const error = failure instanceof UploadLost ? await giveUp(store, entry).then(() => failure, error => error) : failure
      // Another process does the same, and may have cleared away pieces: it is enough that one of them comes to the end.
      if (!isOvertaken(error) || attempt === MOST_ATTEMPTS) throw error
    }
  }
}

async function finish (store: Store, entry: Entry, mark: Change): Promise<void> {
  const { record, id } = entry
  if (isSealed(record)) return assemble(store, entry)
  if (record.parts.length > 0) return seal(store, entry)
  const region = store.records.unpark(entry)
  try {
    await region.fill(piece => readPiece(store, id, piece))
    await putWhole(store, entry, region.look(), mark)
    deletePieces(store, id, record.pieces)
  } finally {
    region.clear()
  }
}

/** What follows the parts becomes the last of them. */
async function seal (store: Store, entry: Entry): Promise<void> {
  await new Appender(store, entry, { offset: getOffset(entry.record), keep: 'prefix', body: { next: async () => null } }).run()
  if (entry.record.object === null) await assemble(store, entry)
}

export async function update (store: Store, id: string, change: (upload: Upload) => UploadChange | null): Promise<Upload | null> {
  const entry = await confirm(store, await store.records.load(id))
  if (entry === null) return null
  const changed = await store.records.note(entry, record => {
    const changes = change(toUpload(record))
    if (changes === null) return null
    const { finished = record.finished, processed = record.processed, ...rest } = changes
    return { finished, processed, upload: { ...record.upload, ...rest } }
  }).catch(error => {
    if (error instanceof UploadMissing) return null
    throw error
  })
  return changed && toUpload(changed.record)
}

const MARKED = { marked: true } as const
const MOST_ATTEMPTS = 5
