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

/** An upload that can't be read is told at the end, so that it keeps nobody from the others. */
export async function * list ({ paths, uploads }: Store): AsyncIterable<Upload> {
  const failures: unknown[] = []
  for await (const { name } of await opendir(paths.directory)) {
    const id = getRecordId(name)
    const upload = id === null ? null : await uploads.find(id).catch(error => { failures.push(error) })
    if (upload) yield upload
  }
  if (failures.length > 0) throw new AggregateError(failures, `${failures.length} uploads can not be read`)
}
