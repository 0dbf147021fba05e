import type { Context } from '../context.js'
import { TUS_ERR_UPLOAD_EXPIRED, TUS_ERR_UPLOAD_NOT_FOUND } from '../errors.js'
import { isExpired } from '../expiration.js'
import type { AccessAction } from '../hooks.js'
import type { FindHint } from '../storage.js'
import { getPlace, type Place, type Upload } from '../upload.js'
import type { Exchange } from './exchange.js'

/** The upload, or `null`. One that has expired is not there, unless it is asked for. */
export async function find (context: Context, id: string, which: 'alive' | 'expired too' = 'alive'): Promise<Upload | null> {
  const upload = await context.storage.find(id)
  return upload === null || !isHere(context, upload) || (which === 'alive' && isGone(context, upload)) ? null : upload
}

/** @throws TUS_ERR_UPLOAD_NOT_FOUND, TUS_ERR_UPLOAD_EXPIRED as long as the server remembers */
export async function findOrThrow (context: Context, id: string, hint?: FindHint): Promise<Upload> {
  const upload = await context.storage.find(id, hint)
  if (upload !== null && isHere(context, upload) && !isGone(context, upload)) return upload
  const gone = upload === null ? context.expiredIds.get(id) : getPlace(upload)
  throw gone !== undefined && mayTell(context, gone) ? TUS_ERR_UPLOAD_EXPIRED() : TUS_ERR_UPLOAD_NOT_FOUND()
}

/** As {@link findOrThrow}, and lets the request know which upload it is about. */
export async function findFor (context: Context, id: string, exchange: Exchange, hint?: FindHint): Promise<Upload> {
  const upload = await findOrThrow(context, id, hint)
  exchange.see(upload)
  return upload
}

/**
 * Whether an upload is there for the request of this context, or for the application, which has no scope: the only place
 * that decides.
 *
 * An upload of another scope is not there, nor is one that belongs to another request of the application.
 */
function isHere (context: Context, upload: Pick<Upload, 'scope' | 'purpose'>): boolean {
  return isWithin(context, getPlace(upload))
}

function isWithin ({ target, scope }: Context, place: Place): boolean {
  return (target === undefined || place.target === target) && (scope === undefined || place.scope === undefined || place.scope === scope)
}

/** Whether requests of this registration may meet an upload: it is its hooks that complete it. */
export function isOurs ({ scopes }: Context, { scope }: Pick<Upload, 'scope'>): boolean {
  return scope === undefined || scopes.mayInclude(scope)
}

/** Nobody can ask the hooks about an upload that is removed: who may not know that it was there would be told. */
function mayTell (context: Context, place: Place): boolean {
  return isWithin(context, place) && !context.hooks.has('preAccess')
}

export function isGone ({ options }: Context, upload: Upload): boolean {
  return isExpired(upload, options.expiration)
}

/**
 * Lets the application refuse a request before it can disturb anybody: before it waits for the lock, and so before the
 * upload's present holder is asked to leave. Nor does a request disturb an upload that is not there for it.
 *
 * What a hook refuses with 404 is not there: the client is told what it is told of any other id.
 *
 * @throws TUS_ERR_UPLOAD_NOT_FOUND, TUS_ERR_UPLOAD_EXPIRED, what a hook throws
 */
export function checkAccess (context: Context, id: string, action: AccessAction, exchange: Asking): Promise<void> | void {
  if (context.hooks.has('preAccess')) return askForAccess(context, id, action, exchange)
  if (LOCKING.has(action)) return checkPlace(context, id)
}

/** Of a request, what its access needs. */
type Asking = Pick<Exchange, 'request' | 'log' | 'see'>

async function askForAccess (context: Context, id: string, action: AccessAction, exchange: Asking): Promise<void> {
  const upload = await findOrThrow(context, id)
  if (action === 'download') checkWhole(upload)
  exchange.see(upload)
  try {
    await context.hooks.runPre('preAccess', exchange.log, exchange.request, upload, action)
  } catch (error) {
    if (!isHidden(error)) throw error
    exchange.see(null)
    throw TUS_ERR_UPLOAD_NOT_FOUND({}, error)
  }
}

/**
 * A part of a file is nothing to read: `preFinish` looks at the whole alone. A client is told what it is told of any other id.
 *
 * @throws TUS_ERR_UPLOAD_NOT_FOUND
 */
export function checkWhole ({ partial }: Upload): void {
  if (partial) throw TUS_ERR_UPLOAD_NOT_FOUND()
}

/** Whether a hook says that an upload is not there. */
export function isHidden (error: unknown): boolean {
  return error instanceof Error && 'statusCode' in error && error.statusCode === 404
}

/** Where an upload is never changes, so that what the storage remembers will do to let a request in. */
async function checkPlace (context: Context, id: string): Promise<void> {
  const known = await context.storage.find(id, { place: true })
  if (known === null || !isHere(context, known)) await findOrThrow(context, id)
}

/** What waits for the lock of its upload, whoever holds it. */
const LOCKING: ReadonlySet<AccessAction> = new Set(['append', 'terminate'])
