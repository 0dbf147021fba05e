import { OffsetConflict, UploadMissing, type Addition, type UploadBody } from '../../lib/storage.js'
import type { OpenUpload } from './open-uploads.js'
import { asStorageError, type Store } from './store.js'

/**
 * Writes the body behind the bytes that count, syncs once, and only then counts it.
 *
 * The length of the file is the offset, so nothing else has to be written. Until the sync, and for good if it fails, this process counts
 * only what was durable before.
 */
export async function append (store: Store, id: string, addition: Addition): Promise<number> {
  const upload = await store.uploads.load(id)
  if (upload === null) throw new UploadMissing('There is no such upload')
  if (upload.durable !== addition.offset) throw new OffsetConflict(upload.durable)
  upload.appending = true
  try {
    return await store.uploads.use(upload, fd => receive(store, upload, fd, addition))
  } finally {
    upload.appending = false
  }
}

async function receive (store: Store, upload: OpenUpload, fd: number, { offset, body, keep }: Addition): Promise<number> {
  const outcome = await writeBody(store, fd, offset, body)
  const failed = outcome.failure !== null
  const undone = failed && (outcome.by === 'body' || keep === 'all-or-nothing')
  const end = undone ? offset : outcome.end
  // A write that failed in the middle may have left bytes that were not counted.
  if (failed) await cut(store, upload, fd, end)
  if (end > offset) await sync(store, upload, fd, offset)
  upload.durable = end
  upload.modifiedAt = new Date()
  if (failed) throw asStorageError(outcome.failure)
  return end
}

interface Outcome {
  /** Behind the last byte that is in the file for certain. */
  readonly end: number
  readonly failure: unknown
  readonly by: 'body' | 'storage'
}

async function writeBody ({ files }: Store, fd: number, offset: number, body: UploadBody): Promise<Outcome> {
  let end = offset
  let by: Outcome['by'] = 'body'
  try {
    for (let batch; (batch = await body.next(BATCH)) !== null; by = 'body') {
      by = 'storage'
      const size = batch.reduce((sum, { byteLength }) => sum + byteLength, 0)
      await files.write(fd, batch, size, end)
      end += size
    }
    return { end, failure: null, by }
  } catch (failure) {
    return { end, failure, by }
  }
}

/** After a failed sync nobody knows what is on the device, and a second sync would not tell: the bytes must be sent again. */
async function sync (store: Store, upload: OpenUpload, fd: number, offset: number): Promise<void> {
  try {
    await store.files.sync(fd)
  } catch (error) {
    await cut(store, upload, fd, offset)
    throw asStorageError(error)
  }
}

/** Where even this fails, it is tried again before anything of the file is counted. */
async function cut ({ files }: Store, upload: OpenUpload, fd: number, length: number): Promise<void> {
  try {
    await files.truncate(fd, length)
  } catch {
    upload.cutAt = length
  }
}

/** Bytes per write: a large write costs little more than a small one. */
const BATCH = 2 * 1024 * 1024
