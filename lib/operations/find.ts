import type { Context } from '../context.js'
import { TUS_ERR_UPLOAD_NOT_FOUND } from '../errors.js'
import type { AccessAction } from '../hooks.js'
import type { Upload } from '../upload.js'
import type { Exchange } from './exchange.js'

/** @throws TUS_ERR_UPLOAD_NOT_FOUND */
export async function findOrThrow (context: Context, id: string): Promise<Upload> {
  const upload = await context.storage.find(id)
  if (upload === null) throw TUS_ERR_UPLOAD_NOT_FOUND()
  return upload
}

/**
 * Lets the application refuse a request before it can disturb anybody: before it waits for the lock, and so before the
 * upload's present holder is asked to leave.
 *
 * @throws TUS_ERR_UPLOAD_NOT_FOUND, what a hook throws
 */
export async function checkAccess (context: Context, id: string, action: AccessAction, { request, log }: Exchange): Promise<void> {
  if (!context.hooks.has('preAccess')) return
  await context.hooks.runPre('preAccess', log, request, await findOrThrow(context, id), action)
}
