/** The HTTP status that S3 answered with; `null` if there was no answer. */
export function getStatus (error: unknown): number | null {
  return (error as Failure | null)?.$metadata?.httpStatusCode ?? null
}

/** The condition of a conditional write did not hold: 412; or 409, where two writes met. */
export function isConflict (error: unknown): boolean {
  const status = getStatus(error)
  return status === 412 || status === 409
}

export function isNotModified (error: unknown): boolean {
  return getStatus(error) === 304
}

/** There is no such object or multipart upload. Ceph says `NoSuchKey` where AWS says `NoSuchUpload`. */
export function isMissing (error: unknown): boolean {
  return getStatus(error) === 404 && (error as Failure).name !== 'NoSuchBucket'
}

/** A part that was named is not there, or has other bytes; or, as Ceph has it, a part that is there was not named. */
export function isInvalidPart (error: unknown): boolean {
  const { name } = error as Failure
  return name === 'InvalidPart' || name === 'InvalidPartOrder' || name === 'EntityTooSmall'
}

/** Whether the request may have been carried out all the same: no answer, or one that does not tell. */
export function isUnclear (error: unknown): boolean {
  const status = getStatus(error)
  return status === null || status >= 500
}

/** No room: a quota of Ceph or MinIO, or a full disk. */
export function isFull (error: unknown): boolean {
  return getStatus(error) === 507 || FULL.has((error as Failure | null)?.name ?? '')
}

const FULL = new Set(['QuotaExceeded', 'XMinioStorageFull', 'XMinioAdminBucketQuotaExceeded', 'InsufficientStorage', 'StorageFull'])

interface Failure {
  readonly name?: string
  readonly $metadata?: { readonly httpStatusCode?: number }
}

/** Another process has gone on with the upload: what this one was about to write comes to nothing. */
export class Superseded extends Error {
  override readonly name = 'Superseded'
}

/**
 * What S3 holds can't become the upload any more: a lifecycle rule has aborted it, or a part was replaced. The client has to start again.
 * The plugin answers with 410.
 */
export class UploadLost extends Error {
  override readonly name = 'UploadLost'
  readonly code = 'S3_UPLOAD_LOST'
  readonly statusCode = 410
}

/** There is an object under the upload's key that is not this upload's; it is not overwritten. The plugin answers with 409. */
export class KeyTaken extends Error {
  override readonly name = 'KeyTaken'
  readonly code = 'S3_KEY_TAKEN'
  readonly statusCode = 409
}

/** The server does not do what this storage stands on. */
export class UnsafeServer extends Error {
  override readonly name = 'UnsafeServer'
  readonly code = 'S3_UNSAFE_SERVER'
}
