import type { Context } from '../context.js'
import { isFull, type Upload } from '../upload.js'
import { answerIfDue, isUnanswered } from './answer.js'
import type { InspectCommand } from './commands.js'
import { finishIfDue, isUnfinished, type Completion } from './complete.js'
import { concatenateIfDue } from './concatenate.js'
import { agreeToLength } from './ending.js'
import type { Exchange } from './exchange.js'
import { isStorageFailure } from './failure.js'
import { checkAccess, findFor, withLockOf } from './find.js'

/**
 * Tells where an upload is.
 *
 * A request that is still appending is asked to leave first, so that the offset is final and the client can go on
 * at once. A complete upload needs no lock.
 *
 * Where the storage can't lock it now, because the device is full or read-only, the answer is where the upload is all
 * the same. Not where all bytes are stored and only the completion fails: a client that heard so would believe in a file
 * that does not exist. For the same reason an upload is complete when a client that goes by the length hears that it is there.
 */
export async function inspect (context: Context, id: string, { isCompleteAtLength }: InspectCommand, exchange: Exchange): Promise<Completion> {
  const admitted = await checkAccess(context, id, 'inspect', exchange)
  const upload = await findFor(context, admitted, exchange)
  if (upload.complete && !isUnfinished(upload) && !isUnanswered(upload)) return { upload, decision: {} }
  return withLockOf(context, admitted, async () => {
    const found = await findFor(context, admitted, exchange, { settled: true })
    const held = isCompleteAtLength ? await agreeToLength(context, found) : found
    const completion = held.complete ? await finishIfDue(context, held, exchange) : await concatenateIfDue(context, held, exchange)
    return answerIfDue(context, completion, exchange)
  }).catch(async error => {
    if (!isStorageFailure(error)) throw error
    exchange.log.error({ err: error, id }, 'an upload could not be completed')
    const known = await findFor(context, admitted, exchange)
    if (isFull(known) && !known.complete) throw error
    return { upload: known, decision: {} }
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
