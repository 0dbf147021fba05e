import type { Context } from '../context.js'
import {
  TUS_ERR_CONCAT_PART_NOT_FOUND, TUS_ERR_CONCAT_PART_NOT_PARTIAL, TUS_ERR_CONCAT_PART_UNFINISHED, TUS_ERR_UPLOAD_TOO_LARGE
} from '../errors.js'
import { UploadMissing } from '../storage.js'
import { isFull, type Upload } from '../upload.js'
import { completeIfDue, type Cause, type Completion } from './complete.js'
import { leaveToHooks } from './ending.js'
import type { Exchange } from './exchange.js'
import { find, isHidden } from './find.js'
import { checkLength } from './limits.js'
import { isNamedBy } from './parts.js'
import { doForEach } from './several.js'

/** What a final upload is made of. */
interface Composition {
  /** In bytes; `null` as long as a part does not know its own. */
  readonly length: number | null
  /** Whether all of them are complete. */
  readonly complete: boolean
  /** When each part was created, in ms since 1970, which with its id says what it is. */
  readonly createdAt: readonly number[]
}

/**
 * What these parts make, as they are now: none of their ids will stand for another upload that is created under it later.
 *
 * @throws TUS_ERR_CONCAT_…, TUS_ERR_UPLOAD_TOO_LARGE for more than a number can count, what `preAccess` throws
 */
export async function checkParts (context: Context, ids: readonly string[], exchange: Exchange): Promise<Composition> {
  const found = new Map<string, Upload | null>()
  await doForEach(new Set(ids), async id => { found.set(id, await find(context, id)) })
  const parts = new Map<string, Upload>()
  for (const id of new Set(ids)) parts.set(id, await checkPart(context, found.get(id) ?? null, exchange))
  const list = ids.map(id => parts.get(id)!)
  return { length: sumLengths(list), complete: list.every(({ complete }) => complete), createdAt: list.map(({ createdAt }) => createdAt.getTime()) }
}

async function checkPart (context: Context, part: Upload | null, { request, log }: Exchange): Promise<Upload> {
  if (part === null) throw TUS_ERR_CONCAT_PART_NOT_FOUND()
  await context.hooks.runPre('preAccess', log, request, part, 'concatenate').catch(error => {
    throw isHidden(error) ? TUS_ERR_CONCAT_PART_NOT_FOUND({}, error) : error
  })
  if (!part.partial) throw TUS_ERR_CONCAT_PART_NOT_PARTIAL()
  if (!part.complete && !context.options.extensions.has('concatenation-unfinished')) throw TUS_ERR_CONCAT_PART_UNFINISHED()
  return part
}

/** @throws TUS_ERR_UPLOAD_TOO_LARGE for more than a number can count */
function sumLengths (parts: readonly Upload[]): number | null {
  const length = parts.reduce<number | null>((sum, { length }) => sum === null || length === null ? null : sum + length, 0)
  if (length !== null && !Number.isSafeInteger(length)) throw TUS_ERR_UPLOAD_TOO_LARGE({ max: Number.MAX_SAFE_INTEGER })
  return length
}

/**
 * Concatenates a final upload as soon as all of its parts are complete, and completes it; leaves any other as it is.
 *
 * The caller holds the lock of the final upload. Parts need none: complete, they don't change. One that was removed is not
 * there any more, whatever was created under its id since: such a final upload never completes, and expires.
 *
 * @throws the reason of `signal`, which ends the copy
 */
export async function concatenateIfDue (context: Context, upload: Upload, cause: Cause, signal: AbortSignal): Promise<Completion> {
  if (!upload.final || isFull(upload)) return completeIfDue(context, upload, cause)
  const parts = await findComplete(context, upload)
  if (parts === null) return { upload, decision: {} }
  const length = sumLengths(parts)!
  // Nobody could know at the creation how long it would be (CC-18).
  if (upload.length === null && !await mayBeAsLong(context, upload.id, length, cause)) return { upload, decision: {} }
  const decided = await leaveToHooks(context, upload)
  if (upload.length === null) await context.storage.setLength(upload.id, length, upload.createdAt)
  const offset = await join(context, decided, parts, signal)
  if (offset === null) return { upload: { ...decided, length }, decision: {} }
  return completeIfDue(context, { ...decided, length, offset, modifiedAt: new Date() }, cause)
}

/**
 * Looks for the parts of a new final upload once more, now that it is noted who needs them: one that was removed meanwhile never comes.
 *
 * @throws TUS_ERR_CONCAT_PART_NOT_FOUND
 */
export async function checkStillThere (context: Context, final: Upload): Promise<void> {
  await doForEach(new Map(final.parts.map((id, index) => [id, index])), async ([id, index]) => {
    const part = await find(context, id, 'expired too')
    if (part === null || !isNamedBy(context, final, index, part)) throw TUS_ERR_CONCAT_PART_NOT_FOUND()
  })
}

/** The parts, or `null` as long as one is not complete or not there. One whose time is over stays as long as the final upload needs it. */
export async function findComplete (context: Context, upload: Upload): Promise<Upload[] | null> {
  const parts = new Map<string, Upload>()
  for (const [index, id] of upload.parts.entries()) {
    const part = parts.get(id) ?? await find(context, id, 'expired too')
    if (part === null || !isNamedBy(context, upload, index, part) || !part.complete) return null
    parts.set(id, part)
  }
  return upload.parts.map(id => parts.get(id)!)
}

/** The new offset; `null` if a part was removed meanwhile. */
async function join (context: Context, final: Upload, parts: readonly Upload[], signal: AbortSignal): Promise<number | null> {
  try {
    const created = { final: final.createdAt, parts: parts.map(({ createdAt }) => createdAt) }
    return await context.storage.concatenate!(final.id, final.parts, created, signal)
  } catch (error) {
    // It waits for a part that does not come, as if that had been removed before.
    if (error instanceof UploadMissing && await find(context, final, 'expired too') !== null) return null
    throw error
  }
}

/**
 * Whether that length is known to be allowed. Where a function of the request decides, that is left to the next request.
 *
 * @throws TUS_ERR_UPLOAD_TOO_LARGE
 */
async function mayBeAsLong ({ options }: Context, id: string, length: number, { request }: Cause): Promise<boolean> {
  const { announcedMaxSize, hasOwnMaxSize } = options
  checkLength(length, request === null ? announcedMaxSize ?? Infinity : await options.maxSize(request, id))
  return request !== null || !hasOwnMaxSize
}
