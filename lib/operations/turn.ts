import { randomUUID } from 'node:crypto'
import { setTimeout as sleep } from 'node:timers/promises'
import type { Context } from '../context.js'
import { LockTimeout } from '../locker.js'
import type { Log } from '../log.js'
import { UploadMissing } from '../storage.js'
import type { Purpose, Upload } from '../upload.js'
import { updateSame } from './identity.js'

/** The right to ask the application for its answer. */
export interface Turn {
  /** As it is now; somebody else may have answered for it. */
  readonly upload: Upload
  /** Lets others ask. To be called unless an answer was kept, which ends the turn too. */
  giveUp(): Promise<void>
  /** Renews it no more. */
  stop(): void
}

/**
 * Takes the turn to ask the application about an upload, or waits until it is answered.
 *
 * The caller holds the lock, which is all there is to it where the lock excludes every process. Where it does not, a lease in the record of the upload does,
 * which is renewed as long as the application takes; that of a process that died ends by itself.
 *
 * @throws LockTimeout if another process asks for longer than `lockTimeout`
 */
export async function takeTurn (context: Context, upload: Upload, log: Log): Promise<Turn> {
  if (context.excludesEverywhere) return { upload, giveUp: async () => {}, stop: () => {} }
  const by = randomUUID()
  const taken = await take(context, upload, by)
  const timer = setInterval(() => change(context, upload, by, { by, until: Date.now() + LEASE }, log), LEASE / 3)
  timer.unref()
  const stop = () => clearInterval(timer)
  if (taken.purpose?.answering?.by !== by) stop()
  return {
    upload: taken,
    stop,
    async giveUp () {
      stop()
      await change(context, upload, by, null, log)
    }
  }
}

/** Resolves to the upload, with the turn of `by` in it or with an answer. */
async function take (context: Context, asked: Upload, by: string): Promise<Upload> {
  const deadline = Date.now() + context.options.lockTimeout
  for (;;) {
    const upload = await updateSame(context, asked, ({ purpose }) =>
      isFree(purpose) ? { purpose: { ...purpose, answering: { by, until: Date.now() + LEASE } } } : null)
    if (upload === null) throw new UploadMissing('The upload was removed')
    if (upload.purpose?.answering?.by === by || upload.purpose?.answer) return upload
    if (Date.now() >= deadline) throw new LockTimeout('Another process asks the application about the upload')
    await sleep(LOOK_AGAIN)
  }
}

function isFree (purpose: Purpose | undefined): purpose is Purpose {
  return purpose !== undefined && purpose.answer === null && (purpose.answering?.until ?? 0) <= Date.now()
}

async function change (context: Context, upload: Upload, by: string, answering: Purpose['answering'], log: Log): Promise<void> {
  try {
    await updateSame(context, upload, ({ purpose }) =>
      purpose?.answer === null && purpose.answering?.by === by ? { purpose: { ...purpose, answering } } : null)
  } catch (error) {
    // The next try may come in time; if not, another process asks, too.
    log.warn({ err: error, id: upload.id }, 'the turn to answer for an upload could not be renewed')
  }
}

/** How long a turn lasts that is not renewed, in ms. */
const LEASE = 10_000
const LOOK_AGAIN = 200
