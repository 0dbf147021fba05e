import { isTurnedAway } from '../admission.js'
import type { Context } from '../context.js'
import { TUS_ERR_LENGTH_MISMATCH, TUS_ERR_OFFSET_MISMATCH, TUS_ERR_UPLOAD_COMPLETE, TUS_ERR_UPLOAD_FINAL } from '../errors.js'
import { LockTimeout, type Wanted } from '../locker.js'
import { LengthConflict, UploadMissing } from '../storage.js'
import { isFull, type Upload, type UploadRef } from '../upload.js'
import { answerIfDue } from './answer.js'
import type { AppendCommand } from './commands.js'
import { completeIfDue, type Completion } from './complete.js'
import { agree, disagree, end } from './ending.js'
import { checkUnanswered, type Exchange } from './exchange.js'
import { checkAccess, find, findFor, withLockOf } from './find.js'
import { checkBody, checkLength, removeOnOverflow } from './limits.js'
import { isInterruption, receive } from './receive.js'
import { completeWaiting } from './waiting.js'

/**
 * Appends the body of a request to an upload, and completes the upload if that was the last byte.
 *
 * Everything that can be refused is refused before a byte of the body is read.
 */
export async function append (context: Context, id: string, command: AppendCommand, exchange: Exchange): Promise<Completion> {
  const admitted = await checkAccess(context, id, 'append', exchange)
  try {
    // What never changes need not end the copy of its parts (CC-10).
    if (context.compositions.has(id)) throw TUS_ERR_UPLOAD_FINAL()
    return await context.admission.admit(exchange.request, command, () => appendInTurn(context, admitted, command, exchange))
  } catch (error) {
    // "in every PATCH response if the upload is going to expire" (EX-2): in that of one that never got hold of it, too.
    if (error instanceof LockTimeout || isTurnedAway(error) || context.compositions.has(id)) exchange.see(await find(context, admitted))
    throw error
  }
}

function appendInTurn (context: Context, admitted: UploadRef, command: AppendCommand, exchange: Exchange): Promise<Completion> {
  return withLockOf(context, admitted, async wanted => {
    const found = await findFor(context, admitted, exchange, { appendAt: command.offset })
    checkUnanswered(exchange)
    const limited = isLimited(context, found, command) ? { ...command, maxSize: await context.options.maxSize(exchange.request, found.id) } : command
    const ruled = settleEnding(found, limited)
    let received: Upload
    try {
      check(context, found, limited)
      received = await receiveAsAgreed(context, found, ruled, exchange, wanted)
      if (command.completion === 'at-end-of-body') received = await end(context, received)
    } catch (error) {
      return removeOnOverflow(context, found, command, exchange, error)
    }
    const completed = await completeIfDue(context, received, exchange)
    const completion = exchange.answer === null ? completed : await answerIfDue(context, completed, exchange)
    completeWaiting(context, completion.upload, exchange)
    return completion
  })
}

/** Whether a function of the application has to say how large the upload may become. */
function isLimited ({ options }: Context, upload: Upload, { length }: AppendCommand): boolean {
  return options.hasOwnMaxSize && (length !== null || upload.length === null)
}

/** The rule by which an upload was created holds for all that fill it: what is complete for one client is so for the other. */
function settleEnding (upload: Upload, command: AppendCommand): AppendCommand {
  return command.completion !== 'at-length' && command.isCompleteAtLength(upload) ? { ...command, completion: 'at-length' } : command
}

function check (context: Context, upload: Upload, command: AppendCommand): void {
  const { offset, length, completion, maxSize } = command
  // "The Server MUST respond with the 403 Forbidden status to PATCH requests against a final upload" (CC-10)
  if (upload.final) throw TUS_ERR_UPLOAD_FINAL()
  if (offset !== upload.offset) throw TUS_ERR_OFFSET_MISMATCH({ offset: upload.offset })
  if (upload.complete && completion === 'never') throw TUS_ERR_UPLOAD_COMPLETE()
  if (length !== null) {
    checkNewLength(upload, length)
    checkLength(length, maxSize ?? context.options.announcedMaxSize ?? Infinity)
  }
  checkBody(context, { offset, length: length ?? upload.length }, command)
}

/** "Once set the length MUST NOT be changed" (CD-6); and it can't be less than what is there (CD-7). */
function checkNewLength (upload: Upload, length: number): void {
  if (upload.length === null ? length < upload.offset : length !== upload.length) {
    throw TUS_ERR_LENGTH_MISMATCH()
  }
}

/** An upload that is full would be complete with the word of the client alone: that word counts once its request has not been refused. */
async function receiveAsAgreed (context: Context, upload: Upload, command: AppendCommand, exchange: Exchange, wanted: Wanted): Promise<Upload> {
  if (!isFull(upload)) {
    const agreed = await agree(context, upload, command)
    return receiveWithLength(context, agreed, command, exchange, wanted).catch(async error => {
      if (agreed !== upload) await disagree(context, upload, exchange)
      throw error
    })
  }
  return agree(context, await receiveWithLength(context, upload, command, exchange, wanted), command)
}

/**
 * The length is set before the bytes come, so that a crash never leaves all of them without it; it is taken back where the body is refused: then nothing
 * has changed (CD-6). Bytes that stay keep their length.
 */
function receiveWithLength (context: Context, upload: Upload, command: AppendCommand, exchange: Exchange, wanted: Wanted): Promise<Upload> {
  const { length } = command
  if (length === null || upload.length !== null) return receive(context, upload, command, exchange, wanted)
  if (length === upload.offset) return receiveNothing(context, upload, length, command, exchange, wanted)
  const prepare = () => context.storage.setLength(upload.id, length, upload.createdAt)
  return receive(context, { ...upload, length }, command, exchange, wanted, prepare).catch(async error => {
    if (!isInterruption(error) || error.facts.offset === upload.offset) await takeLengthBack(context, upload, exchange)
    throw error
  })
}

/** With this length the upload is complete, which can't be taken back: a body that brings a byte, or is not what its checksum says, is refused first. */
async function receiveNothing (context: Context, upload: Upload, length: number, command: AppendCommand, exchange: Exchange, wanted: Wanted): Promise<Upload> {
  const received = await receive(context, { ...upload, length }, command, exchange, wanted)
  await context.storage.setLength(upload.id, length, upload.createdAt)
  return received
}

async function takeLengthBack ({ storage }: Context, { id, createdAt }: Upload, { log }: Exchange): Promise<void> {
  try {
    await storage.setLength(id, null, createdAt)
  } catch (error) {
    // The answer is why the body was refused. A client that comes again with the same length is welcome.
    if (!(error instanceof UploadMissing || error instanceof LengthConflict)) log.error({ err: error, id }, 'the length of a refused body could not be taken back')
  }
}
