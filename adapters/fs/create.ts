import { UploadExists } from '../../lib/storage.js'
import type { NewUpload } from '../../lib/upload.js'
import { isCode } from './files.js'
import { serializeRecord, type UploadRecord } from './record.js'
import { asStorageError, type Store } from './store.js'

/**
 * Creates the file of the bytes, then the record, whose last byte is the commit: a process that dies before leaves something that
 * is no upload, and that the next `create` of the same id or the sweeper clears away.
 */
export async function create (store: Store, upload: NewUpload): Promise<void> {
  const record = { ...upload, marked: false }
  try {
    await write(store, record)
  } catch (error) {
    if (!isCode(error, 'EEXIST')) throw asStorageError(error)
    if (await store.uploads.load(upload.id)) throw new UploadExists('There is an upload of that id')
    await clear(store, upload.id)
    await write(store, record)
  }
}

async function write (store: Store, record: UploadRecord): Promise<void> {
  const { files, paths, uploads, directory } = store
  const fd = await files.open(paths.data(record.id), 'wx+')
  try {
    await writeRecord(store, record)
    await directory.sync()
  } catch (error) {
    await files.close(fd)
    // What another process created under this id meanwhile is not ours to clear.
    if (!isCode(error, 'EEXIST')) await clear(store, record.id)
    throw error
  }
  await uploads.add(record, fd)
}

async function writeRecord ({ files, paths }: Store, record: UploadRecord): Promise<void> {
  const fd = await files.open(paths.record(record.id), 'wx')
  try {
    await files.writeText(fd, serializeRecord(record))
    await files.sync(fd)
  } finally {
    await files.close(fd)
  }
}

async function clear ({ files, paths }: Store, id: string): Promise<void> {
  await files.remove(paths.record(id))
  await files.remove(paths.data(id))
}
