import type { Context } from '../context.js'
import { TUS_ERR_ID_INVALID } from '../errors.js'
import type { Wanted } from '../locker.js'
import { isValidId, type NewUpload, type Upload } from '../upload.js'
import type { BodyCommand, CreateCommand } from './commands.js'
import { chooseCompletion, completeIfDue, type Completion } from './complete.js'
import type { Exchange } from './exchange.js'
import { checkBody, checkLength } from './limits.js'
import { receive } from './receive.js'

/**
 * Creates an upload, and appends what comes along with the request.
 *
 * Everything that can be refused is refused before anything is stored.
 */
export async function create (context: Context, command: CreateCommand, exchange: Exchange): Promise<Completion> {
  const { locker, options } = context
  checkLength(context, command.length, exchange.request)
  if (command.body) checkBody(context, { length: command.length, offset: 0 }, command.body.declared, exchange.request)
  const draft = await decide(context, await draw(context, command, exchange), exchange)
  // Nobody else can know a random id yet; a chosen one may be asked for by two requests at once.
  if (command.body === null && !options.hasOwnIds) return store(context, draft, command, exchange, NOBODY)
  return locker.withLock(draft.id, options.lockTimeout, wanted => store(context, draft, command, exchange, wanted))
}

async function draw (context: Context, command: CreateCommand, { request }: Exchange): Promise<NewUpload> {
  return {
    id: await context.options.generateId(request, command.metadata),
    length: command.length,
    metadata: command.metadata,
    serverMetadata: {},
    echo: command.echo,
    partial: false,
    final: false,
    completes: chooseCompletion(context, { partial: false }),
    createdAt: new Date(),
    expiresAt: null
  }
}

/** Lets the application's hooks refuse the upload or change its draft. */
async function decide (context: Context, draft: NewUpload, { request, log }: Exchange): Promise<NewUpload> {
  const decisions = context.hooks.has('preCreate') ? await context.hooks.runPre('preCreate', log, request, draft) : []
  const decided: NewUpload = Object.assign({}, draft, ...decisions)
  if (!isValidId(decided.id)) throw TUS_ERR_ID_INVALID({ id: decided.id })
  return decided
}

async function store (context: Context, draft: NewUpload, command: CreateCommand, exchange: Exchange, wanted: Wanted): Promise<Completion> {
  await context.storage.create(draft)
  const upload: Upload = { ...draft, offset: 0, complete: false, modifiedAt: draft.createdAt }
  await context.hooks.runPost('postCreate', exchange.log, exchange.request, upload)
  const filled = command.body === null ? upload : await fill(context, upload, command.body, exchange, wanted)
  return completeIfDue(context, filled, exchange)
}

async function fill (context: Context, upload: Upload, body: BodyCommand, exchange: Exchange, wanted: Wanted): Promise<Upload> {
  try {
    return await receive(context, upload, body, exchange, wanted)
  } catch (error) {
    await undo(context, upload, exchange)
    throw error
  }
}

/** Without a `Location` the client can't go on, so an upload that got no byte is of no use to anybody. */
async function undo ({ storage, hooks }: Context, { id }: Upload, { request, log }: Exchange): Promise<void> {
  const upload = await storage.find(id)
  if (upload === null || upload.offset > 0) return
  await storage.remove(id)
  await hooks.runPost('postTerminate', log, request, upload)
}

const NOBODY: Wanted = { requested: false, onRequest () {} }
