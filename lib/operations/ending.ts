import type { Context } from '../context.js'
import { TUS_ERR_DIGEST_MISMATCH, TUS_ERR_LENGTH_MISMATCH } from '../errors.js'
import { isFull, type NewUpload, type Purpose, type Upload } from '../upload.js'
import type { AppendCommand, Ending } from './commands.js'
import type { Exchange } from './exchange.js'
import { updateSame } from './identity.js'

type Wish = Pick<AppendCommand, 'completion' | 'digests'>

/**
 * Who decides that an upload is complete: its length alone, unless hooks of the application or a digest have a say. Without them a
 * storage need not write a mark, which is a third of the cost of a small upload.
 */
export function chooseCompletion (
  { hooks, options }: Context, { partial, final = false, purpose }: Deciding, completion: Ending
): NewUpload['completes'] {
  if (completion !== 'at-length') return 'when-told'
  const isDecided = hasDigests(purpose) || (final && options.removeParts) || (!partial && (hooks.has('preFinish') || hooks.has('postFinish')))
  return isDecided ? 'by-mark' : 'at-length'
}

/** What of an upload has a say. */
type Deciding = Pick<Upload, 'partial' | 'purpose'> & Partial<Pick<Upload, 'final'>>

/**
 * Notes what this request says of the end of the upload, before a byte of it is stored: a process that dies behind the last byte leaves an upload of which
 * the next request can tell whether it is complete. An upload that was created before the application had finish hooks must not complete around them.
 */
export function agree (context: Context, upload: Upload, wish: Wish): Promise<Upload> | Upload {
  if (upload.complete) return upload
  const { completes, purpose } = decide(context, upload, wish)
  if (completes === upload.completes && purpose === upload.purpose) return upload
  let wasComplete = false
  // Another process may have noted something else meanwhile: a digest must not be lost, and what is complete stays so.
  return updateSame(context, upload, present => {
    wasComplete = present.complete
    return wasComplete ? null : decide(context, present, wish)
  }).then(present => {
    if (wasComplete && present?.offset === upload.offset) return present
    // One that is complete by these words alone has yet to be told of.
    return { ...upload, completes, purpose, ...present && !wasComplete && { completes: present.completes, purpose: present.purpose } }
  })
}

/** Before a final upload gets its bytes: one that was created before the application had finish hooks, or `removeParts`, must not complete around them. */
export async function leaveToHooks (context: Context, upload: Upload): Promise<Upload> {
  if (upload.completes !== 'at-length' || chooseCompletion(context, upload, 'at-length') === 'at-length') return upload
  await updateSame(context, upload, ({ completes }) => completes === 'at-length' ? { completes: 'by-mark' } : null)
  return { ...upload, completes: 'by-mark' }
}

/** What a client that takes an upload for complete at its length says by asking where it is, if it is there: that this is all. */
export function agreeToLength (context: Context, upload: Upload): Promise<Upload> | Upload {
  return isFull(upload) ? agree(context, upload, AT_LENGTH) : upload
}

const AT_LENGTH: Wish = { completion: 'at-length', digests: {} }

/** @throws TUS_ERR_DIGEST_MISMATCH if another digest was given before */
function decide (context: Context, { partial, completes, purpose: known }: Upload, wish: Wish): Pick<Upload, 'completes' | 'purpose'> {
  const purpose = addDigests(known, getVerifiable(context, wish.digests))
  const chosen = chooseCompletion(context, { partial, purpose }, wish.completion)
  return { completes: chosen === 'at-length' && completes === 'by-mark' ? 'by-mark' : chosen, purpose }
}

/**
 * Forgets what a request said of the end of the upload, if none of its bytes counts: it is as if it had not come. A digest that stayed would be the end of
 * the upload, or of another digest that is right.
 */
export async function disagree (context: Context, upload: Upload, { log }: Pick<Exchange, 'log'>): Promise<void> {
  const { id, offset, completes, purpose } = upload
  try {
    await updateSame(context, upload, present =>
      present.offset === offset && !present.complete ? { completes, purpose } : null)
  } catch (error) {
    // The answer is why the request was refused.
    log.error({ err: error, id }, 'what a refused body said of its end could not be taken back')
  }
}

/**
 * Notes that all of an upload is there, because a body whose size nobody knew has come to its end.
 *
 * @throws TUS_ERR_LENGTH_MISMATCH if more was announced
 */
export async function end (context: Context, upload: Upload): Promise<Upload> {
  if (upload.complete) return upload
  const { id, length, offset, createdAt } = upload
  if (length !== null && length !== offset) throw TUS_ERR_LENGTH_MISMATCH()
  if (length === null) await context.storage.setLength(id, offset, createdAt)
  const choose = ({ partial, purpose }: Upload) => ({ completes: chooseCompletion(context, { partial, purpose }, 'at-length') })
  const { completes, purpose } = await updateSame(context, upload, choose) ?? { ...upload, ...choose(upload) }
  return { ...upload, length: offset, completes, purpose }
}

/** What a new upload is for; nothing in most cases. */
export function createPurpose (context: Context, digests: Purpose['digests']): Purpose | undefined {
  const { target } = context
  const known = target === undefined || target === null ? undefined : { target, digests: {}, answer: null }
  return addDigests(known, getVerifiable(context, digests))
}

/** Where nothing can be read back, nobody promises to verify anything. */
function getVerifiable ({ storage }: Context, digests: Purpose['digests']): Purpose['digests'] {
  return storage.read ? digests : {}
}

/** @throws TUS_ERR_DIGEST_MISMATCH if another digest was given before */
function addDigests (purpose: Purpose | undefined, digests: Purpose['digests']): Purpose | undefined {
  if (isEmpty(digests)) return purpose
  const known = purpose?.digests ?? {}
  const added = Object.entries(digests).filter(([algorithm, digest]) => !(algorithm in known) || (digest !== null && known[algorithm] !== digest))
  if (added.length === 0) return purpose
  if (added.some(([algorithm]) => typeof known[algorithm] === 'string')) throw TUS_ERR_DIGEST_MISMATCH({ algorithm: added[0]![0] })
  return { target: null, answer: null, ...purpose, verified: undefined, digests: { ...known, ...Object.fromEntries(added) } }
}

function hasDigests (purpose: Purpose | undefined): boolean {
  return purpose !== undefined && !isEmpty(purpose.digests)
}

function isEmpty (digests: Purpose['digests']): boolean {
  return Object.keys(digests).length === 0
}
