import type { Context } from '../context.js'
import { tell } from '../lifecycle.js'
import type { Upload } from '../upload.js'
import type { Cause } from './complete.js'
import { checkUnanswered } from './exchange.js'
import { findOrThrow } from './find.js'

/**
 * Removes an upload, complete or not, with the hooks around it, and resolves to what it was. A request that is still
 * appending is asked to leave first.
 *
 * @throws TUS_ERR_UPLOAD_NOT_FOUND, what a hook throws
 */
export async function terminate (context: Context, id: string, cause: Cause): Promise<Upload> {
  const { request, log } = cause
  return context.locker.withLock(id, context.options.lockTimeout, async () => {
    const upload = await findOrThrow(context, id)
    await context.hooks.runPre('preTerminate', log, request, upload)
    checkUnanswered(cause)
    await context.storage.remove(id)
    tell('terminated', upload, { request, log }, 'requested')
    await context.hooks.runPost('postTerminate', log, request, upload)
    return upload
  })
}
