import type { Context } from '../context.js'
import type { Upload } from '../upload.js'
import { answerIfDue, isUnanswered } from './answer.js'
import { finishIfDue, isUnfinished, type Completion } from './complete.js'
import { concatenateIfDue } from './concatenate.js'
import type { Exchange } from './exchange.js'
import { isStorageFailure } from './failure.js'
import { checkAccess, findFor, withLockOf } from './find.js'

/**
 * Tells where an upload is.
 *
 * A request that is still appending is asked to leave first, so that the offset is final and the client can go on
 * at once. A complete upload needs no lock.
 *
 * Where the storage can't lock or complete it now, because the device is full or read-only, the answer is where the upload is all the same: a client that is
 * refused here believes it lost, and starts from byte 0. The next request or the sweeper completes it.
 */
export async function inspect (context: Context, id: string, exchange: Exchange): Promise<Completion> {
  const admitted = await checkAccess(context, id, 'inspect', exchange)
  const upload = await findFor(context, admitted, exchange)
  if (upload.complete && !isUnfinished(upload) && !isUnanswered(upload)) return { upload, decision: {} }
  return withLockOf(context, admitted, async () => {
    const held = await findFor(context, admitted, exchange, { settled: true })
    const completion = held.complete ? await finishIfDue(context, held, exchange) : await concatenateIfDue(context, held, exchange)
    return answerIfDue(context, completion, exchange)
  }).catch(async error => {
    if (!isStorageFailure(error)) throw error
    exchange.log.error({ err: error, id }, 'an upload could not be completed')
    return { upload: await findFor(context, admitted, exchange), decision: {} }
  })
}

/**
 * The upload as it is durable now. Takes no lock, so that a sender goes on: for requests that say nothing of continuing
 * the upload. One that does go on with it from this offset takes the lock then, and is told where the sender had come to.
 *
 * @throws TUS_ERR_UPLOAD_NOT_FOUND, TUS_ERR_UPLOAD_EXPIRED, what `preAccess` throws
 */
export async function observe (context: Context, id: string, exchange: Exchange): Promise<Upload> {
  return findFor(context, await checkAccess(context, id, 'inspect', exchange), exchange)
}
