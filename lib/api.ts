import { Readable } from 'node:stream'
import type { Claim } from './claim.js'
import { Claims, type ClaimOptions } from './claims.js'
import type { Context } from './context.js'
import { TUS_ERR_CLAIM_LOST, TUS_ERR_UPLOAD_INCOMPLETE, TUS_ERR_UPLOAD_NOT_FOUND, TusError } from './errors.js'
import type { HookName, LifecycleHooks } from './hooks.js'
import type { Log } from './log.js'
import { openDownload } from './operations/download.js'
import { asAnswerable, isNotFound } from './operations/failure.js'
import { find, isGone } from './operations/find.js'
import { toRef } from './operations/identity.js'
import { sweep, type SweepCounts } from './operations/sweep.js'
import { terminate } from './operations/terminate.js'
import type { MakeResumable } from './resumable.js'
import { isValidId, type Upload, type UploadRef } from './upload.js'

/** What an application calls: `app.tus`. */
export interface TusApi extends UploadsApi {
  /**
   * Makes a route accept resumable uploads, in either protocol, and plain requests as ever: `app.post('/documents', app.tus.resumable(handler))`. The handler runs
   * when the whole representation is there, as `request.upload`; what it says is kept, for a client that comes again.
   *
   * All who pass the hooks of the route share its uploads and their kept answers, as far as the parameters are the same: set the option `scope`, or
   * compare the owner in `preAccess` and in the handler.
   *
   * @throws TUS_ERR_ROUTE_INVALID at a route that ends in a wildcard
   */
  readonly resumable: MakeResumable
}

/** Which uploads to list. */
export interface ListFilter {
  readonly state?: 'incomplete' | 'complete'
  /** Whether partial uploads are listed, too. Default: `false`. */
  readonly partial?: boolean
}

/** What to read of an upload. */
export interface ReadOptions {
  /** The first byte, counted from 0. Default: 0. */
  readonly start?: number
  /** The last byte, counted from 0. Default: that of the upload. */
  readonly end?: number
  /** Whether a partial upload may be read, too. Default: `false`. */
  readonly partial?: boolean
}

/** The part of it that is about uploads, wherever they come from. */
export interface UploadsApi {
  /**
   * Adds a lifecycle hook, at any time, behind those that are there.
   *
   * @throws TUS_ERR_HOOK_UNKNOWN, TUS_ERR_HOOK_INVALID
   */
  addHook<Name extends HookName>(name: Name, hook: LifecycleHooks[Name]): void
  /** The upload of that id, or `null`. */
  find(id: string): Promise<Upload | null>
  /**
   * All uploads, or those of one state, in no order. An offset may count bytes that are not yet durable: `find` tells.
   *
   * @param filter `partial`: with the partial uploads of a concatenation, too. Default: without
   */
  list(filter?: ListFilter): AsyncIterable<Upload>
  /**
   * Opens a complete upload, from byte `start` to byte `end`, both included and counted from 0. Default: the whole. Called by a `preFinish` hook, it opens the
   * upload that the hook is about, too, which nobody else can read yet.
   *
   * The stream fails with TUS_ERR_UPLOAD_NOT_FOUND or TUS_ERR_UPLOAD_INCOMPLETE where there is nothing to read.
   * Given an upload and not its id, it reads that one, and none that was created under its id since.
   *
   * @param options `partial`: also if it is a partial upload of a concatenation, which no `preFinish` hook has seen. Default: one of those is not there
   */
  createReadStream(upload: string | UploadRef, options?: ReadOptions): Readable
  /**
   * Removes an upload, with the hooks. Resolves to false if there was none. Given an upload and not its id, it removes
   * that one, and none that was created under its id since.
   */
  terminate(upload: string | UploadRef): Promise<boolean>
  /** Removes what has expired, and finishes what was left unfinished. Runs by itself every `expiration.sweepInterval` ms. */
  sweep(): Promise<SweepCounts>
  /**
   * Waits for a complete upload that no other worker holds, in this process or any other on the same storage, and takes a lease on it that renews
   * itself. At least once: the upload of a worker that died goes to another. Resolves to `null` at the timeout.
   */
  claim(options?: ClaimOptions): Promise<Claim | null>
  /** The same again and again; a claim left unsettled is released when the next is asked for. Ends when the signal aborts. */
  claims(options?: Omit<ClaimOptions, 'timeout'>): AsyncIterable<Claim>
}

export function createApi (context: Context, log: Log): UploadsApi {
  const { storage, hooks } = context
  const findValid = async (meant: UploadRef) => isValidId(meant.id) ? find(context, meant) : null

  /** @param missing what to fail with where the upload is not there */
  const open = (meant: UploadRef, options: ReadOptions, missing: () => TusError) => {
    const { start = 0, end = Infinity, partial = false } = options
    // Where it was called tells whether it may: a stream can be handed to whoever reads it.
    const examination = context.examinations.find(meant)
    return Readable.from(readBytes(), { objectMode: false })

    async function * readBytes (): AsyncGenerator<Buffer> {
      const examined = examination?.isRunning ? examination.upload : null
      const upload = examined ?? await findValid(meant)
      if (upload === null || (upload.partial && !partial)) throw missing()
      if (!upload.complete && upload !== examined) throw TUS_ERR_UPLOAD_INCOMPLETE()
      yield * await openDownload(context, upload, { start, end: Math.min(end, upload.offset - 1) }).catch(error => {
        throw isNotFound(error) ? missing() : error
      })
    }
  }
  const claims = new Claims(context, log, (upload, range = {}) => open(upload, range, TUS_ERR_CLAIM_LOST))

  return {
    addHook: (name, hook) => hooks.add(name, hook),

    find: id => findValid({ id }),

    async * list ({ state, partial = false } = {}) {
      for await (const upload of storage.list?.(state && { for: 'state', state }) ?? []) {
        if (isGone(context, upload) || (upload.partial && !partial)) continue
        if (state === undefined || upload.complete === (state === 'complete')) yield upload
      }
    },

    createReadStream: (upload, options = {}) => open(toRef(upload), options, TUS_ERR_UPLOAD_NOT_FOUND),

    sweep: () => sweep(context, log),
    claim: options => claims.claim(options),
    claims: options => claims.claims(options),

    async terminate (upload) {
      const meant = toRef(upload)
      if (!isValidId(meant.id)) return false
      try {
        await terminate(context, meant, { request: null, log })
        return true
      } catch (error) {
        const answer = asAnswerable(error)
        if (answer instanceof TusError && GONE.has(answer.code)) return false
        throw answer
      }
    }
  }
}

const GONE = new Set(['TUS_ERR_UPLOAD_NOT_FOUND', 'TUS_ERR_UPLOAD_EXPIRED'])
