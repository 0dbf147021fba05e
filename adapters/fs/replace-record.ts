import { goOn } from './journal/go-on.js'
import { getStamp, type OpenUpload, type Stamp } from './open-upload.js'
import { serializeRecord, type UploadRecord } from './record.js'
import type { Store } from './store.js'

/** Writes the new record beside the old one and renames it, so that there is always a whole one. */
export async function replaceRecord (store: Store, upload: OpenUpload, record: UploadRecord): Promise<void> {
  const { files, paths, directory } = store
  await directory.check()
  await goOn(store, upload)
  const temporary = paths.temporary(upload.id)
  const fd = await files.createOrThrow(temporary)
  let stamp: Stamp
  try {
    try {
      await files.writeText(fd, serializeRecord(record))
      await files.sync(fd)
      stamp = getStamp(await files.statOpen(fd))
    } finally {
      await files.close(fd)
    }
    await files.rename(temporary, paths.record(upload.id))
  } catch (error) {
    await files.discard(temporary)
    throw error
  }
  upload.record = record
  upload.stamp = stamp
  await directory.sync()
}
