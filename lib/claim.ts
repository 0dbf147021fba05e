import { randomBytes } from 'node:crypto'
import { createWriteStream } from 'node:fs'
import { open, rename, rm } from 'node:fs/promises'
import { dirname, join } from 'node:path'
import type { Readable } from 'node:stream'
import { pipeline } from 'node:stream/promises'
import type { Context } from './context.js'
import { TUS_ERR_CLAIM_LOST } from './errors.js'
import type { Log } from './log.js'
import { asAnswerable, isNotFound } from './operations/failure.js'
import { withLockOf } from './operations/find.js'
import { updateSame } from './operations/identity.js'
import { terminate } from './operations/terminate.js'
import type { Lease } from './storage.js'
import type { Upload } from './upload.js'

/**
 * A complete upload that this worker holds, and no other that lives. Where it was removed, its operations fail with
 * TUS_ERR_CLAIM_LOST, also if another upload has been created under its id since.
 */
export interface Claim extends AsyncDisposable {
  readonly upload: Upload
  /** Aborts when the lease is lost, because this process could not renew it in time: another worker may have the upload then. */
  readonly signal: AbortSignal
  /** The bytes, from `start` to `end`, both included and counted from 0. Default: the whole. */
  createReadStream(range?: { start?: number, end?: number }): Readable
  /**
   * Puts the bytes at a path of the local file system, whole or not at all, and replaces what was there. On a filesystem storage of the same
   * device this is a second name for the file: nothing is copied, and `done({ remove: true })` makes it a move.
   */
  saveTo(path: string): Promise<void>
  /**
   * Ends the work on this upload: no worker gets it again. With `remove`, the upload is removed, with the hooks.
   *
   * Called again, it comes to the same. Where it fails, the upload goes to another worker.
   *
   * @throws TUS_ERR_CLAIM_LOST if the lease was lost or given back, or the upload removed; it is then left to whoever has it
   * @throws TUS_ERR_STORAGE_… while the storage can't be used
   */
  done(options?: { remove?: boolean }): Promise<void>
  /** Gives the upload back: another worker gets it. Nothing happens after `done`. */
  release(): Promise<void>
}

export interface ClaimParts {
  readonly context: Context
  readonly upload: Upload
  readonly lease: Lease
  /** In ms. The lease is renewed three times as often. */
  readonly duration: number
  readonly log: Log
  readonly createReadStream: (range?: { start?: number, end?: number }) => Readable
}

export function createClaim ({ context, upload, lease, duration, log, createReadStream }: ClaimParts): Claim {
  const { id } = upload
  const lost = new AbortController()
  const renewals = renewOneByOne(lease)
  /** What `done` comes to, or `release`: whichever was called first. */
  let ending: Promise<void> | null = null
  let released = false

  const lose = () => { if (ending === null) lost.abort(TUS_ERR_CLAIM_LOST()) }
  const endIn = (ms: number) => setTimeout(lose, Math.min(ms, LONGEST_TIMER)).unref()
  /** Also while a renewal hangs: the lease ends in the storage, whatever becomes of that. */
  let end = endIn(duration)

  const timer = setInterval(async () => {
    if (renewals.pending) return
    const asked = performance.now()
    try {
      if (!await renewals.renew()) return lose()
      clearTimeout(end)
      end = endIn(asked + duration - performance.now())
    } catch (error) {
      // The next try may succeed before the lease ends; if not, another worker takes over.
      log.warn({ err: error, id }, 'a lease could not be renewed')
    }
  }, duration / 3)
  timer.unref()

  const giveBack = async () => {
    clearInterval(timer)
    clearTimeout(end)
    await renewals.last
    await lease.release()
  }

  const finish = async (work: () => Promise<void>) => {
    try {
      if (!await renewals.renew()) throw TUS_ERR_CLAIM_LOST()
      // However long that takes, no other worker gets the upload meanwhile.
      await work()
    } catch (error) {
      throw asClaimFailure(error)
    } finally {
      // What is done is done, and a lease that stays ends by itself.
      await giveBack().catch(error => { log.warn({ err: error, id }, 'a lease could not be ended') })
    }
  }

  const release = async () => {
    if (ending !== null) return
    released = true
    await (ending = giveBack())
  }

  return {
    upload,
    signal: lost.signal,
    createReadStream,
    async saveTo (path) {
      if (!context.storage.saveTo) return save(createReadStream(), path)
      try {
        await context.storage.saveTo(id, path, upload.createdAt)
      } catch (error) {
        throw isNotFound(error) ? TUS_ERR_CLAIM_LOST() : error
      }
    },
    async done ({ remove = false } = {}) {
      if (released) throw TUS_ERR_CLAIM_LOST()
      await (ending ??= finish(() => remove ? removeUpload(context, upload, log) : markProcessed(context, upload)))
    },
    release,
    [Symbol.asyncDispose]: release
  }
}

interface Renewals {
  readonly pending: boolean
  /** Settles, and never fails, when no renewal is on its way. */
  readonly last: Promise<void>
  renew(): Promise<boolean>
}

/** A storage knows a lease by its last renewal: one that is asked for meanwhile would take the other for that of a stranger. */
function renewOneByOne (lease: Lease): Renewals {
  let last = Promise.resolve()
  let count = 0
  return {
    get pending () { return count > 0 },
    get last () { return last },
    renew () {
      count++
      const renewed = last.then(() => lease.renew()).finally(() => { count-- })
      last = renewed.then(() => {}, () => {})
      return renewed
    }
  }
}

async function removeUpload (context: Context, upload: Upload, log: Log): Promise<void> {
  await terminate(context, upload, { request: null, log })
}

async function markProcessed (context: Context, upload: Upload): Promise<void> {
  const marked = await withLockOf(context, upload, () => updateSame(context, upload, () => ({ processed: true })))
  if (marked === null) throw TUS_ERR_CLAIM_LOST()
}

function asClaimFailure (error: unknown): Error {
  return isNotFound(error) ? TUS_ERR_CLAIM_LOST() : asAnswerable(error)
}

/** In ms. Node fires a longer one at once. */
const LONGEST_TIMER = 2 ** 31 - 1

/** For storages that can't do it better. */
async function save (bytes: Readable, path: string): Promise<void> {
  const temporary = join(dirname(path), `.${randomBytes(6).toString('hex')}.tmp`)
  try {
    await pipeline(bytes, createWriteStream(temporary, { flags: 'wx' }))
    const file = await open(temporary, 'r+')
    await file.sync().finally(() => file.close())
    await rename(temporary, path)
  } finally {
    await rm(temporary, { force: true })
  }
}
