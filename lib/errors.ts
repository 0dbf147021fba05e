/** What went wrong, in data: protocols put it into headers and bodies. */
export type ErrorFacts = Readonly<Record<string, unknown>>

/** Every error that this plugin answers with. `code` is stable; `message` is for people. */
export class TusError extends Error {
  override readonly name = 'TusError'
  readonly code: string
  /** The HTTP status that says this in tus 1.0.0. */
  readonly statusCode: number
  readonly facts: ErrorFacts

  constructor (code: string, statusCode: number, message: string, facts: ErrorFacts, cause?: unknown) {
    super(message, cause === undefined ? undefined : { cause })
    this.code = code
    this.statusCode = statusCode
    this.facts = facts
  }

  /** The same in a protocol that says it by another status. */
  as (statusCode: number): TusError {
    return new TusError(this.code, statusCode, this.message, this.facts, this)
  }
}

type None = Record<never, never>
const codes: string[] = []

function define<Facts extends ErrorFacts = None> (code: string, statusCode: number, say: (facts: Facts) => string) {
  codes.push(code)
  return (...[facts, cause]: keyof Facts extends never ? [facts?: Facts, cause?: unknown] : [facts: Facts, cause?: unknown]) =>
    new TusError(code, statusCode, say(facts ?? {} as Facts), facts ?? {}, cause)
}

// Thrown at registration
export const TUS_ERR_OPTION_INVALID = define<{ option: string, expected: string }>('TUS_ERR_OPTION_INVALID', 500, f => `Option '${f.option}' must be ${f.expected}`)
export const TUS_ERR_OPTION_UNKNOWN = define<{ option: string, similar: string | null }>('TUS_ERR_OPTION_UNKNOWN', 500, f => `There is no option '${f.option}'${f.similar === null ? '' : `: did you mean '${f.similar}'?`}`)
export const TUS_ERR_DECORATOR_PRESENT = define<{ decorator: string }>('TUS_ERR_DECORATOR_PRESENT', 500, f => `This scope has a decorator '${f.decorator}' already: register fastify-tus in a scope of its own`)
export const TUS_ERR_ROUTE_INVALID = define<{ expected: string }>('TUS_ERR_ROUTE_INVALID', 500, f => `A route of app.tus.resumable() must be ${f.expected}`)
export const TUS_ERR_HOOK_UNKNOWN = define<{ hook: string }>('TUS_ERR_HOOK_UNKNOWN', 500, f => `There is no lifecycle hook '${f.hook}'`)
export const TUS_ERR_HOOK_INVALID = define<{ hook: string }>('TUS_ERR_HOOK_INVALID', 500, f => `The lifecycle hook '${f.hook}' must be a function`)

// Thrown by app.tus
export const TUS_ERR_CLAIM_LOST = define('TUS_ERR_CLAIM_LOST', 409, () => 'The upload was removed, or its lease ran out: another worker may have it')
export const TUS_ERR_CLAIMS_UNSUPPORTED = define('TUS_ERR_CLAIMS_UNSUPPORTED', 501, () => 'The storage does not support claims')

// What a request did wrong
export const TUS_ERR_VERSION_UNSUPPORTED = define<{ supported: string }>('TUS_ERR_VERSION_UNSUPPORTED', 412, f => `Tus-Resumable must be present and one of: ${f.supported}`)
export const TUS_ERR_METHOD_NOT_ALLOWED = define<{ allow: string }>('TUS_ERR_METHOD_NOT_ALLOWED', 405, f => `The method must be one of: ${f.allow}`)
export const TUS_ERR_METHOD_OVERRIDE = define<{ method: string }>('TUS_ERR_METHOD_OVERRIDE', 400, f => `X-HTTP-Method-Override must not be on a ${f.method} request: send it with POST`)
export const TUS_ERR_HEADER_INVALID = define<{ header: string, expected: string }>('TUS_ERR_HEADER_INVALID', 400, f => `${f.header} must be ${f.expected}`)
export const TUS_ERR_HEADER_MISSING = define<{ header: string }>('TUS_ERR_HEADER_MISSING', 400, f => `${f.header} is required`)
export const TUS_ERR_METADATA_INVALID = define<{ reason: string }>('TUS_ERR_METADATA_INVALID', 400, f => `Upload-Metadata is malformed: ${f.reason}`)
export const TUS_ERR_METADATA_TOO_LARGE = define<{ max: number }>('TUS_ERR_METADATA_TOO_LARGE', 400, f => `Upload-Metadata must not be longer than ${f.max} bytes`)
export const TUS_ERR_EXTENSION_DISABLED = define<{ extension: string }>('TUS_ERR_EXTENSION_DISABLED', 400, f => `The extension '${f.extension}' is not offered here`)
export const TUS_ERR_CONTENT_TYPE = define<{ expected: string }>('TUS_ERR_CONTENT_TYPE', 415, f => `Content-Type must be ${f.expected}`)
export const TUS_ERR_CONTENT_ENCODING = define('TUS_ERR_CONTENT_ENCODING', 415, () => 'Content-Encoding and compressing Transfer-Encodings are not supported: send the bytes as they are')
export const TUS_ERR_CHECKSUM_INVALID = define('TUS_ERR_CHECKSUM_INVALID', 400, () => 'Upload-Checksum must be the name of an algorithm and its Base64 digest, behind a single space')
export const TUS_ERR_CHECKSUM_ALGORITHM = define<{ supported: string }>('TUS_ERR_CHECKSUM_ALGORITHM', 400, f => `The algorithm of Upload-Checksum must be one of: ${f.supported}`)
export const TUS_ERR_CHECKSUM_MISMATCH = define<{ algorithm: string }>('TUS_ERR_CHECKSUM_MISMATCH', 460, f => `The bytes do not have the ${f.algorithm} checksum that was announced`)
export const TUS_ERR_TRAILER_REFUSED = define<{ header: string, expected: string }>('TUS_ERR_TRAILER_REFUSED', 400, f => `${f.header} came in a trailer: it must be ${f.expected}`)
export const TUS_ERR_DIGEST_INVALID = define<{ header: string }>('TUS_ERR_DIGEST_INVALID', 400, f => `${f.header} must be a dictionary of digests as byte sequences of their length`)
export const TUS_ERR_DIGEST_MISMATCH = define<{ algorithm: string }>('TUS_ERR_DIGEST_MISMATCH', 400, f => `The upload does not have the ${f.algorithm} digest that was announced`)
export const TUS_ERR_UPLOAD_NOT_FOUND = define('TUS_ERR_UPLOAD_NOT_FOUND', 404, () => 'There is no such upload')
export const TUS_ERR_UPLOAD_EXPIRED = define('TUS_ERR_UPLOAD_EXPIRED', 410, () => 'The upload has expired')
export const TUS_ERR_UPLOAD_FINAL = define('TUS_ERR_UPLOAD_FINAL', 403, () => 'A final upload is made of its parts and takes no bytes')
export const TUS_ERR_CONCAT_INVALID = define<{ reason: string }>('TUS_ERR_CONCAT_INVALID', 400, f => `Upload-Concat is malformed: ${f.reason}`)
export const TUS_ERR_CONCAT_PART_NOT_FOUND = define('TUS_ERR_CONCAT_PART_NOT_FOUND', 400, () => 'Upload-Concat names an upload that is not there')
export const TUS_ERR_CONCAT_PART_NOT_PARTIAL = define('TUS_ERR_CONCAT_PART_NOT_PARTIAL', 400, () => 'Upload-Concat names an upload that is not partial')
export const TUS_ERR_CONCAT_PART_UNFINISHED = define('TUS_ERR_CONCAT_PART_UNFINISHED', 400, () => 'Upload-Concat names a partial upload that is not finished')
export const TUS_ERR_UPLOAD_INCOMPLETE = define('TUS_ERR_UPLOAD_INCOMPLETE', 404, () => 'The upload is not complete, so there is nothing to download yet')
export const TUS_ERR_UPLOAD_COMPLETE = define('TUS_ERR_UPLOAD_COMPLETE', 400, () => 'The upload is complete and takes no more bytes')
export const TUS_ERR_UPLOAD_EXISTS = define('TUS_ERR_UPLOAD_EXISTS', 409, () => 'There is an upload of that id already')
export const TUS_ERR_OFFSET_MISMATCH = define<{ offset: number }>('TUS_ERR_OFFSET_MISMATCH', 409, f => `The upload is at byte ${f.offset}: go on there`)
export const TUS_ERR_LENGTH_MISMATCH = define('TUS_ERR_LENGTH_MISMATCH', 400, () => 'The length must be the one that the upload has, and not less than the bytes that arrived')
export const TUS_ERR_UPLOAD_TOO_LARGE = define<{ max: number }>('TUS_ERR_UPLOAD_TOO_LARGE', 413, f => `An upload must not be larger than ${f.max} bytes`)
export const TUS_ERR_APPEND_TOO_LARGE = define<{ max: number }>('TUS_ERR_APPEND_TOO_LARGE', 413, f => `The body of a request must not be larger than ${f.max} bytes`)
export const TUS_ERR_BODY_TOO_LONG = define<{ length: number }>('TUS_ERR_BODY_TOO_LONG', 413, f => `The body goes beyond the upload's length of ${f.length} bytes`)
export const TUS_ERR_RANGE_INVALID = define<{ length: number }>('TUS_ERR_RANGE_INVALID', 416, f => `The range lies outside of the ${f.length} bytes`)
export const TUS_ERR_PRECONDITION_FAILED = define('TUS_ERR_PRECONDITION_FAILED', 412, () => 'The upload is not in the state that the request demands')

// What came in between
export const TUS_ERR_LOCK_TIMEOUT = define('TUS_ERR_LOCK_TIMEOUT', 423, () => 'The upload is in use by another request')
export const TUS_ERR_BODY_TAKEN_OVER = define<{ offset: number }>('TUS_ERR_BODY_TAKEN_OVER', 423, f => `Another request asked for this upload, so this one ended at byte ${f.offset}`)
export const TUS_ERR_BODY_STALLED = define<{ offset: number }>('TUS_ERR_BODY_STALLED', 503, f => `Too little arrived for too long, so the body ended at byte ${f.offset}`)
export const TUS_ERR_BODY_CUT = define<{ offset: number }>('TUS_ERR_BODY_CUT', 400, f => `The connection broke at byte ${f.offset}`)
export const TUS_ERR_REQUEST_ANSWERED = define<{ offset?: number }>('TUS_ERR_REQUEST_ANSWERED', 503, () => 'The application has answered this request itself')
export const TUS_ERR_UPLOAD_STOPPED = define<{ reason: string }>('TUS_ERR_UPLOAD_STOPPED', 400, f => `The application stopped and removed the upload: ${f.reason}`)
export const TUS_ERR_SHUTTING_DOWN = define<{ offset?: number }>('TUS_ERR_SHUTTING_DOWN', 503, () => 'The server is about to stop: try again in a moment')
export const TUS_ERR_TOO_MANY_UPLOADS = define<{ max: number, retryAfter: number }>('TUS_ERR_TOO_MANY_UPLOADS', 429, f => `Only ${f.max} requests may send bytes at once: try again in ${f.retryAfter} seconds`)

// What failed on this side
export const TUS_ERR_STORAGE_FULL = define('TUS_ERR_STORAGE_FULL', 507, () => 'There is no room left to store this')
export const TUS_ERR_STORAGE_UNAVAILABLE = define('TUS_ERR_STORAGE_UNAVAILABLE', 503, () => 'The storage can not be used at present: try again later')
export const TUS_ERR_STORAGE_FAILED = define('TUS_ERR_STORAGE_FAILED', 500, () => 'The storage failed')
export const TUS_ERR_CHECKSUM_UNAVAILABLE = define('TUS_ERR_CHECKSUM_UNAVAILABLE', 503, () => 'The bytes could not be verified: send them again')
export const TUS_ERR_BODY_CONSUMED = define('TUS_ERR_BODY_CONSUMED', 500, () => 'A hook or a middleware of the application has read the body of this request: exclude the upload routes from it')
export const TUS_ERR_ID_INVALID = define<{ id: string }>('TUS_ERR_ID_INVALID', 500, () => 'The application chose an id that can not name an upload')
export const TUS_ERR_HOOK_RESULT = define<{ hook: string, expected: string }>('TUS_ERR_HOOK_RESULT', 500, () => 'The application gave no usable answer about this request')
export const TUS_ERR_HOOK_FAILED = define<{ hook: string }>('TUS_ERR_HOOK_FAILED', 500, () => 'The application failed to decide about this request')

/** The code of every error above. */
export const errorCodes: readonly string[] = codes
