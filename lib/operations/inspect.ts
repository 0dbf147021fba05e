import type { Context } from '../context.js'
import { completeIfDue, type Completion } from './complete.js'
import type { Exchange } from './exchange.js'
import { checkAccess, findOrThrow } from './find.js'

/**
 * Tells where an upload is.
 *
 * A request that is still appending is asked to leave first, so that the offset is final and the client can go on
 * at once. A complete upload needs no lock.
 */
export async function inspect (context: Context, id: string, exchange: Exchange): Promise<Completion> {
  await checkAccess(context, id, 'inspect', exchange)
  const upload = await findOrThrow(context, id)
  if (upload.complete) return { upload, decision: {} }
  return context.locker.withLock(id, context.options.lockTimeout, async () =>
    completeIfDue(context, await findOrThrow(context, id), exchange))
}
