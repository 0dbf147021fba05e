import type { Context } from '../context.js'
import { TUS_ERR_ID_INVALID, TUS_ERR_UPLOAD_EXISTS } from '../errors.js'
import { tell } from '../lifecycle.js'
import type { Wanted } from '../locker.js'
import { isFull, isValidId, joinUpload, type NewUpload, type Upload } from '../upload.js'
import { answerIfDue } from './answer.js'
import type { BodyCommand, CreateCommand } from './commands.js'
import { completeIfDue, type Completion } from './complete.js'
import { checkParts, checkStillThere } from './concatenate.js'
import { chooseCompletion, createPurpose, end } from './ending.js'
import { checkUnanswered, type Exchange } from './exchange.js'
import { isOutage } from './failure.js'
import { createFinal } from './final.js'
import { find } from './find.js'
import { checkBody, checkLength, isBeyond } from './limits.js'
import { isInterruption, receive } from './receive.js'
import { removeUseless } from './useless.js'
import { completeWaiting, waitForParts } from './waiting.js'

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
  const known = { length, partsCreatedAt: parts?.createdAt, isWhole: parts?.complete ?? false }
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
  if (!isChosen && isOnlyStored(placed, command)) return await storeAndFill(context, placed, command, exchange, NOBODY)
  // Under the lock, so that no two of one id have the same time.
  const date = () => isChosen ? { ...placed, createdAt: new Date() } : placed
  if (command.parts !== null) return await createFinal(context, draft.id, () => store(context, date(), exchange), exchange)
  return await locker.withLock(draft.id, options.lockTimeout, wanted => storeAndFill(context, date(), command, exchange, wanted))
}

/**
 * Whether a creation does nothing to the upload that another could meet halfway. An empty upload is complete with its creation: a sweep lists it as soon as it
 * is stored, and would finish it, too. Nobody else can know a random id before; a chosen one may be asked for by two requests at once.
 */
function isOnlyStored ({ length }: NewUpload, { body, parts }: CreateCommand): boolean {
  return body === null && parts === null && length !== 0
}

/** What is known of an upload beside its command. */
interface Known extends Pick<NewUpload, 'length' | 'partsCreatedAt'> {
  /** Whether the parts of a final upload are complete: it is put together at once then, before its client is told of it. */
  readonly isWhole: boolean
}

function draw (context: Context, id: string, command: CreateCommand, { length, partsCreatedAt, isWhole }: Known): NewUpload {
  const { partial } = command
  const final = command.parts !== null
  const purpose = createPurpose(context, command.digests)
  return {
    id,
    length,
    metadata: command.metadata,
    serverMetadata: {},
    echo: command.echo,
    partial,
    final,
    parts: command.parts ?? [],
    partsCreatedAt,
    completes: isWhole ? 'when-told' : chooseCompletion(context, { partial, final, purpose }, command.completion),
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

async function storeAndFill (context: Context, draft: NewUpload, command: CreateCommand, exchange: Exchange, wanted: Wanted): Promise<Completion> {
  const upload = await store(context, draft, exchange)
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
  const completed = await completeIfDue(context, received, exchange)
  const completion = exchange.answer === null ? completed : await answerIfDue(context, completed, exchange)
  completeWaiting(context, completion.upload, exchange)
  return completion
}

async function store (context: Context, draft: NewUpload, exchange: Exchange): Promise<Upload> {
  checkUnanswered(exchange)
  await context.storage.create(draft)
  context.expiredIds.forget(draft.id)
  const upload = joinUpload(draft, { offset: 0, complete: false, finished: false, processed: false, modifiedAt: draft.createdAt })
  tell('created', upload, exchange)
  if (context.hooks.has('postCreate')) await context.hooks.runPost('postCreate', exchange.log, exchange.request, upload)
  if (upload.final) {
    await orUndo(context, upload, exchange, async () => {
      await waitForParts(context, upload)
      // Parts that are all there are looked for when they are put together, before the client is told.
      if (upload.completes !== 'when-told') await checkStillThere(context, upload)
    })
  }
  exchange.see(upload)
  return upload
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
    if (!isOutlasted(error, command)) await removeUseless(context, upload, resumable && !isBeyond(error, body) ? 'empty' : 'any', exchange)
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
    await removeUseless(context, upload, 'empty', exchange)
    throw error
  }
}

const NOBODY: Wanted = { requested: false, onRequest () {} }
