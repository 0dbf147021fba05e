import type { ObjectHead } from './bucket.js'
import { sum, type UploadRecord } from './record.js'
import { MARK } from './store.js'

/**
 * Whether an object is the one that the upload of a record became.
 *
 * Where another server began the multipart upload, the object bears no mark. There the record names it by its ETag, or, before it does, the size tells,
 * and the number of parts that stands at the end of the ETag.
 */
export function isOwn (record: UploadRecord, { etag, size, metadata }: ObjectHead): boolean {
  const { mark, adopted, object, parts } = record
  if (metadata[MARK] === mark) return true
  if (!adopted) return false
  if (object !== null) return unquote(etag) === unquote(object.etag)
  return parts.length > 0 && size === sum(parts) && unquote(etag).endsWith(`-${parts.length}`)
}

/** The same for an object with strays in it, of which the size is all that is known. */
export function isOwnWithStrays ({ mark, adopted, splice }: UploadRecord, { etag, size, metadata }: ObjectHead): boolean {
  return size === splice?.size && (metadata[MARK] === mark || (adopted === true && /-\d+$/.test(unquote(etag))))
}

function unquote (etag: string): string {
  return etag.replaceAll('"', '')
}
