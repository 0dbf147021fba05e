import type { Context } from '../context.js'
import { TUS_ERR_UPLOAD_EXPIRED, TUS_ERR_UPLOAD_NOT_FOUND } from '../errors.js'
import { isExpired } from '../expiration.js'
import type { AccessAction } from '../hooks.js'
import type { Wanted } from '../locker.js'
import type { FindHint } from '../storage.js'
import { getPlace, isCreatedAt, type Place, type Upload, type UploadRef } from '../upload.js'
import type { Exchange } from './exchange.js'
import { toRef } from './identity.js'

/**
 * The upload, or `null`. One that has expired is not there, unless it is asked for; nor is one that was created at another
 * time than the one that is meant.
 */
export async function find (context: Context, meant: string | UploadRef, which: Which = 'alive'): Promise<Upload | null> {
  const upload = await findMeant(context, toRef(meant))
  return upload === null || !isHere(context, upload) || (which === 'alive' && isGone(context, upload)) ? null : upload
}

type Which = 'alive' | 'expired too'

/** @throws TUS_ERR_UPLOAD_NOT_FOUND, TUS_ERR_UPLOAD_EXPIRED as long as the server remembers */
export async function findOrThrow (context: Context, meant: string | UploadRef, hint?: FindHint): Promise<Upload> {
  const ref = toRef(meant)
  const upload = await findMeant(context, ref, hint)
  if (upload !== null && isHere(context, upload) && !isGone(context, upload)) return upload
  const gone = upload === null ? context.expiredIds.get(ref.id) : getPlace(upload)
  throw gone !== undefined && mayTell(context, gone) ? TUS_ERR_UPLOAD_EXPIRED() : TUS_ERR_UPLOAD_NOT_FOUND()
}

/** As {@link findOrThrow}, and lets the request know which upload it is about. */
export async function findFor (context: Context, meant: string | UploadRef, exchange: Exchange, hint?: FindHint): Promise<Upload> {
  const upload = await findOrThrow(context, meant, hint)
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

async function findMeant ({ storage }: Context, { id, createdAt }: UploadRef, hint?: FindHint): Promise<Upload | null> {
  const upload = await storage.find(id, hint)
  return upload !== null && isCreatedAt(upload, createdAt) ? upload : null
}

/** Whether the time of an upload is over. A final one stays as long as this process puts it together. */
export function isGone ({ options, compositions }: Context, upload: Upload): boolean {
  return isExpired(upload, options.expiration) && !compositions.has(upload.id)
}

/**
 * Lets the application refuse a request before it can disturb anybody: before it waits for the lock, and so before the
 * upload's present holder is asked to leave. Nor does a request disturb an upload that is not there for it.
 *
 * What a hook refuses with 404 is not there: the client is told what it is told of any other id.
 *
 * Resolves to what the request is about from here on: the upload that was let pass, and none that was created under its id
 * since, which the hooks were not asked about.
 *
 * @throws TUS_ERR_UPLOAD_NOT_FOUND, TUS_ERR_UPLOAD_EXPIRED, what a hook throws
 */
export function checkAccess (context: Context, id: string, action: AccessAction, exchange: Asking): Promise<UploadRef> | UploadRef {
  if (context.hooks.has('preAccess')) return askForAccess(context, id, action, exchange)
  return LOCKING.has(action) ? checkPlace(context, id) : { id }
}

/** Of a request, what its access needs. */
type Asking = Pick<Exchange, 'request' | 'log' | 'see'>

async function askForAccess (context: Context, id: string, action: AccessAction, exchange: Asking): Promise<UploadRef> {
  const upload = await findOrThrow(context, id)
  if (action === 'download') checkWhole(upload)
  exchange.see(upload)
  try {
    await context.hooks.runPre('preAccess', exchange.log, exchange.request, upload, action)
    return upload
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
async function checkPlace (context: Context, id: string): Promise<UploadRef> {
  const known = await context.storage.find(id, { place: true })
  if (known === null || !isHere(context, known)) await findOrThrow(context, id)
  return { id }
}

type Work<Result> = (wanted: Wanted) => Promise<Result>

/**
 * Runs `work` under the lock of an upload. A request that means one that is gone does not ask the request that fills the
 * next one of its id to leave.
 *
 * @throws TUS_ERR_UPLOAD_NOT_FOUND, LockTimeout
 */
export function withLockOf<Result> (context: Context, meant: UploadRef, work: Work<Result>): Promise<Result> {
  const { id, createdAt } = meant
  const receiving = createdAt && context.receiving.get(id)
  if (receiving && !isCreatedAt(receiving, createdAt)) return Promise.reject(TUS_ERR_UPLOAD_NOT_FOUND())
  return context.locker.withLock(id, context.options.lockTimeout, work)
}

/** What waits for the lock of its upload, whoever holds it. */
const LOCKING: ReadonlySet<AccessAction> = new Set(['append', 'terminate'])
