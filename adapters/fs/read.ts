import { createReadStream } from 'node:fs'
import { opendir } from 'node:fs/promises'
import { Readable } from 'node:stream'
import type { ByteRange, FindHint } from '../../lib/storage.js'
import type { Upload } from '../../lib/upload.js'
import { nullIfMissing, throwStorageError } from './failure.js'
import { isMeant } from './load.js'
import { getRecordId } from './paths.js'
import { toUpload } from './record.js'
import type { Files } from './files.js'
import type { Store } from './store.js'

/** Who is about to append holds the lock: what is found now stays so until then. */
export async function find ({ uploads }: Store, id: string, { appendAt, place = false }: FindHint = {}): Promise<Upload | null> {
  const known = place ? uploads.peek(id) : null
  const entry = known ?? await uploads.load(id)
  if (entry === null) return null
  if (appendAt !== undefined) uploads.vouch(entry)
  return toUpload(entry.record, entry.durable, entry.modifiedAt)
}

/** Opens before it answers: a file that was just removed is no upload, and not a broken stream. */
export async function read (store: Store, id: string, { start, end }: ByteRange, createdAt?: Date): Promise<Readable | null> {
  const { files, paths, directory } = store
  const path = paths.data(id)
  const fd = await openMeant(store, id, createdAt)
  if (fd === null) {
    await directory.check()
    return null
  }
  if (end >= start) return createReadStream(path, { fd, start, end, highWaterMark: 256 * 1024 })
  await files.release(fd)
  return Readable.from([])
}

/** Whoever knows a `createdAt` has seen that upload: if it is still there after the file was opened, the file is its own. */
async function openMeant (store: Store, id: string, createdAt: Date | undefined): Promise<number | null> {
  const { files, paths, uploads } = store
  const fd = await open(files, paths.data(id))
  if (fd === null || createdAt === undefined) return fd
  let isStillThere = false
  try {
    isStillThere = isMeant(await uploads.load(id), createdAt)
  } finally {
    if (!isStillThere) await files.release(fd)
  }
  return isStillThere ? fd : null
}

async function open (files: Files, path: string): Promise<number | null> {
  try {
    return await files.openToRead(path)
  } catch (error) {
    return nullIfMissing(error)
  }
}

/** An upload that can't be read is told at the end, so that it keeps nobody from the others. */
export async function * list ({ paths, uploads, directory }: Pick<Store, 'paths' | 'uploads' | 'directory'>): AsyncIterable<Upload> {
  const failures: unknown[] = []
  await directory.check()
  for await (const entry of await opendir(paths.directory, { bufferSize: AT_ONCE }).catch(throwStorageError)) {
    const id = entry.isDirectory() ? null : getRecordId(entry.name)
    const upload = id === null ? null : await uploads.glance(id).catch(error => { failures.push(error) })
    if (upload) yield upload
  }
  if (failures.length > 0) throw new AggregateError(failures, `${failures.length} uploads can not be read`)
}

/** Entries that are looked at before other requests get their turn. */
export const AT_ONCE = 128
