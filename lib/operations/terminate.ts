import type { Context } from '../context.js'
import type { Cause } from './complete.js'
import { findOrThrow } from './find.js'

/**
 * Removes an upload, complete or not, with the hooks around it. A request that is still appending is asked to leave first.
 *
 * @throws TUS_ERR_UPLOAD_NOT_FOUND, what a hook throws
 */
export async function terminate (context: Context, id: string, { request, log }: Cause): Promise<void> {
  await context.locker.withLock(id, context.options.lockTimeout, async () => {
    const upload = await findOrThrow(context, id)
    await context.hooks.runPre('preTerminate', log, request, upload)
    await context.storage.remove(id)
    await context.hooks.runPost('postTerminate', log, request, upload)
  })
}
