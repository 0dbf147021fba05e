import { open, opendir } from 'node:fs/promises'
import { Readable } from 'node:stream'
import type { ByteRange } from '../../lib/storage.js'
import type { Upload } from '../../lib/upload.js'
import { nullIfMissing } from './files.js'
import { getRecordId } from './paths.js'
import type { Store } from './store.js'

/** Opens before it answers: a file that was just removed is no upload, and not a broken stream. */
export async function read ({ paths }: Store, id: string, { start, end }: ByteRange): Promise<Readable | null> {
  const file = await open(paths.data(id), 'r').catch(nullIfMissing)
  if (file === null) return null
  if (end >= start) return file.createReadStream({ start, end, highWaterMark: 256 * 1024 })
  await file.close()
  return Readable.from([])
}

export async function * list ({ paths, uploads }: Store): AsyncIterable<Upload> {
  for await (const { name } of await opendir(paths.directory)) {
    const id = getRecordId(name)
    const upload = id === null ? null : await uploads.find(id)
    if (upload !== null) yield upload
  }
}
