import { Readable } from 'node:stream'
import type { ByteRange } from '../../lib/storage.js'
import { isCreatedAt, type Upload } from '../../lib/upload.js'
import { makeObject } from './change.js'
import { isConflict, isOvertaken } from './failures.js'
import { confirm } from './find.js'
import { parseKey } from './keys.js'
import { getOffset, toUpload } from './record.js'
import type { Entry } from './records.js'
import { readPiece, type Store } from './store.js'

/** The bytes as S3 streams them: of the very object that the record names, or none. */
export async function read (store: Store, id: string, range: ByteRange, createdAt?: Date): Promise<Readable | null> {
  const known = store.records.peek(id)
  const load = async () => {
    const entry = await confirm(store, await store.records.load(id))
    return entry && isCreatedAt(entry.record.upload, createdAt) ? open(store, entry, range) : null
  }
  if (!known?.record.object || !isCreatedAt(known.record.upload, createdAt)) return load()
  return open(store, known, range).catch(error => {
    // Removed and created again by another process.
    if (isConflict(error)) return load()
    throw error
  })
}

async function open (store: Store, entry: Entry, range: ByteRange): Promise<Readable | null> {
  const { id, record } = entry
  if (record.removed) return null
  if (record.object !== null || record.parts.length === 0) return openBytes(store, entry, range)
  // S3 shows no bytes that are in parts. What is full becomes its object to be looked at, and is no more complete by that than before.
  const made = getOffset(record) === record.upload.length ? await makeObject(store, id, record.upload.createdAt) : null
  return made && openBytes(store, made, range)
}

async function openBytes (store: Store, entry: Entry, { start, end }: ByteRange): Promise<Readable | null> {
  const { key, object } = entry.record
  if (end < start || object?.size === 0) return Readable.from([])
  if (object === null) return Readable.from(readPieces(store, entry, { start, end }))
  return store.bucket.open(key, object.etag, start === 0 && end === object.size - 1 ? null : `bytes=${start}-${end}`)
}

/** One after the other, so that no more than one is in memory. */
async function * readPieces (store: Store, { id, record }: Entry, { start, end }: ByteRange): AsyncGenerator<Uint8Array> {
  let at = 0
  for (const piece of record.pieces) {
    const from = Math.max(start - at, 0)
    const to = Math.min(end - at, piece.size - 1)
    if (from <= to) {
      const bytes = await readPiece(store, id, piece).catch(error => openInstead(store, { id, record }, { start: at + from, end }, error))
      if (bytes instanceof Readable) return yield * bytes
      yield bytes.subarray(from, to + 1)
    }
    at += piece.size
  }
}

/**
 * What another process has put into the object of an upload meanwhile.
 *
 * @throws why there was a need for it, if nobody has
 */
async function openInstead (store: Store, { id, record: { mark } }: Pick<Entry, 'id' | 'record'>, range: ByteRange, reason: unknown): Promise<Readable> {
  const entry = isOvertaken(reason) ? await store.records.load(id) : null
  const bytes = entry?.record.object && entry.record.mark === mark ? await openBytes(store, entry, range) : null
  if (bytes === null) throw reason
  return bytes
}

export async function * list (store: Store): AsyncGenerator<Upload> {
  for await (const { key, etag } of store.bucket.list(store.keys.prefix)) {
    const parsed = parseKey(store.keys.prefix, key)
    if (parsed?.kind !== 'record') continue
    const entry = await confirm(store, await store.records.loadListed(parsed.id, etag))
    if (entry !== null && !entry.record.removed) yield toUpload(entry.record)
  }
}
