import { UploadExists } from '../../lib/storage.js'
import type { NewUpload } from '../../lib/upload.js'
import { getStamp, type Stamp } from './open-upload.js'
import { serializeRecord, type UploadRecord } from './record.js'
import { findRemains } from './remains.js'
import type { Store } from './store.js'

/**
 * Creates the file of the bytes, then the record, whose last byte is the commit: a process that dies before leaves something that
 * is no upload, and that the next `create` of the same id or the sweeper clears away.
 */
export async function create (store: Store, upload: NewUpload): Promise<void> {
  const { id } = upload
  if (store.creating.has(id)) throw new UploadExists('An upload of that id is being created')
  store.creating.add(id)
  try {
    await store.directory.checkBefore()
    // First: what is not announced may stay unknown to the index, if this process dies.
    await store.news?.note('+', id)
    const record = { upload, marked: false, hold: null, finished: false, processed: false }
    if (!await write(store, record) && !await writeAgain(store, record)) throw new UploadExists('There is an upload of that id')
  } finally {
    store.creating.delete(id)
  }
}

/** False if what was in the way is an upload, or a file of others; remains make room. */
async function writeAgain (store: Store, record: UploadRecord): Promise<boolean> {
  const { id } = record.upload
  const remains = await store.uploads.load(id) === null ? await findRemains(store, id) : null
  if (remains === null) return false
  for (const path of remains.paths) await store.files.remove(path)
  return write(store, record)
}

/** False if a file is in the way: an upload, or the remains of one. */
async function write (store: Store, record: UploadRecord): Promise<boolean> {
  const { files, paths, uploads } = store
  const fd = await files.create(paths.data(record.upload.id))
  if (fd === null) return false
  let stamp: Stamp | null
  try {
    stamp = await writeRecord(store, record)
    if (stamp !== null) uploads.add(record, stamp, fd, store.journal === null)
  } catch (error) {
    await files.release(fd)
    await files.discard(paths.data(record.upload.id))
    throw error
  }
  if (stamp !== null) return true
  await files.release(fd)
  await files.remove(paths.data(record.upload.id))
  return false
}

/** Its stamp; `null` if there is one already. */
async function writeRecord (store: Store, record: UploadRecord): Promise<Stamp | null> {
  const { files, paths } = store
  const fd = await files.create(paths.record(record.upload.id))
  if (fd === null) return null
  try {
    const text = serializeRecord(record)
    await files.writeText(fd, text)
    await makeDurable(store, fd, record, text)
    return getStamp(await files.statOpen(fd))
  } catch (error) {
    // Last: as long as it stands, it tells whose the bytes are.
    await files.discard(paths.data(record.upload.id))
    await files.discard(paths.record(record.upload.id))
    throw error
  } finally {
    await files.close(fd)
  }
}

/** The record, and the names of both files. */
async function makeDurable ({ files, directory, journal }: Store, fd: number, { upload }: UploadRecord, text: string): Promise<void> {
  if (journal !== null && await journal.commit({ kind: 'create', id: upload.id, createdAt: upload.createdAt.getTime(), text })) return
  await journal?.check()
  await files.sync(fd)
  await directory.sync()
}
