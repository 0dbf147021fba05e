import type { Context } from '../context.js'
import { TUS_ERR_UPLOAD_EXPIRED, TUS_ERR_UPLOAD_NOT_FOUND } from '../errors.js'
import { isExpired } from '../expiration.js'
import type { AccessAction } from '../hooks.js'
import type { FindHint } from '../storage.js'
import type { Upload } from '../upload.js'
import type { Exchange } from './exchange.js'

/** The upload, or `null`. One that has expired is not there, unless it is asked for. */
export async function find (context: Context, id: string, which: 'alive' | 'expired too' = 'alive'): Promise<Upload | null> {
  const upload = await context.storage.find(id)
  return upload === null || isElsewhere(context, upload) || (which === 'alive' && isGone(context, upload)) ? null : upload
}

/** @throws TUS_ERR_UPLOAD_NOT_FOUND, TUS_ERR_UPLOAD_EXPIRED as long as the server remembers */
export async function findOrThrow (context: Context, id: string, hint?: FindHint): Promise<Upload> {
  const upload = await context.storage.find(id, hint)
  const isHere = upload !== null && !isElsewhere(context, upload)
  if (isHere && !isGone(context, upload)) return upload
  throw isHere || context.expiredIds.has(id) ? TUS_ERR_UPLOAD_EXPIRED() : TUS_ERR_UPLOAD_NOT_FOUND()
}

/** As {@link findOrThrow}, and lets the request know which upload it is about. */
export async function findFor (context: Context, id: string, exchange: Exchange, hint?: FindHint): Promise<Upload> {
  const upload = await findOrThrow(context, id, hint)
  exchange.see(upload)
  return upload
}

/** An upload that belongs to another request of the application is not there for this one. */
function isElsewhere ({ target }: Context, { purpose }: Upload): boolean {
  return target !== undefined && (purpose === undefined ? null : purpose.target) !== target
}

export function isGone ({ options }: Context, upload: Upload): boolean {
  return isExpired(upload, options.expiration)
}

/**
 * Lets the application refuse a request before it can disturb anybody: before it waits for the lock, and so before the
 * upload's present holder is asked to leave.
 *
 * @throws TUS_ERR_UPLOAD_NOT_FOUND, what a hook throws
 */
export function checkAccess (context: Context, id: string, action: AccessAction, exchange: Exchange): Promise<void> | void {
  if (context.hooks.has('preAccess')) return askForAccess(context, id, action, exchange)
}

async function askForAccess (context: Context, id: string, action: AccessAction, exchange: Exchange): Promise<void> {
  const upload = await findFor(context, id, exchange)
  await context.hooks.runPre('preAccess', exchange.log, exchange.request, upload, action)
}
