import type { Context } from '../context.js'
import { tell } from '../lifecycle.js'
import type { Upload, UploadRef } from '../upload.js'
import type { Cause } from './complete.js'
import { checkUnanswered } from './exchange.js'
import { findOrThrow, withLockOf } from './find.js'
import { removeSame } from './identity.js'

/**
 * Removes an upload, complete or not, with the hooks around it, and resolves to what it was. A request that is still
 * appending is asked to leave first.
 *
 * @throws TUS_ERR_UPLOAD_NOT_FOUND, what a hook throws
 */
export async function terminate (context: Context, meant: UploadRef, cause: Cause, reason: 'requested' | 'joined' = 'requested'): Promise<Upload> {
  const { request, log } = cause
  return withLockOf(context, meant, async () => {
    const upload = await findOrThrow(context, meant)
    await context.hooks.runPre('preTerminate', log, request, upload)
    checkUnanswered(cause)
    await removeSame(context, upload)
    tell('terminated', upload, { request, log }, reason)
    await context.hooks.runPost('postTerminate', log, request, upload)
    return upload
  })
}
