import type { Context } from '../context.js'
import { TUS_ERR_ID_INVALID } from '../errors.js'
import type { Wanted } from '../locker.js'
import { isValidId, joinUpload, type NewUpload, type Upload } from '../upload.js'
import type { BodyCommand, CreateCommand } from './commands.js'
import { chooseCompletion, type Completion } from './complete.js'
import { checkParts, completeWaiting, concatenateIfDue, waitForParts } from './concatenate.js'
import type { Exchange } from './exchange.js'
import { checkBody, checkLength } from './limits.js'
import { isInterruption, receive } from './receive.js'

/**
 * Creates an upload, and appends what comes along with the request.
 *
 * Everything that can be refused is refused before anything is stored.
 */
export async function create (context: Context, command: CreateCommand, exchange: Exchange): Promise<Completion> {
  const length = command.parts ? await checkParts(context, command.parts, exchange) : command.length
  checkLength(context, length, exchange.request)
  if (command.body) checkBody(context, { length: command.length, offset: 0 }, command.body.declared, exchange.request)
  return await context.admission.admit(exchange.request, command.body, () => decideAndStore(context, command, length, exchange))
}

async function decideAndStore (context: Context, command: CreateCommand, length: number | null, exchange: Exchange): Promise<Completion> {
  const { locker, options } = context
  const drawn = draw(context, await options.generateId(exchange.request, command.metadata), command, length)
  const draft = checkId(context.hooks.has('preCreate') ? await decide(context, drawn, command, exchange) : drawn)
  // Nobody else can know a random id yet; a chosen one may be asked for by two requests at once.
  if (command.body === null && command.parts === null && !options.hasOwnIds) return await store(context, draft, command, exchange, NOBODY)
  return await locker.withLock(draft.id, options.lockTimeout, wanted => store(context, draft, command, exchange, wanted))
}

function draw (context: Context, id: string, command: CreateCommand, length: number | null): NewUpload {
  return {
    id,
    length,
    metadata: command.metadata,
    serverMetadata: {},
    echo: command.echo,
    partial: command.partial,
    final: command.parts !== null,
    parts: command.parts ?? [],
    completes: chooseCompletion(context, command),
    createdAt: new Date(),
    expiresAt: null
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
  await context.storage.create(draft)
  const upload = joinUpload(draft, { offset: 0, complete: false, finished: false, processed: false, modifiedAt: draft.createdAt })
  if (context.hooks.has('postCreate')) await context.hooks.runPost('postCreate', exchange.log, exchange.request, upload)
  if (upload.final) await orUndo(context, upload, exchange, () => waitForParts(context, upload))
  exchange.see(upload)
  const filled = command.body === null ? upload : await fill(context, upload, command.body, exchange, wanted)
  const completion = await concatenateIfDue(context, filled, exchange)
  completeWaiting(context, completion.upload, exchange)
  return completion
}

/**
 * What arrived before an interruption is kept, and the client gets the `Location` and the offset to go on: "as many bytes as possible" (CU-4). Only
 * for a client that has gone there is nobody to tell.
 */
async function fill (context: Context, upload: Upload, body: BodyCommand, exchange: Exchange, wanted: Wanted): Promise<Upload> {
  try {
    return await receive(context, upload, body, exchange, wanted)
  } catch (error) {
    if (isInterruption(error) && error.code !== 'TUS_ERR_BODY_CUT') {
      const offset = error.facts.offset as number
      return offset > 0 ? { ...upload, offset, modifiedAt: new Date() } : upload
    }
    await undo(context, upload, exchange)
    throw error
  }
}

/** A final upload that nobody knows of would be filled behind the client's back, beside the one that it creates instead. */
async function orUndo (context: Context, upload: Upload, exchange: Exchange, step: () => Promise<void>): Promise<void> {
  try {
    await step()
  } catch (error) {
    await undo(context, upload, exchange)
    throw error
  }
}

/** Without a `Location` the client can't go on, so an upload that got no byte is of no use to anybody. */
async function undo (context: Context, { id }: Upload, exchange: Exchange): Promise<void> {
  try {
    await removeEmpty(context, id, exchange)
  } catch (error) {
    // What led here is what the client is told.
    exchange.log.error({ err: error, id }, 'an empty upload could not be removed')
  }
}

async function removeEmpty ({ storage, hooks }: Context, id: string, exchange: Exchange): Promise<void> {
  const upload = await storage.find(id)
  if (upload === null || upload.offset > 0) return
  await storage.remove(id)
  exchange.see(null)
  await hooks.runPost('postTerminate', exchange.log, exchange.request, upload)
}

const NOBODY: Wanted = { requested: false, onRequest () {} }
