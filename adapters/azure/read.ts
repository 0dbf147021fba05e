import { Readable } from 'node:stream'
import type { ByteRange } from '../../lib/storage.js'
import { isCreatedAt } from '../../lib/upload.js'
import { isConflict } from './failures.js'
import type { Store } from './store.js'

/** The bytes as Azure streams them, in one request; where a `createdAt` is given, the record is looked at before. */
export function read (store: Store, id: string, range: ByteRange, createdAt?: Date): Promise<Readable | null> {
  return createdAt === undefined ? open(store, id, range) : readMeant(store, id, range, createdAt)
}

/** As {@link read}, whatever the length. */
export function readWhole (store: Store, id: string, createdAt?: Date): Promise<Readable | null> {
  return createdAt === undefined ? open(store, id, null) : readMeant(store, id, null, createdAt)
}

type Range = ByteRange | null

/** Of one that changes between the look and the opening, and is still the same upload, the bytes are asked for again. */
async function readMeant (store: Store, id: string, range: Range, createdAt: Date): Promise<Readable | null> {
  for (let attempt = 0; ; attempt++) {
    const entry = await store.entries.load(id)
    if (entry === null || !isCreatedAt(entry.record.upload, createdAt)) return null
    try {
      return await open(store, id, range, entry.etag)
    } catch (error) {
      if (!isConflict(error) || attempt === MOST_ATTEMPTS) throw error
    }
  }
}

async function open ({ blobs, names }: Store, id: string, range: Range, etag?: string): Promise<Readable | null> {
  const name = names.data(id)
  if (range === null) return (await blobs.open(name, undefined, etag))?.stream ?? null
  const { start, end } = range
  if (end < start) return await blobs.look(name) && Readable.from([])
  return (await blobs.open(name, { start, size: end - start + 1 }, etag))?.stream ?? null
}

const MOST_ATTEMPTS = 5
