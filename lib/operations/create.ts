import type { Context } from '../context.js'
import { TUS_ERR_ID_INVALID, TUS_ERR_UPLOAD_EXISTS } from '../errors.js'
import { tell } from '../lifecycle.js'
import type { Wanted } from '../locker.js'
import { isFull, isValidId, joinUpload, type NewUpload, type Upload } from '../upload.js'
import { answerIfDue } from './answer.js'
import type { BodyCommand, CreateCommand } from './commands.js'
import type { Completion } from './complete.js'
import { checkParts, completeWaiting, concatenateIfDue, waitForParts } from './concatenate.js'
import { chooseCompletion, createPurpose, end } from './ending.js'
import { checkUnanswered, type Exchange } from './exchange.js'
import { isOutage } from './failure.js'
import { find } from './find.js'
import { removeSame } from './identity.js'
import { checkBody, checkLength, isBeyond } from './limits.js'
import { isInterruption, receive } from './receive.js'

/**
 * Creates an upload, and appends what comes along with the request.
 *
 * Everything that can be refused is refused before anything is stored.
 */
export async function create (context: Context, command: CreateCommand, exchange: Exchange): Promise<Completion> {
  const parts = command.parts && await checkParts(context, command.parts, exchange)
  const length = parts ? parts.length : command.length
  const maxSize = await context.options.maxSize(exchange.request)
  checkLength(length, maxSize)
  const limited = command.body && context.options.hasOwnMaxSize ? { ...command, body: { ...command.body, maxSize } } : command
  if (limited.body) checkBody(context, { length: command.length, offset: 0 }, limited.body)
  const known = { length, partsCreatedAt: parts?.createdAt }
  return await context.admission.admit(exchange.request, limited.body, () => decideAndStore(context, limited, known, exchange))
}

async function decideAndStore (context: Context, command: CreateCommand, known: Known, exchange: Exchange): Promise<Completion> {
  const { locker, options } = context
  const drawn = draw(context, await options.generateId(exchange.request, command.metadata), command, known)
  const draft = checkId(context.hooks.has('preCreate') ? await decide(context, drawn, command, exchange) : drawn)
  const isChosen = options.hasOwnIds || draft.id !== drawn.id
  // Who names an upload that exists must not interrupt the request that fills it.
  if (isChosen && await context.storage.find(draft.id) !== null) throw TUS_ERR_UPLOAD_EXISTS()
  const placed = exchange.place === null ? draft : await exchange.place(draft)
  if (!isChosen && isOnlyStored(placed, command)) return await store(context, placed, command, exchange, NOBODY)
  return await locker.withLock(draft.id, options.lockTimeout, wanted => {
    // Under the lock, so that no two of one id have the same time.
    const dated = isChosen ? { ...placed, createdAt: new Date() } : placed
    return store(context, dated, command, exchange, wanted)
  })
}

/**
 * Whether a creation does nothing to the upload that another could meet halfway. An empty upload is complete with its creation: a sweep lists it as soon as it
 * is stored, and would finish it, too. Nobody else can know a random id before; a chosen one may be asked for by two requests at once.
 */
function isOnlyStored ({ length }: NewUpload, { body, parts }: CreateCommand): boolean {
  return body === null && parts === null && length !== 0
}

/** What is known of an upload beside its command. */
type Known = Pick<NewUpload, 'length' | 'partsCreatedAt'>

function draw (context: Context, id: string, command: CreateCommand, { length, partsCreatedAt }: Known): NewUpload {
  const purpose = createPurpose(context, command.digests)
  return {
    id,
    length,
    metadata: command.metadata,
    serverMetadata: {},
    echo: command.echo,
    partial: command.partial,
    final: command.parts !== null,
    parts: command.parts ?? [],
    partsCreatedAt,
    completes: chooseCompletion(context, { partial: command.partial, purpose }, command.completion),
    createdAt: new Date(),
    expiresAt: null,
    purpose,
    scope: context.scope
  }
}

/** Lets the application's hooks refuse the upload or change its draft; each sees what those before it decided. */
async function decide (context: Context, draft: NewUpload, command: CreateCommand, { request, log }: Exchange): Promise<NewUpload> {
  const decided = await context.hooks.runPreCreate(log, request, draft)
  const echo = decided.metadata === draft.metadata ? draft.echo : { ...draft.echo, ...command.echoMetadata(decided.metadata) }
  return { ...decided, echo }
}

/** @throws TUS_ERR_ID_INVALID */
function checkId (draft: NewUpload): NewUpload {
  if (!isValidId(draft.id)) throw TUS_ERR_ID_INVALID({ id: String(draft.id) })
  return draft
}

async function store (context: Context, draft: NewUpload, command: CreateCommand, exchange: Exchange, wanted: Wanted): Promise<Completion> {
  checkUnanswered(exchange)
  await context.storage.create(draft)
  context.expiredIds.forget(draft.id)
  const upload = joinUpload(draft, { offset: 0, complete: false, finished: false, processed: false, modifiedAt: draft.createdAt })
  tell('created', upload, exchange)
  if (context.hooks.has('postCreate')) await context.hooks.runPost('postCreate', exchange.log, exchange.request, upload)
  if (upload.final) await orUndo(context, upload, exchange, () => waitForParts(context, upload))
  exchange.see(upload)
  try {
    return await complete(context, upload, command, exchange, wanted)
  } catch (error) {
    if (!isOutlasted(error, command)) throw error
    return { upload: await outlast(context, upload, error, exchange), decision: {} }
  }
}

/** Takes what comes along, and completes the upload if that is all. */
async function complete (context: Context, upload: Upload, command: CreateCommand, exchange: Exchange, wanted: Wanted): Promise<Completion> {
  const announced = command.resumable && exchange.announce(upload)
  const received = command.body === null ? upload : await fill(context, upload, { ...command, body: command.body }, announced, exchange, wanted)
  const completed = await concatenateIfDue(context, received, exchange)
  const completion = exchange.answer === null ? completed : await answerIfDue(context, completed, exchange)
  completeWaiting(context, completion.upload, exchange)
  return completion
}

interface Filling extends CreateCommand {
  readonly body: BodyCommand
}

/**
 * What arrived before an interruption is kept, and the client gets the `Location` and the offset to go on: "as many bytes as possible" (CU-4). Only
 * for a client that has gone without having been told there is nobody to come back.
 */
async function fill (context: Context, upload: Upload, command: Filling, announced: boolean, exchange: Exchange, wanted: Wanted): Promise<Upload> {
  const { body, completion, resumable } = command
  try {
    const received = await receive(context, upload, { ...body, completion }, exchange, wanted)
    return completion === 'at-end-of-body' ? await end(context, received) : received
  } catch (error) {
    if (isInterruption(error) && resumable && (announced || error.code !== 'TUS_ERR_BODY_CUT')) {
      const offset = error.facts.offset as number
      const cut = offset > 0 ? { ...upload, offset, modifiedAt: new Date() } : upload
      if (command.whenCut === 'created') return cut
      exchange.see(cut)
      throw error
    }
    if (!isOutlasted(error, command)) await undo(context, upload, resumable && !isBeyond(error, body) ? 'empty' : 'any', exchange)
    throw error
  }
}

/** Whether the client is told of the upload all the same, and resumes. */
function isOutlasted (error: unknown, { body, resumable, whenCut }: CreateCommand): boolean {
  return body !== null && resumable && whenCut === 'created' && isOutage(error)
}

/**
 * A client that was not told the URL would begin again with another upload. Where the offset can't be read now, or would say that the upload is complete, it is
 * 0: the client is told of the right one when it resumes from there.
 *
 * @throws the error if the upload is gone
 */
async function outlast (context: Context, upload: Upload, error: unknown, { log }: Exchange): Promise<Upload> {
  log.error({ err: error, id: upload.id }, 'the storage failed after an upload was created')
  const found = await find(context, upload, 'expired too').catch(() => upload)
  if (found === null) throw error
  return isFull(found) ? upload : found
}

/** A final upload that nobody knows of would be filled behind the client's back, beside the one that it creates instead. */
async function orUndo (context: Context, upload: Upload, exchange: Exchange, step: () => Promise<void>): Promise<void> {
  try {
    await step()
  } catch (error) {
    await undo(context, upload, 'empty', exchange)
    throw error
  }
}

/** Without a `Location` the client can't go on, so an upload that got no byte is of no use to anybody. */
async function undo (context: Context, upload: Upload, which: 'empty' | 'any', exchange: Exchange): Promise<void> {
  try {
    await removeUseless(context, upload, which, exchange)
  } catch (error) {
    // What led here is what the client is told.
    exchange.log.error({ err: error, id: upload.id }, 'a useless upload could not be removed')
  }
}

async function removeUseless (context: Context, created: Upload, which: 'empty' | 'any', exchange: Exchange): Promise<void> {
  const upload = await find(context, created, 'expired too')
  if (upload === null || (which === 'empty' && upload.offset > 0)) return
  await removeSame(context, upload)
  exchange.see(null)
  tell('terminated', upload, exchange, 'useless')
  await context.hooks.runPost('postTerminate', exchange.log, exchange.request, upload)
}

const NOBODY: Wanted = { requested: false, onRequest () {} }
