import { Readable } from 'node:stream'
import type { ByteRange } from '../../lib/storage.js'
import { isCreatedAt, type Upload } from '../../lib/upload.js'
import { isConflict } from './failures.js'
import { confirm } from './find.js'
import { parseKey } from './keys.js'
import { mapParallel } from './parallel.js'
import { toUpload } from './record.js'
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

async function open (store: Store, entry: Entry, { start, end }: ByteRange): Promise<Readable | null> {
  if (entry.record.removed) return null
  const { key, object } = entry.record
  if (object === null) return readPieces(store, entry, { start, end })
  if (object.size === 0 || end < start) return Readable.from([])
  return store.bucket.open(key, object.etag, start === 0 && end === object.size - 1 ? null : `bytes=${start}-${end}`)
}

/** Of an upload that is not complete, the bytes in pieces can be read; S3 shows none that are in parts. */
async function readPieces (store: Store, { id, record }: Entry, { start, end }: ByteRange): Promise<Readable | null> {
  if (record.parts.length > 0) return null
  const chunks = await mapParallel(record.pieces, READERS, piece => readPiece(store, id, piece))
  return Readable.from([Buffer.concat(chunks).subarray(start, end + 1)])
}

export async function * list (store: Store): AsyncGenerator<Upload> {
  for await (const { key, etag } of store.bucket.list(store.keys.prefix)) {
    const parsed = parseKey(store.keys.prefix, key)
    if (parsed?.kind !== 'record') continue
    const entry = await confirm(store, await store.records.loadListed(parsed.id, etag))
    if (entry !== null && !entry.record.removed) yield toUpload(entry.record)
  }
}

const READERS = 8
