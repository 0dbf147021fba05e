import { getStamp, type OpenUpload } from './open-uploads.js'
import { serializeRecord, type UploadRecord } from './record.js'
import { asStorageError, type Store } from './store.js'

/** Writes the new record beside the old one and renames it, so that there is always a whole one. */
export async function replaceRecord ({ files, paths, directory }: Store, upload: OpenUpload, record: UploadRecord): Promise<void> {
  const temporary = paths.temporary(upload.id)
  let stamp: string
  try {
    const fd = await files.createOrThrow(temporary)
    try {
      await files.writeText(fd, serializeRecord(record))
      await files.sync(fd)
      stamp = getStamp(await files.statOpen(fd))
    } finally {
      await files.close(fd)
    }
    await files.rename(temporary, paths.record(upload.id))
  } catch (error) {
    await files.remove(temporary)
    throw asStorageError(error)
  }
  upload.record = record
  upload.stamp = stamp
  await directory.sync()
}
