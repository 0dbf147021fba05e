import { OffsetConflict, type Addition, type UploadBody } from '../../lib/storage.js'
import { ignore } from './failure.js'
import type { Files } from './files.js'
import type { OpenUpload } from './open-upload.js'
import { goOn } from './journal/go-on.js'
import { hasJournal } from './journal/has-journal.js'
import { JournalDoubtful } from './journal/journal-doubtful.js'
import { SmallCopy } from './journal/small-copy.js'
import { check } from './load.js'
import { replaceRecord } from './replace-record.js'
import type { Store } from './store.js'

/**
 * Writes the body behind the bytes that count, syncs once, and only then counts it.
 *
 * The length of the file is the offset, so nothing else has to be written. Until the sync, and for good if it fails, this process counts
 * only what was durable before.
 */
export async function append (store: Store, id: string, addition: Addition): Promise<number> {
  const upload = check(store.uploads.getVouched(id) ?? await store.uploads.load(id), addition.createdAt)
  if (upload.durable !== addition.offset) throw new OffsetConflict(upload.durable)
  if (upload.cutAt !== null) await store.uploads.cut(upload)
  await goOn(store, upload)
  upload.appending = true
  try {
    return await store.uploads.use(upload, fd => receiveBehindHold(store, upload, fd, addition))
  } finally {
    upload.appending = false
  }
}

async function receiveBehindHold (store: Store, upload: OpenUpload, fd: number, addition: Addition): Promise<number> {
  if (upload.record.hold !== null) await cutToHold(store, upload, fd)
  return await (addition.keep === 'prefix' ? receive : receiveWhole)(store, upload, fd, addition)
}

/** What a process that died left unverified is cut off, durably, before anything of the file is counted or written. */
export async function cutToHold (store: Store, upload: OpenUpload, fd: number): Promise<void> {
  if (upload.record.hold === null) return
  await store.files.truncate(fd, upload.record.hold)
  await store.files.sync(fd)
  await releaseHold(store, upload)
}

async function releaseHold (store: Store, upload: OpenUpload): Promise<void> {
  await replaceRecord(store, upload, { ...upload.record, hold: null })
}

/**
 * A body that fits into one batch is verified before a byte of it is written. A longer one is written behind a hold, which the record keeps
 * until all of it is verified and durable: releasing the hold is the commit.
 */
async function receiveWhole (store: Store, upload: OpenUpload, fd: number, addition: Addition): Promise<number> {
  const first = await addition.body.next(BATCH)
  const second = first && await addition.body.next(BATCH)
  const body = replay([first, second], addition.body)
  if (second === null) return receive(store, upload, fd, { ...addition, body })
  await replaceRecord(store, upload, { ...upload.record, hold: addition.offset })
  try {
    return await receive(store, upload, fd, { ...addition, body }, () => releaseHold(store, upload))
  } catch (error) {
    // What could not be cut off stays behind its hold: the next append tries again.
    // The error that made the body worthless is the one to tell.
    if (upload.cutAt === null && upload.record.hold !== null) await cutToHold(store, upload, fd).catch(ignore)
    throw error
  }
}

/** A body whose first batches have been read already. */
function replay (batches: Array<readonly Uint8Array[] | null>, body: UploadBody): UploadBody {
  return {
    next: async wanted => batches.length > 0 ? batches.shift() ?? null : body.next(wanted)
  }
}

/** @param commit makes count what was written and synced, where that takes a step of its own */
async function receive (store: Store, upload: OpenUpload, fd: number, addition: Addition, commit: Step | null = null): Promise<number> {
  const { offset, keep } = addition
  const copy = commit === null && store.journal !== null ? new SmallCopy() : null
  const outcome = await writeBody(store, upload, fd, addition, copy)
  const failed = outcome.failure !== null
  const undone = failed && (outcome.by !== 'write' || keep === 'all-or-nothing')
  // What was reported as durable on the way stays.
  const end = undone ? upload.durable : outcome.end
  // A write that failed in the middle may have left bytes that were not counted.
  if (failed) await cut(store, upload, fd, end)
  if (end > upload.durable) await orCut(store, upload, fd, () => makeDurable(store, upload, fd, offset, copy))
  if (!failed && commit !== null) await orCut(store, upload, fd, commit)
  if (end > offset) upload.modifiedAt = new Date()
  upload.durable = end
  if (failed) throw outcome.failure
  return end
}

type Step = () => Promise<void> | void

interface Outcome {
  /** Behind the last byte that is in the file for certain. */
  readonly end: number
  readonly failure: unknown
  readonly by: 'body' | 'write' | 'sync'
}

async function writeBody (store: Store, upload: OpenUpload, fd: number, addition: Addition, copy: SmallCopy | null): Promise<Outcome> {
  const { offset, body, keep, onProgress, progressInterval = 1000 } = addition
  let end = offset
  let by: Outcome['by'] = 'body'
  let reportedAt = Date.now()
  try {
    for (let batch; (batch = await body.next(BATCH)) !== null; by = 'body') {
      by = 'write'
      const size = batch.reduce((sum, { byteLength }) => sum + byteLength, 0)
      if (size > 0) await store.files.write(fd, batch, size, end)
      end += size
      copy?.add(batch, size)
      if (onProgress && keep === 'prefix' && Date.now() - reportedAt >= progressInterval) {
        by = 'sync'
        await sync(store, upload, fd)
        upload.durable = end
        reportedAt = Date.now()
        onProgress(end)
      }
    }
    return { end, failure: null, by }
  } catch (failure) {
    return { end, failure, by }
  }
}

/** Makes durable what was written from `offset` on, of which there may be a copy. */
async function makeDurable (store: Store, upload: OpenUpload, fd: number, offset: number, copy: SmallCopy | null): Promise<void> {
  const bytes = upload.durable === offset ? copy?.bytes : null
  const { id, createdAt } = upload.record.upload
  if (bytes && await store.journal?.commit({ kind: 'bytes', id, createdAt: createdAt.getTime(), offset, bytes })) return
  await sync(store, upload, fd)
}

/** Bytes are of no use without a name, which may stand in a journal alone: in that of another process, too. */
async function sync (store: Store, upload: OpenUpload, fd: number): Promise<void> {
  const { files, directory, journal } = store
  if (journal !== null) await journal.check()
  await files.sync(fd)
  if (upload.isNamed) return
  if (await hasJournal(store)) await directory.sync()
  upload.isNamed = true
}

/**
 * After a failed sync nobody knows what is on the device, and a second sync would not tell: the bytes must be sent again. So must those whose
 * commit failed.
 */
async function orCut (store: Store, upload: OpenUpload, fd: number, step: Step): Promise<void> {
  try {
    await step()
  } catch (error) {
    if (!(error instanceof JournalDoubtful)) await cut(store, upload, fd, upload.durable)
    throw error
  }
}

/** Where even this fails, it is tried again before anything of the file is counted. */
async function cut ({ files }: Store, upload: OpenUpload, fd: number, length: number): Promise<void> {
  try {
    await files.truncate(fd, length)
  } catch {
    upload.cutAt = { length, writtenAt: await getWrittenAt(files, fd) }
  }
}

async function getWrittenAt (files: Files, fd: number): Promise<number | null> {
  try {
    return (await files.statOpen(fd)).mtimeMs
  } catch {
    return null
  }
}

/** Bytes per write: a large write costs little more than a small one. */
const BATCH = 2 * 1024 * 1024
