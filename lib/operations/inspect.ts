import type { Context } from '../context.js'
import { LockTimeout } from '../locker.js'
import { isFull, type Upload, type UploadRef } from '../upload.js'
import { answerIfDue, isUnanswered } from './answer.js'
import type { InspectCommand } from './commands.js'
import { completeIfDue, isUnfinished, type Completion } from './complete.js'
import { compose, getPatience, isPostponed } from './compose.js'
import { agreeToLength } from './ending.js'
import type { Exchange } from './exchange.js'
import { isStorageFailure } from './failure.js'
import { checkAccess, findFor, withLockOf } from './find.js'
import { within } from './within.js'

/**
 * Tells where an upload is.
 *
 * A request that is still appending is asked to leave first, so that the offset is final and the client can go on
 * at once. A complete upload needs no lock.
 *
 * Where the storage can't lock it now, because the device is full or read-only, the answer is where the upload is all
 * the same. Not where all bytes are stored and only the completion fails, or the application could not be asked: a client that
 * heard so would believe in a file that does not exist, or in a handler that has run. For the same reason an upload is complete
 * when a client that goes by the length hears that it is there.
 */
export async function inspect (context: Context, id: string, { isCompleteAtLength }: InspectCommand, exchange: Exchange): Promise<Completion> {
  const admitted = await checkAccess(context, id, 'inspect', exchange)
  const upload = await findFor(context, admitted, exchange)
  if (upload.complete && !isUnfinished(upload) && !isUnanswered(upload)) return { upload, decision: {} }
  const look = upload.final ? inspectFinal(context, admitted, exchange) : inspectHeld(context, admitted, isCompleteAtLength, exchange)
  return look.catch(async error => {
    if (!isStorageFailure(error)) throw error
    exchange.log.error({ err: error, id }, 'an upload could not be completed')
    const known = await findFor(context, admitted, exchange)
    if ((isFull(known) && !known.complete) || isUnanswered(known)) throw error
    return { upload: known, decision: {} }
  })
}

function inspectHeld (context: Context, admitted: UploadRef, isCompleteAtLength: boolean, exchange: Exchange): Promise<Completion> {
  return withLockOf(context, admitted, async () => {
    const found = await findFor(context, admitted, exchange, { settled: true })
    const completion = await completeIfDue(context, isCompleteAtLength ? await agreeToLength(context, found) : found, exchange)
    return answerIfDue(context, completion, exchange)
  })
}

/** Waits for the copy of its parts no longer than a request waits for any upload, and disturbs nobody who is at it. */
async function inspectFinal (context: Context, admitted: UploadRef, exchange: Exchange): Promise<Completion> {
  const { background } = context
  const patience = getPatience(context)
  const conclude = (completion: Completion) => answerIfDue(context, completion, exchange)
  const work = compose(context, admitted, { ...exchange, patience, conclude })
  // The answer of a handler of the application is this response.
  const pending = within(context, work, exchange.answer === null ? patience : Infinity).then(completion => {
    if (completion === null) background.run(() => work.then(() => {}, ignorePostponed), exchange.log)
    return completion
  }, error => {
    if (error instanceof LockTimeout) return null
    throw error
  })
  return await pending ?? { upload: await findFor(context, admitted, exchange), decision: {} }
}

function ignorePostponed (error: unknown): void {
  if (!isPostponed(error)) throw error
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
