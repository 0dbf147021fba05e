import { joinUpload, type NewUpload, type Upload } from '../../lib/upload.js'

/** What `<id>.info` holds. Nothing of an upload counts that is not in here. */
export interface UploadRecord {
  readonly upload: NewUpload
  /** Tells this upload's object from any other's: it is in the object's metadata. */
  readonly mark: string
  /** The key of the object that it becomes. */
  readonly key: string
  /** Who wrote bytes last, and how often that changed. */
  readonly writer: string
  readonly epoch: number
  /** Differs at every write, so that a writer knows its own when the answer got lost. */
  readonly revision: string
  readonly multipart: string | null
  /** In the order of their bytes, without a gap from byte 0. */
  readonly parts: readonly Part[]
  /** The lowest part number that nobody has ever used. */
  readonly next: number
  readonly window: Window | null
  /** What follows the parts. */
  readonly pieces: readonly Piece[]
  /** Once all is there, and in one piece. */
  readonly object: StoredObject | null
  /** Whether an upload whose object is there is complete, if it is not so at its length: until then, hooks and digests decide. */
  readonly marked: boolean
  /** The cutting out of stray parts, if one was begun. */
  readonly splice: Splice | null
  /** It is being removed. */
  readonly removed: boolean
  readonly finished: boolean
  readonly processed: boolean
  readonly modifiedAt: Date
  /** Another server began it, and its objects bear no mark. */
  readonly adopted?: boolean
}

export interface Part {
  readonly number: number
  readonly size: number
  readonly etag: string
}

/** The part numbers that the writer may be using now. Who takes over must not use those of them that are not there yet. */
export interface Window {
  /** In the order of their bytes. */
  readonly numbers: readonly number[]
  /** The size of each, in bytes; only the last of the upload may be smaller. */
  readonly size: number
  /** Whether the parts count together or not at all. */
  readonly whole: boolean
}

export interface Piece {
  readonly name: string
  readonly size: number
}

export interface StoredObject {
  readonly etag: string
  readonly size: number
}

/** Where the bytes of the upload are in an object that has stray parts in between. */
export interface Splice {
  readonly size: number
  readonly ranges: ReadonlyArray<readonly [start: number, end: number]>
  /** The ETag of that object, once it is there. */
  readonly etag: string | null
}

export function createRecord (upload: NewUpload, key: string, names: { mark: string, writer: string, revision: string }): UploadRecord {
  return {
    upload,
    ...names,
    key,
    epoch: 1,
    multipart: null,
    parts: [],
    next: 1,
    window: null,
    pieces: [],
    object: null,
    marked: false,
    splice: null,
    removed: false,
    finished: false,
    processed: false,
    modifiedAt: upload.createdAt
  }
}

/** Bytes that lie in parts. */
export function getPartsEnd ({ parts }: Pick<UploadRecord, 'parts'>): number {
  return sum(parts)
}

/** Bytes that are durable. */
export function getOffset (record: Pick<UploadRecord, 'parts' | 'pieces' | 'object'>): number {
  return record.object?.size ?? sum(record.parts) + sum(record.pieces)
}

/** Whether every byte lies in a part: all that is left is to put them together. */
export function isSealed (record: UploadRecord): boolean {
  return record.object === null && record.window === null && record.pieces.length === 0 && record.parts.length > 0 &&
    getOffset(record) === record.upload.length
}

/** Whether the upload is complete. The object may be there before: it is made to be looked at. */
export function isComplete ({ object, marked, upload }: UploadRecord): boolean {
  return object !== null && (marked || upload.completes === 'at-length')
}

export function sum (list: ReadonlyArray<{ readonly size: number }>): number {
  return list.reduce((total, { size }) => total + size, 0)
}

export function toUpload (record: UploadRecord): Upload {
  const { finished, processed, modifiedAt } = record
  return joinUpload(record.upload, { offset: getOffset(record), complete: isComplete(record), finished, processed, modifiedAt })
}

/** Parts are by far the most of it: each is one short list. */
export function stringifyRecord (record: UploadRecord): string {
  return JSON.stringify({ version: 1, ...record, parts: record.parts.map(({ number, size, etag }) => [number, size, etag]) })
}

/**
 * `null` for what is no record: an object of the application whose key ends as those of records do.
 *
 * @throws TypeError for a record of a later version
 */
export function parseRecord (text: string): UploadRecord | null {
  const parsed = parse(text)
  if (!parsed) return null
  const { version, upload, parts, modifiedAt, ...rest } = parsed
  if (version !== 1) throw new TypeError(`A record has version ${version}, which this version of fastify-tus does not know`)
  return {
    ...rest,
    // Records that know no mark had an object only once they were complete.
    marked: rest.marked ?? rest.object !== null,
    upload: { ...upload, createdAt: new Date(upload.createdAt), expiresAt: upload.expiresAt === null ? null : new Date(upload.expiresAt) },
    parts: parts.map(([number, size, etag]) => ({ number, size, etag })),
    modifiedAt: new Date(modifiedAt)
  }
}

/** A record as JSON has it. */
type StoredRecord = Omit<UploadRecord, 'upload' | 'parts' | 'modifiedAt' | 'marked'> & {
  readonly marked?: boolean
  readonly version: number
  readonly upload: Omit<NewUpload, 'createdAt' | 'expiresAt'> & { readonly createdAt: string, readonly expiresAt: string | null }
  readonly parts: ReadonlyArray<readonly [number: number, size: number, etag: string]>
  readonly modifiedAt: string
}

/** Not looked at but for what tells a record from anything else. */
function parse (text: string): StoredRecord | null {
  try {
    const parsed = JSON.parse(text)
    return typeof parsed?.version === 'number' && parsed.upload && parsed.mark ? parsed : null
  } catch {
    return null
  }
}
