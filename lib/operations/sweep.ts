import { sweeps } from '../channels.js'
import type { Context } from '../context.js'
import { TusError } from '../errors.js'
import { isExpired, NEVER } from '../expiration.js'
import { tell } from '../lifecycle.js'
import type { Log } from '../log.js'
import { isDue, type Upload } from '../upload.js'
import { completeIfDue, isUnfinished } from './complete.js'
import { compose, getPatience, isPostponed } from './compose.js'
import { isNotFound } from './failure.js'
import { find, isGone, isOurs } from './find.js'
import { removeSame } from './identity.js'

/** What a sweep did, in uploads; `tidied` counts files or objects that belonged to none. */
export interface SweepCounts {
  readonly expired: number
  readonly finished: number
  readonly failed: number
  readonly tidied: number
}

/**
 * Finishes what is complete but was not finished, and removes what has expired, each under its lock. What another registration
 * on the same storage serves is finished with the hooks of that one, by its sweep.
 *
 * An error on one upload is logged and does not keep the sweep from the others. Several processes may sweep at once:
 * each looks again when it has the lock.
 */
export function sweep (context: Context, log: Log): Promise<SweepCounts> {
  return sweeps.hasSubscribers ? sweeps.tracePromise(() => sweepAll(context, log), {}) : sweepAll(context, log)
}

async function sweepAll (context: Context, log: Log): Promise<SweepCounts> {
  const counts = { expired: 0, finished: 0, failed: 0, tidied: 0 }
  try {
    // Parts come last, when it is known which of them a final upload still needs. Those that expire meanwhile may have got a new one.
    const startedAt = Date.now()
    const needed = new Set<string>()
    let hasExpiredParts = false
    for await (const upload of list(context)) {
      if (upload.partial && isExpired(upload, context.options.expiration, startedAt)) hasExpiredParts = true
      else if (!await sweepAndCount(context, upload, log, counts) && isComposable(upload)) for (const part of upload.parts) needed.add(part)
    }
    if (hasExpiredParts) {
      for await (const upload of list(context)) {
        const isOver = upload.partial && !needed.has(upload.id) && isExpired(upload, context.options.expiration, startedAt)
        if (isOver) await sweepAndCount(context, upload, log, counts)
      }
    }
  } catch (error) {
    log.error({ err: error }, 'not all uploads could be listed')
    counts.failed++
  }
  try {
    const note = (name: string) => { log.info({ name }, 'removed what a crash left') }
    counts.tidied = await context.storage.tidy?.(new Date(Date.now() - REMAINS_AFTER), note) ?? 0
  } catch (error) {
    log.error({ err: error }, 'not all remains could be removed')
    counts.failed++
  }
  return counts
}

function list ({ options, storage }: Context): AsyncIterable<Upload> | Iterable<Upload> {
  const { incomplete, complete } = options.expiration ?? NEVER
  return storage.list?.({ for: 'sweep', incomplete, complete }) ?? []
}

/** Whether a final upload still needs its parts. */
function isComposable ({ final, complete }: Upload): boolean {
  return final && !complete
}

type Counts = { -readonly [Name in keyof SweepCounts]: SweepCounts[Name] }

/** Whether the upload is finished or gone. */
async function sweepAndCount (context: Context, upload: Upload, log: Log, counts: Counts): Promise<boolean> {
  try {
    const done = await sweepOne(context, upload, log)
    if (done !== null) counts[done]++
    return done !== null
  } catch (error) {
    // Somebody works on it, here or in another process: the next sweep sees what becomes of it.
    if (isPostponed(error) || isRemoval(error) || isNotFound(error)) return false
    log.error({ err: error, id: upload.id }, 'an upload could not be swept')
    counts.failed++
    return false
  }
}

async function sweepOne (context: Context, upload: Upload, log: Log): Promise<'expired' | 'finished' | null> {
  // Who asks for an upload makes the request that fills it leave: there is nothing to sweep as long as bytes arrive.
  if (context.receiving.has(upload.id)) return null
  if (isUnsettled(upload)) return isOurs(context, upload) ? finish(context, upload, log) : null
  return isExpired(upload, context.options.expiration) ? expire(context, upload.id, log) : null
}

/** Whether the upload is gone: it was not what its client had said. That was told. */
function isRemoval (error: unknown): boolean {
  return error instanceof TusError && error.code === 'TUS_ERR_DIGEST_MISMATCH'
}

/** Whether all bytes are there, or may be, without the upload being finished. */
function isUnsettled (upload: Upload): boolean {
  return upload.complete ? isUnfinished(upload) : upload.final || isDue(upload)
}

async function finish (context: Context, upload: Upload, log: Log): Promise<'expired' | 'finished' | null> {
  const { id } = upload
  if (upload.final && !upload.complete) return finishFinal(context, upload, log)
  return context.locker.withLock(id, context.options.lockTimeout, async () => {
    const held = await context.storage.find(id)
    if (held === null) return null
    const { upload: after } = await completeIfDue(context, held, { request: null, log })
    if (after.complete) return 'finished'
    return isDue(after) ? null : expireHeld(context, after, log)
  })
}

/**
 * A final upload that its client was told of is put together. One whose client nobody answered, because the process died or the copy failed, is put
 * together only if the client asks for it: it may have asked for another one instead.
 *
 * Its time may be over because its parts never came, or because they can't be joined: this was the last try then.
 */
async function finishFinal (context: Context, upload: Upload, log: Log): Promise<'expired' | 'finished' | null> {
  const patience = getPatience(context)
  try {
    if (upload.completes !== 'when-told') {
      const { upload: after } = await compose(context, upload, { request: null, log, patience })
      if (after.complete) return 'finished'
    }
  } catch (error) {
    if (isPostponed(error) || isNotFound(error) || !isGone(context, upload)) throw error
    log.error({ err: error, id: upload.id }, 'a final upload could not be put together in its time')
  }
  if (!isGone(context, upload)) return null
  const leave = await context.compositions.enter(upload.id, patience)
  try {
    return await expire(context, upload.id, log)
  } finally {
    leave()
  }
}

async function expire (context: Context, id: string, log: Log): Promise<'expired' | null> {
  return context.locker.withLock(id, context.options.lockTimeout, async () => {
    const upload = await find(context, id, 'expired too')
    return upload === null ? null : expireHeld(context, upload, log)
  })
}

/** Looks again under the lock: the client may have come back in the last moment. */
async function expireHeld (context: Context, upload: Upload, log: Log): Promise<'expired' | null> {
  const { options, expiredIds, hooks } = context
  if (!isExpired(upload, options.expiration)) return null
  await removeSame(context, upload)
  expiredIds.add(upload)
  tell('expired', upload, { log, request: null })
  await hooks.runPost('postExpire', log, upload)
  return 'expired'
}

/** How old files without an upload are before they count as remains of a crash, in ms. */
const REMAINS_AFTER = 3_600_000
