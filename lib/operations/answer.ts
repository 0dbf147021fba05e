import type { Context } from '../context.js'
import type { KeptAnswer, Upload } from '../upload.js'
import type { Completion } from './complete.js'
import type { Exchange } from './exchange.js'
import { updateSame } from './identity.js'
import { takeTurn } from './turn.js'

/**
 * Lets the application answer for an upload that is complete and was created for one of its own requests, unless it has: what it says is kept before the
 * client gets it, so that one who lost it gets the same again.
 *
 * The caller holds the lock. A process that dies before the answer is kept leaves the upload as unanswered: the next request asks the application again.
 *
 * @throws LockTimeout if another process asks the application at this time, and for longer than `lockTimeout`
 */
export async function answerIfDue (context: Context, completion: Completion, exchange: Exchange): Promise<Completion> {
  if (exchange.answer === null || !isUnanswered(completion.upload)) return completion
  const turn = await takeTurn(context, completion.upload, exchange.log)
  const { upload } = turn
  if (!isUnanswered(upload)) return { ...completion, upload }
  let answered: Upload = upload
  try {
    await exchange.answer(upload, async answer => {
      turn.stop()
      answered = { ...upload, purpose: { ...upload.purpose!, answer } }
      await keep(context, upload, answer, exchange)
    })
  } finally {
    if (isUnanswered(answered)) await turn.giveUp()
  }
  return { ...completion, upload: answered, answered: true }
}

/** Whether an upload is complete, and the application has not answered for it yet: for a whole, and not for each part of it. */
export function isUnanswered ({ complete, partial, purpose }: Upload): boolean {
  return complete && !partial && purpose !== undefined && purpose.target !== null && purpose.answer === null
}

/** The client at hand gets its answer, whatever the storage does. The first that is kept stays. */
async function keep (context: Context, upload: Upload, answer: KeptAnswer, { log }: Exchange): Promise<void> {
  const { id, purpose: known } = upload
  try {
    await updateSame(context, upload, ({ purpose = known! }) =>
      purpose.answer === null ? { purpose: { ...purpose, answer, answering: null } } : null)
  } catch (error) {
    log.error({ err: error, id }, 'an answer could not be kept')
  }
}
