import { crc32 } from 'node:zlib'

/** What a process makes durable by the journal instead of by syncing a file. */
export type Entry = CreateEntry | BytesEntry

/** A record, and the name of the bytes beside it. */
export interface CreateEntry {
  readonly kind: 'create'
  readonly id: string
  /** Tells an upload from a later one of the same id, in ms. */
  readonly createdAt: number
  /** The record, as its file holds it. */
  readonly text: string
}

/** Bytes that the file of an upload holds from `offset` on. */
export interface BytesEntry {
  readonly kind: 'bytes'
  readonly id: string
  readonly createdAt: number
  readonly offset: number
  readonly bytes: Buffer
}

/** A line of JSON and the bytes behind it, after their lengths and a checksum of both: half an entry is none. */
export function encodeEntry (entry: Entry): Buffer {
  const { kind, id, createdAt } = entry
  const head = Buffer.from(JSON.stringify({ kind, id, createdAt, offset: entry.kind === 'bytes' ? entry.offset : 0 }))
  const body = entry.kind === 'bytes' ? entry.bytes : Buffer.from(entry.text)
  const frame = Buffer.allocUnsafe(FRAME + head.length + body.length)
  frame.writeUInt32LE(head.length, 4)
  frame.writeUInt32LE(body.length, 8)
  head.copy(frame, FRAME)
  body.copy(frame, FRAME + head.length)
  frame.writeUInt32LE(crc32(frame.subarray(4)), 0)
  return frame
}

/** An entry of a log, and the byte behind it. */
export type EntryOfLog = Entry & { readonly end: number }

/** The entries from the start on, up to the first that is not whole: whoever wrote that was told of no success. */
export function * decodeEntries (bytes: Buffer): Generator<EntryOfLog> {
  for (let at = 0; at + FRAME <= bytes.length;) {
    const bodyAt = at + FRAME + bytes.readUInt32LE(at + 4)
    const end = bodyAt + bytes.readUInt32LE(at + 8)
    if (end > bytes.length || bodyAt === at + FRAME || crc32(bytes.subarray(at + 4, end)) !== bytes.readUInt32LE(at)) return
    const { kind, id, createdAt, offset } = JSON.parse(bytes.toString('utf8', at + FRAME, bodyAt))
    const body = bytes.subarray(bodyAt, end)
    yield kind === 'create' ? { kind, id, createdAt, text: body.toString(), end } : { kind, id, createdAt, offset, bytes: body, end }
    at = end
  }
}

/** Checksum, length of the head, length of the body. */
const FRAME = 12
