import {
  TUS_ERR_LENGTH_MISMATCH, TUS_ERR_LOCK_TIMEOUT, TUS_ERR_OFFSET_MISMATCH, TUS_ERR_STORAGE_FAILED,
  TUS_ERR_STORAGE_FULL, TUS_ERR_STORAGE_UNAVAILABLE, TUS_ERR_UPLOAD_EXISTS, TUS_ERR_UPLOAD_NOT_FOUND, TusError
} from '../errors.js'
import { LockTimeout } from '../locker.js'
import { LengthConflict, OffsetConflict, StorageFull, StorageUnavailable, UploadExists, UploadMissing } from '../storage.js'

/** Puts what a storage, a locker or a hook threw into the words of this plugin. What it does not know is a 500 that shows nothing. */
export function asAnswerable (error: unknown): Error {
  if (error instanceof TusError) return error
  if (error instanceof OffsetConflict) return TUS_ERR_OFFSET_MISMATCH({ offset: error.offset }, error)
  if (error instanceof UploadMissing) return TUS_ERR_UPLOAD_NOT_FOUND({}, error)
  if (error instanceof UploadExists) return TUS_ERR_UPLOAD_EXISTS({}, error)
  if (error instanceof LengthConflict) return TUS_ERR_LENGTH_MISMATCH({}, error)
  if (error instanceof StorageFull) return TUS_ERR_STORAGE_FULL({}, error)
  if (error instanceof StorageUnavailable) return TUS_ERR_STORAGE_UNAVAILABLE({}, error)
  if (error instanceof LockTimeout) return TUS_ERR_LOCK_TIMEOUT({}, error)
  if (error instanceof AggregateError && error.errors.length > 0) return asAnswerable(error.errors[0])
  if (error instanceof Error && 'statusCode' in error) return error
  return TUS_ERR_STORAGE_FAILED({}, error)
}

/** Whether the upload, or the one that was meant, is not there. */
export function isNotFound (error: unknown): boolean {
  return error instanceof UploadMissing || (error instanceof TusError && error.code === 'TUS_ERR_UPLOAD_NOT_FOUND')
}

/** Whether it was the storage that failed, and not a request or a hook that was refused. */
export function isStorageFailure (error: unknown): boolean {
  const answer = asAnswerable(error)
  return answer instanceof TusError && STORAGE_CODES.has(answer.code)
}

/** Whether the storage can't be reached now, and may be later. */
export function isOutage (error: unknown): boolean {
  const answer = asAnswerable(error)
  return answer instanceof TusError && answer.code === 'TUS_ERR_STORAGE_UNAVAILABLE'
}

const STORAGE_CODES = new Set(['TUS_ERR_STORAGE_FULL', 'TUS_ERR_STORAGE_UNAVAILABLE', 'TUS_ERR_STORAGE_FAILED'])
