import { Readable } from 'node:stream'
import type { ByteRange } from '../../lib/storage.js'
import type { Store } from './store.js'

/** The bytes as Azure streams them, in one request. */
export async function read ({ blobs, names }: Store, id: string, { start, end }: ByteRange): Promise<Readable | null> {
  const name = names.data(id)
  if (end < start) return await blobs.look(name) && Readable.from([])
  return (await blobs.open(name, { start, size: end - start + 1 }))?.stream ?? null
}
