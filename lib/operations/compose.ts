import { setTimeout as sleep } from 'node:timers/promises'
import { createStopReason } from '../compositions.js'
import type { Context } from '../context.js'
import { TUS_ERR_UPLOAD_NOT_FOUND, TusError } from '../errors.js'
import { LockTimeout, type Wanted } from '../locker.js'
import type { Log } from '../log.js'
import { isFull, type Upload, type UploadRef } from '../upload.js'
import { finishIfDue, type Cause, type Completion } from './complete.js'
import { concatenateIfDue, findComplete } from './concatenate.js'
import { chooseCompletion } from './ending.js'
import { find, withLockOf } from './find.js'
import { updateSame } from './identity.js'

/** Who wants a final upload put together. */
export interface Composer extends Cause {
  /** How long to wait for another one who does the same, in ms. */
  readonly patience: number
  /** Ends the copy. */
  readonly signal?: AbortSignal
  /** Called under the lock of the upload, with what has become of it. */
  conclude?(completion: Completion): Promise<Completion>
}

/**
 * Puts a final upload together and completes it, as far as its parts are there. The caller holds no lock of it.
 *
 * One does at a time. A request that asks for the lock of the upload meanwhile, to remove it, ends the copy; if the upload is still there
 * afterwards, it begins again.
 *
 * @throws LockTimeout if another one, in this process or on another machine, does the same for longer than `patience`
 * @throws TUS_ERR_UPLOAD_NOT_FOUND, what a hook throws, what the storage throws
 */
export async function compose (context: Context, meant: UploadRef, composer: Composer): Promise<Completion> {
  const leave = await context.compositions.enter(meant.id, composer.patience)
  try {
    return await composeAlone(context, meant, composer)
  } finally {
    leave()
  }
}

/** As {@link compose}, for a caller that has entered. */
export async function composeAlone (context: Context, meant: UploadRef, composer: Composer): Promise<Completion> {
  const lease = await takeLease(context, meant, composer)
  try {
    for (;;) {
      const completion = await withLockOf(context, meant, wanted => attempt(context, meant, composer, { wanted, lost: lease.lost }))
      if (completion !== null) return completion
    }
  } finally {
    await lease.release()
  }
}

/** What may end a copy from outside. */
interface Ends {
  readonly wanted: Wanted
  readonly lost: AbortSignal
}

/** `null` if somebody asked for the upload. */
async function attempt (context: Context, meant: UploadRef, composer: Composer, { wanted, lost }: Ends): Promise<Completion | null> {
  const stop = new AbortController()
  const leave = () => stop.abort(WANTED)
  const ends = [composer.signal, lost].filter(signal => signal !== undefined).map(signal => endWith(stop, signal))
  ends.push(context.compositions.onStop(() => stop.abort(createStopReason())))
  if (wanted.requested) leave()
  else wanted.onRequest(leave)
  try {
    const upload = await find(context, meant, 'expired too')
    if (upload === null) throw TUS_ERR_UPLOAD_NOT_FOUND()
    const completion = upload.complete ? await finishIfDue(context, upload, composer) : await concatenate(context, upload, composer, stop.signal)
    return await composer.conclude?.(completion) ?? completion
  } catch (error) {
    if (error === WANTED) return null
    throw error
  } finally {
    for (const end of ends) end()
  }
}

function endWith (stop: AbortController, signal: AbortSignal): () => void {
  const end = () => stop.abort(signal.reason)
  if (signal.aborted) end()
  signal.addEventListener('abort', end)
  return () => signal.removeEventListener('abort', end)
}

/** Who asks for the upload knows of it. The request that creates it confirms that at the end, when its client is about to be told. */
async function concatenate (context: Context, upload: Upload, composer: Composer, signal: AbortSignal): Promise<Completion> {
  const known = composer.confirm === undefined ? await noteKnown(context, upload) : asKnown(context, upload)
  return concatenateIfDue(context, known, composer, signal)
}

/** Notes that somebody knows of a final upload, so that it is put together whatever becomes of this process. */
export async function noteKnown (context: Context, upload: Upload): Promise<Upload> {
  const known = asKnown(context, upload)
  if (known !== upload) await updateSame(context, upload, ({ completes }) => completes === 'when-told' ? { completes: known.completes } : null)
  return known
}

function asKnown (context: Context, upload: Upload): Upload {
  return upload.completes === 'when-told' ? { ...upload, completes: chooseCompletion(context, upload, 'at-length') } : upload
}

/** How long those who only look at a final upload wait for the one who puts it together, in ms. */
export function getPatience ({ options }: Context): number {
  return Math.min(options.lockTimeout, options.concatTimeout)
}

/** Whether another request, or another process, puts the upload together or will. */
export function isPostponed (error: unknown): boolean {
  return error instanceof LockTimeout || (error instanceof TusError && error.code === 'TUS_ERR_SHUTTING_DOWN')
}

/** The right to put an upload together, among machines that no lock keeps apart. */
interface Exclusion {
  /** Aborts where another machine may have it. */
  readonly lost: AbortSignal
  release(): Promise<void>
}

/** @throws LockTimeout */
async function takeLease (context: Context, meant: UploadRef, { patience, log, signal }: Composer): Promise<Exclusion> {
  const lost = new AbortController()
  const { storage } = context
  if (context.excludesEverywhere || !storage.claim || !await isCopied(context, meant)) return { lost: lost.signal, release: async () => {} }
  const deadline = Date.now() + patience
  for (;;) {
    const lease = await storage.claim(meant.id, LEASE)
    if (lease !== null) return keep(context, lease, lost, log)
    const left = deadline - Date.now()
    if (left <= 0) throw new LockTimeout('Another process puts the upload together')
    await sleep(Math.min(left, LOOK_AGAIN), undefined, signal && { signal })
  }
}

/** Whether there is something to copy, or to complete. */
async function isCopied (context: Context, meant: UploadRef): Promise<boolean> {
  const upload = await find(context, meant, 'expired too')
  return upload !== null && !upload.complete && (isFull(upload) || await findComplete(context, upload) !== null)
}

type Lease = NonNullable<Awaited<ReturnType<NonNullable<Context['storage']['claim']>>>>

function keep (context: Context, lease: Lease, lost: AbortController, log: Log): Exclusion {
  const timer = setInterval(() => {
    lease.renew().then(
      isKept => { if (!isKept) lost.abort(new LockTimeout('Another process puts the upload together')) },
      error => { log.warn({ err: error }, 'the lease on a final upload could not be renewed') }
    )
  }, LEASE / 3)
  timer.unref()
  return {
    lost: lost.signal,
    async release () {
      clearInterval(timer)
      await lease.release().catch(error => { log.warn({ err: error }, 'the lease on a final upload could not be released') })
      // A worker that came for the complete upload has met the lease.
      context.arrivals.notify()
    }
  }
}

const WANTED = new Error('Another request asks for the upload')
/** How long an upload stays with a machine that has died, in ms. */
const LEASE = 15_000
const LOOK_AGAIN = 500
