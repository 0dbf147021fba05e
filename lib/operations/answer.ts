import type { Context } from '../context.js'
import type { KeptAnswer, Upload } from '../upload.js'
import type { Completion } from './complete.js'
import type { Exchange } from './exchange.js'

/**
 * Lets the application answer for an upload that is complete and was created for one of its own requests, unless it has: what it says is kept before the
 * client gets it, so that one who lost it gets the same again.
 *
 * The caller holds the lock. A process that dies before the answer is kept leaves the upload as unanswered: the next request asks the application again.
 */
export async function answerIfDue (context: Context, completion: Completion, exchange: Exchange): Promise<Completion> {
  const { upload } = completion
  if (exchange.answer === null || !isUnanswered(upload)) return completion
  let answered: Upload = upload
  await exchange.answer(upload, async answer => {
    answered = { ...upload, purpose: { ...upload.purpose!, answer } }
    await keep(context, upload, answer, exchange)
  })
  return { ...completion, upload: answered, answered: true }
}

/** Whether an upload is complete, and the application has not answered for it yet: for a whole, and not for each part of it. */
export function isUnanswered ({ complete, partial, purpose }: Upload): boolean {
  return complete && !partial && purpose !== undefined && purpose.target !== null && purpose.answer === null
}

/** The client at hand gets its answer, whatever the storage does. */
async function keep ({ storage }: Context, { id, purpose }: Upload, answer: KeptAnswer, { log }: Exchange): Promise<void> {
  try {
    await storage.update(id, upload => ({ purpose: { ...upload.purpose ?? purpose!, answer } }))
  } catch (error) {
    log.error({ err: error, id }, 'an answer could not be kept')
  }
}
