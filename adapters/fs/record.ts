import { joinUpload, type NewUpload, type Upload } from '../../lib/upload.js'

/** What the file `<id>.json` holds: an upload without its offset, which is the length of the file of its bytes. */
export interface UploadRecord {
  readonly upload: NewUpload
  /** Completed by a mark. */
  readonly marked: boolean
  /**
   * Where the upload ends while unverified bytes are being written behind it; `null` at all other times. What lies beyond counts only once
   * the hold is gone.
   */
  readonly hold: number | null
  /** The hooks behind the completion have run. */
  readonly finished: boolean
  /** A worker is done with it. */
  readonly processed: boolean
}

const VERSION = 1

/** What each record begins with. The file of an application that happens to end with `.json`, too, does not. */
export const RECORD_START = `{"version":${VERSION},"marked":`

/** Whether a text begins as the record of this id does, as far as the id. */
export function isRecordOf (id: string, text: string): boolean {
  return BEGINNING.exec(text)?.[1] === id
}

/** Whether it ends before the id: nothing tells whose record it was to be. */
export function isShort (text: string): boolean {
  return text.startsWith(RECORD_START) && text.length < LONGEST_BEGINNING && !text.includes('"id"')
}

const BEGINNING = /^\{"version":1,"marked":(?:true|false),"hold":(?:null|\d+),"finished":(?:true|false),"processed":(?:true|false),"upload":\{"id":"([^"]*)"/
const LONGEST_BEGINNING = 150

export function serializeRecord ({ upload, marked, hold, finished, processed }: UploadRecord): string {
  return JSON.stringify({ version: VERSION, marked, hold, finished, processed, upload: toPlain(upload) }) + '\n'
}

/** With times in ms: text is made of numbers at half the cost of dates. */
function toPlain (upload: NewUpload) {
  return {
    id: upload.id,
    length: upload.length,
    metadata: upload.metadata,
    serverMetadata: upload.serverMetadata,
    echo: upload.echo,
    partial: upload.partial,
    final: upload.final,
    parts: upload.parts,
    partsCreatedAt: upload.partsCreatedAt,
    completes: upload.completes,
    createdAt: upload.createdAt.getTime(),
    expiresAt: upload.expiresAt === null ? null : upload.expiresAt.getTime(),
    purpose: upload.purpose,
    scope: upload.scope
  } satisfies Record<keyof NewUpload, unknown>
}

/** `null` for anything but a whole record of this id: a file that was being written when its process died is none. */
export function parseRecord (id: string, text: string): UploadRecord | null {
  if (!text.startsWith(RECORD_START) || !text.endsWith('\n')) return null
  const { marked, hold, finished, processed, upload } = JSON.parse(text)
  if (upload?.id !== id) return null
  upload.createdAt = new Date(upload.createdAt)
  if (upload.expiresAt !== null) upload.expiresAt = new Date(upload.expiresAt)
  return { marked, hold, finished, processed, upload }
}

/** @param offset bytes that are durable */
export function toUpload (record: UploadRecord, offset: number, modifiedAt: Date): Upload {
  const { upload, finished, processed } = record
  return joinUpload(upload, { offset, complete: isCompleteAt(record, offset), finished, processed, modifiedAt })
}

export function isCompleteAt ({ upload, marked }: UploadRecord, offset: number): boolean {
  return marked || (offset === upload.length && upload.completes === 'at-length')
}
