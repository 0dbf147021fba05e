import { StorageUnavailable } from '../../lib/storage.js'

/** The HTTP status that Azure answered with; `null` if there was no answer. */
export function getStatus (error: unknown): number | null {
  return getReason(error).statusCode ?? null
}

/** The condition of a conditional write did not hold: 412; or 409, where there is a blob and should be none. */
export function isConflict (error: unknown): boolean {
  const status = getStatus(error)
  return status === 412 || status === 409
}

/** There is no such blob; a missing container is another matter. */
export function isMissing (error: unknown): boolean {
  return getStatus(error) === 404 && getCode(error) !== 'ContainerNotFound'
}

/** A block that was named is not there. */
export function isInvalidList (error: unknown): boolean {
  return getCode(error) === 'InvalidBlockList'
}

/** Whether the request may have been carried out all the same: no answer, or one that does not tell. */
export function isUnclear (error: unknown): boolean {
  const status = getStatus(error)
  return status === null || status >= 500
}

/**
 * For `catch`: says in the words of the contract what keeps Azure from working. An error of the SDK never leaves this storage as it is: its
 * `statusCode` would become the answer to the client.
 */
export function throwStorageError (error: unknown): never {
  if (isOutage(error)) throw new Outage(error as Reason)
  throw getStatus(error) === null || error instanceof Refusal ? error : new Refusal(error as Reason)
}

/** After all retries: no answer, one of a server that fails, or one that asks for fewer requests. */
function isOutage (error: unknown): boolean {
  const status = getStatus(error)
  const { code = '', name = '' } = getReason(error)
  if (CREDENTIALS.has(name) || CREDENTIALS.has(getCode(error) ?? '')) return true
  if (status === null) return name === 'RestError' || name === 'AbortError' || name === 'TimeoutError' || NETWORK.has(code)
  return status === 429 || (status >= 500 && status !== 501)
}

/** A token or a signature that expired, or that can't be had: whoever renews it ends the outage. */
const CREDENTIALS = new Set([
  'AuthenticationFailed', 'InvalidAuthenticationInfo', 'ExpiredAuthenticationToken',
  'AuthenticationError', 'AggregateAuthenticationError', 'AuthenticationRequiredError', 'CredentialUnavailableError'
])

function getCode (error: unknown): string | undefined {
  const { details, code } = getReason(error)
  return details?.errorCode ?? code
}

function getReason (error: unknown): Reason {
  return ((error instanceof Outage || error instanceof Refusal ? error.cause : error) ?? {}) as Reason
}

const NETWORK = new Set(['ECONNREFUSED', 'ECONNRESET', 'ECONNABORTED', 'EPIPE', 'ETIMEDOUT', 'EHOSTDOWN', 'EHOSTUNREACH', 'ENETDOWN', 'ENETUNREACH', 'ENOTFOUND', 'EAI_AGAIN'])

/** What errors of the SDK have. */
interface Reason {
  readonly name?: string
  readonly code?: string
  readonly message?: string
  readonly statusCode?: number
  readonly details?: { readonly errorCode?: string }
}

/** Azure can't be used at present. */
class Outage extends StorageUnavailable {
  constructor (cause: Reason) {
    super(`Azure can not be used at present: ${cause.message || cause.code || cause.name}`, { cause })
  }
}

/** Azure did not do what it was asked: `cause` has its words. */
class Refusal extends Error {
  override readonly name = 'Refusal'

  constructor (cause: Reason) {
    super(`Azure answered ${cause.statusCode}: ${getCode(cause) ?? cause.message}`, { cause })
  }
}

/**
 * Another process has gone on with the upload: what this one was about to write comes to nothing. Where that happens again and again, the client
 * hears what it hears of a storage that can't be used at present, and comes again.
 */
export class Superseded extends StorageUnavailable {}
