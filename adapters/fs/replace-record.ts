import type { OpenUpload } from './open-uploads.js'
import { serializeRecord, type UploadRecord } from './record.js'
import { asStorageError, type Store } from './store.js'

/** Writes the new record beside the old one and renames it, so that there is always a whole one. */
export async function replaceRecord ({ files, paths, directory }: Store, upload: OpenUpload, record: UploadRecord): Promise<void> {
  const temporary = paths.temporary(upload.id)
  try {
    const fd = await files.createOrThrow(temporary)
    try {
      await files.writeText(fd, serializeRecord(record))
      await files.sync(fd)
    } finally {
      await files.close(fd)
    }
    await files.rename(temporary, paths.record(upload.id))
  } catch (error) {
    await files.remove(temporary)
    throw asStorageError(error)
  }
  upload.record = record
  // The file is another one now, and it is ours.
  upload.stamp = null
  await directory.sync()
}
