import { isFull, joinUpload, type NewUpload, type Upload } from '../../lib/upload.js'

/** What `<id>.info` holds: what has nothing to do with bytes. */
export interface UploadRecord {
  readonly upload: NewUpload
  /** Ties it to the blob of the bytes: an upload is there only if both have the same. */
  readonly mark: string
  /** Differs at every write, so that a writer knows its own when the answer got lost. */
  readonly revision: string
  readonly finished: boolean
  readonly processed: boolean
}

/** What is known of the bytes. It lies in the metadata of their blob, so that it changes together with them or not at all. */
export interface State {
  readonly mark: string
  /** Who wrote last. */
  readonly writer: string
  /** Differs at every write. */
  readonly revision: string
  /** Of the upload, as declared. */
  readonly length: number | null
  /** Whether it was marked as complete. */
  readonly complete: boolean
  readonly modifiedAt: Date
}

export function toUpload (record: UploadRecord, { length, complete, modifiedAt }: State, offset: number): Upload {
  const { upload, finished, processed } = record
  const isWhole = complete || (upload.completes === 'at-length' && isFull({ length, offset }))
  return joinUpload({ ...upload, length }, { offset, complete: isWhole, finished, processed, modifiedAt })
}

export function stringifyRecord (record: UploadRecord): string {
  return JSON.stringify({ version: VERSION, ...record })
}

/**
 * `null` for what is no record: a blob of the application whose name ends as those of records do.
 *
 * @throws TypeError for a record of a later version
 */
export function parseRecord (text: string): UploadRecord | null {
  const parsed = parse(text)
  if (!parsed?.upload || typeof parsed.mark !== 'string') return null
  const { version, upload, ...rest } = parsed
  checkVersion(version)
  const { createdAt, expiresAt } = upload
  return { ...rest, upload: { ...upload, createdAt: new Date(createdAt), expiresAt: expiresAt === null ? null : new Date(expiresAt) } }
}

/** As the value of a header, which takes ASCII alone. */
export function stringifyState (state: State): string {
  return JSON.stringify({ version: VERSION, ...state })
}

/**
 * `null` for the metadata of a blob that is not this storage's.
 *
 * @throws TypeError for those of a later version
 */
export function parseState (text: string | undefined): State | null {
  const parsed = parse(text ?? '')
  if (typeof parsed?.mark !== 'string') return null
  const { version, modifiedAt, ...rest } = parsed
  checkVersion(version)
  return { ...rest, modifiedAt: new Date(modifiedAt) }
}

function checkVersion (version: unknown): void {
  if (version !== VERSION) throw new TypeError(`An upload was stored in version ${version}, which this version of fastify-tus does not know`)
}

function parse (text: string): any {
  try {
    return JSON.parse(text)
  } catch {
    return null
  }
}

const VERSION = 1
