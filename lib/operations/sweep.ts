import { sweeps } from '../channels.js'
import type { Context } from '../context.js'
import { TusError } from '../errors.js'
import { isExpired, NEVER } from '../expiration.js'
import { tell } from '../lifecycle.js'
import { LockTimeout } from '../locker.js'
import type { Log } from '../log.js'
import { isDue, type Upload } from '../upload.js'
import { finishIfDue, isUnfinished } from './complete.js'
import { concatenateIfDue } from './concatenate.js'
import { find, isOurs } from './find.js'
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
    const { incomplete, complete } = context.options.expiration ?? NEVER
    for await (const upload of context.storage.list?.({ for: 'sweep', incomplete, complete }) ?? []) {
      try {
        const done = await sweepOne(context, upload, log)
        if (done !== null) counts[done]++
      } catch (error) {
        // Somebody works on it, here or in another process: the next sweep sees what becomes of it.
        if (error instanceof LockTimeout || isRemoval(error)) continue
        log.error({ err: error, id: upload.id }, 'an upload could not be swept')
        counts.failed++
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

async function sweepOne (context: Context, upload: Upload, log: Log): Promise<'expired' | 'finished' | null> {
  // Who asks for an upload makes the request that fills it leave: there is nothing to sweep as long as bytes arrive.
  if (context.receiving.has(upload.id)) return null
  if (isUnsettled(upload)) return isOurs(context, upload) ? finish(context, upload.id, log) : null
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

async function finish (context: Context, id: string, log: Log): Promise<'expired' | 'finished' | null> {
  return context.locker.withLock(id, context.options.lockTimeout, async () => {
    const upload = await context.storage.find(id)
    if (upload === null) return null
    const cause = { request: null, log }
    const { upload: after } = upload.complete ? await finishIfDue(context, upload, cause) : await concatenateIfDue(context, upload, cause)
    if (after.complete) return 'finished'
    // A final upload whose parts never come.
    return isDue(after) ? null : expireHeld(context, after, log)
  })
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
