import type { NewUpload, Upload } from '../../lib/upload.js'

/** What the file `<id>.json` holds: an upload without its offset, which is the length of the file of its bytes. */
export interface UploadRecord extends NewUpload {
  /** Completed by a mark. */
  readonly marked: boolean
}

const VERSION = 1

export function serializeRecord (record: UploadRecord): string {
  return JSON.stringify({ version: VERSION, ...record }) + '\n'
}

/** `null` for anything but a whole record of this id: a file that was being written when its process died is none. */
export function parseRecord (id: string, text: string): UploadRecord | null {
  if (!text.endsWith('\n')) return null
  const { version, createdAt, expiresAt, ...record } = JSON.parse(text)
  if (version !== VERSION || record.id !== id) return null
  return { ...record, createdAt: new Date(createdAt), expiresAt: expiresAt && new Date(expiresAt) }
}

/** @param offset bytes that are durable */
export function toUpload ({ marked, ...upload }: UploadRecord, offset: number, modifiedAt: Date): Upload {
  const full = offset === upload.length
  return { ...upload, offset, complete: marked || (full && upload.completes === 'at-length'), modifiedAt }
}
