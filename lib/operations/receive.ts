import { appends } from '../channels.js'
import type { Interruption, RequestBody } from '../body.js'
import type { Context } from '../context.js'
import { TUS_ERR_BODY_CUT, TUS_ERR_BODY_STALLED, TUS_ERR_BODY_TAKEN_OVER, TUS_ERR_REQUEST_ANSWERED, TUS_ERR_SHUTTING_DOWN, TUS_ERR_UPLOAD_STOPPED, TusError } from '../errors.js'
import { tell } from '../lifecycle.js'
import type { Wanted } from '../locker.js'
import { changeState, isFull, type Upload } from '../upload.js'
import { VerifiedBody } from '../verified-body.js'
import type { BodyCommand, Ending } from './commands.js'
import type { Exchange } from './exchange.js'
import { limitBody } from './limits.js'
import { Reporter } from './report.js'

/**
 * Appends the body of a request where the upload ends, and resolves to the upload afterwards.
 *
 * The caller holds the lock and has checked everything that could refuse the request.
 *
 * @param prepare what is to be done before the first byte is stored; if it fails, none is
 * @throws TUS_ERR_BODY_… if the body was interrupted: what arrived is stored, and the error tells the new offset
 * @throws what the storage throws
 */
export async function receive (context: Context, upload: Upload, command: Receiving, exchange: Exchange, wanted: Wanted, prepare: (() => Promise<void>) | null = null): Promise<Upload> {
  const keep = getKeep(command)
  const { limit, overflow } = limitBody(context, upload, command.maxSize)
  const body = exchange.openBody({ keep, declared: command.declared, limit, overflow, checkEnd: command.checkEnd })
  const store = () => storeBody(context, upload, command, exchange, wanted, prepare, body)
  return await (appends.hasSubscribers ? appends.tracePromise(store, { upload, body }) : store())
}

async function storeBody (context: Context, upload: Upload, command: Receiving, exchange: Exchange, wanted: Wanted, prepare: (() => Promise<void>) | null, body: RequestBody): Promise<Upload> {
  const keep = getKeep(command)
  const verified = verify(context, body, command, upload)
  const leave = () => body.interrupt('wanted')
  if (wanted.requested) leave()
  else wanted.onRequest(leave)
  context.receiving.set(upload.id, upload)
  const reporter = new Reporter(context, upload, exchange, body)
  try {
    if (prepare !== null) await run(prepare, body)
    const { createdAt, offset: start } = upload
    const offset = await context.storage.append(upload.id, { createdAt, offset: start, ...reporter.createAddition(keep), body: verified ?? body })
    const appended = offset > upload.offset ? changeState(upload, { offset, modifiedAt: new Date() }) : upload
    exchange.see(appended)
    await reporter.end(appended)
    if (command.completion === 'at-end-of-body') await body.settle()
    // A body that brought the last byte has done its work, whatever happened behind it; unless its end is what counts.
    if (body.interruption !== null && !(isFull(appended) && command.completion !== 'at-end-of-body')) throw INTERRUPTED[body.interruption](offset)
    return appended
  } catch (failure) {
    const error = await reporter.fail(failure as Error)
    if (isInterruption(error)) tell('interrupted', { ...upload, offset: error.facts.offset as number }, exchange, body.interruption)
    await context.hooks.runPost('postFail', exchange.log, exchange.request, upload, error)
    throw error
  } finally {
    verified?.close()
    context.receiving.delete(upload.id)
    context.openBodies.delete(body)
  }
}

type Receiving = BodyCommand & { readonly completion: Ending }

/** What is verified counts as a whole or not at all. */
function getKeep ({ verification }: BodyCommand): 'prefix' | 'all-or-nothing' {
  return verification === null ? 'prefix' : 'all-or-nothing'
}

async function run (prepare: () => Promise<void>, body: RequestBody): Promise<void> {
  body.start()
  try {
    await prepare()
  } catch (error) {
    body.interrupt('stopped')
    throw error
  }
}

/** Whether a body ended early, and what arrived of it was kept. */
export function isInterruption (error: unknown): error is TusError {
  return error instanceof TusError && INTERRUPTION_CODES.has(error.code)
}

function verify ({ digestPool }: Context, body: RequestBody, { verification }: BodyCommand, { offset }: Upload): VerifiedBody | null {
  return verification === null ? null : new VerifiedBody(body, verification, digestPool, reason => INTERRUPTED[reason](offset))
}

const INTERRUPTED: Readonly<Record<Interruption, (offset: number) => TusError>> = {
  'client-gone': offset => TUS_ERR_BODY_CUT({ offset }),
  wanted: offset => TUS_ERR_BODY_TAKEN_OVER({ offset }),
  stalled: offset => TUS_ERR_BODY_STALLED({ offset }),
  closing: offset => TUS_ERR_SHUTTING_DOWN({ offset }),
  answered: offset => TUS_ERR_REQUEST_ANSWERED({ offset }),
  // Only ever seen where the error of the hook is lost.
  stopped: () => TUS_ERR_UPLOAD_STOPPED({ reason: 'a hook said so' })
}

const INTERRUPTION_CODES = new Set(['TUS_ERR_BODY_CUT', 'TUS_ERR_BODY_TAKEN_OVER', 'TUS_ERR_BODY_STALLED', 'TUS_ERR_SHUTTING_DOWN', 'TUS_ERR_REQUEST_ANSWERED'])
