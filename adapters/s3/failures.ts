import { StorageFull, StorageUnavailable, UploadMissing } from '../../lib/storage.js'

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

/** For `catch`: says in the words of the contract what keeps S3 from working; any other error stays as it is. */
export function throwStorageError (error: unknown): never {
  if (isFull(error)) throw new StorageFull('S3 has no room', { cause: error })
  throw isOutage(error) ? new Outage(error as Failure) : error
}

/** No room: a quota of Ceph or MinIO, or a full disk. */
function isFull (error: unknown): boolean {
  return getStatus(error) === 507 || FULL.has((error as Failure | null)?.name ?? '')
}

/** After all retries: no answer, one of a server that fails, or one that asks for fewer requests. That the server does not know a request (501) is none. */
function isOutage (error: unknown): boolean {
  const status = getStatus(error)
  const { name = '', code = '' } = error as Failure
  if (CREDENTIALS.has(name)) return true
  if (status === null) return name === 'TimeoutError' || NETWORK.has(code)
  return status === 429 || (status >= 500 && status !== 501) || THROTTLED.has(name)
}

const FULL = new Set(['QuotaExceeded', 'XMinioStorageFull', 'XMinioAdminBucketQuotaExceeded', 'InsufficientStorage', 'StorageFull'])
/** Those that come with 400 or 403. */
const THROTTLED = new Set(['RequestTimeout', 'Throttling', 'ThrottlingException', 'RequestThrottled', 'RequestLimitExceeded', 'BandwidthLimitExceeded', 'TooManyRequestsException'])
/** Credentials that expired, can't be had, or are refused because of a clock: whoever renews them ends the outage. */
const CREDENTIALS = new Set(['ExpiredToken', 'ExpiredTokenException', 'TokenRefreshRequired', 'InvalidToken', 'RequestTimeTooSkewed', 'RequestExpired', 'CredentialsProviderError', 'TokenProviderError'])
const NETWORK = new Set(['ECONNREFUSED', 'ECONNRESET', 'ECONNABORTED', 'EPIPE', 'ETIMEDOUT', 'EHOSTDOWN', 'EHOSTUNREACH', 'ENETDOWN', 'ENETUNREACH', 'ENOTFOUND', 'EAI_AGAIN'])

interface Failure {
  readonly name?: string
  readonly code?: string
  readonly message?: string
  readonly $metadata?: { readonly httpStatusCode?: number }
}

/** S3 can't be used at present. What it answered, if it did, is what {@link getStatus} tells. */
class Outage extends StorageUnavailable implements Failure {
  readonly $metadata: NonNullable<Failure['$metadata']>

  constructor (cause: Failure) {
    super(`S3 can not be used at present: ${cause.message || cause.code || cause.name}`, { cause })
    this.$metadata = cause.$metadata ?? {}
  }
}

/**
 * Another process has gone on with the upload: what this one was about to write comes to nothing. Where that happens again and again, the client
 * hears what it hears of a storage that can't be used at present, and comes again.
 */
export class Superseded extends StorageUnavailable {}

/** Whether others have gone on with the upload, or removed it: nothing of what this writer was about to write counts. */
export function isOvertaken (error: unknown): boolean {
  return error instanceof Superseded || error instanceof UploadMissing
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
  /** For the log: a client has no business with it. */
  readonly key: string

  constructor (key: string, cause: unknown) {
    super('There is another object under the key of this upload', { cause })
    this.key = key
  }
}

/** The server does not do what this storage stands on. */
export class UnsafeServer extends Error {
  override readonly name = 'UnsafeServer'
  readonly code = 'S3_UNSAFE_SERVER'
}
