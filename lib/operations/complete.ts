import type { Context } from '../context.js'
import type { FinishDecision, HookRequest } from '../hooks.js'
import { tell } from '../lifecycle.js'
import type { Log } from '../log.js'
import { changeState, isDue, type Upload } from '../upload.js'
import { keepVerified, verifyDigests } from './digest.js'
import { updateSame } from './identity.js'
import { removeParts } from './parts.js'

/** An upload after an operation, and what the application adds to the response. */
export interface Completion {
  readonly upload: Upload
  readonly decision: FinishDecision
  /** The application has answered the request by itself. */
  readonly answered?: boolean
}

/** Who wants an upload completed: a request, or the application itself. */
export interface Cause {
  readonly request: HookRequest | null
  readonly log: Log
  /** Tells a request which upload it is about: none any more, if that was removed. */
  see?(upload: Upload | null): void
  /** Whether the client of the request has a response already. */
  isAnswered?(): boolean
  /** Called when nothing can refuse the upload any more, before it counts as complete. What it throws keeps it from that. */
  confirm?(): Promise<void>
}

/**
 * Completes an upload whose bytes are all there, with the hooks around it; finishes a complete one that is not finished; leaves any other as it is.
 *
 * In this order: its digests are verified, the `preFinish` hooks look at what is right, and only then it is complete, and readable.
 *
 * A completion that failed once (a hook refused, the process died) is tried again by the next request.
 * Partial uploads complete without hooks (CC-3).
 */
export async function completeIfDue (context: Context, upload: Upload, cause: Cause): Promise<Completion> {
  if (upload.complete) return finishIfDue(context, upload, cause)
  if (!isDue(upload)) return { upload, decision: {} }
  const verified = await verifyDigests(context, upload, cause)
  const asked = !upload.partial && context.hooks.has('preFinish')
  if (asked && verified !== upload) await keepVerified(context, verified)
  const decisions = asked ? await examine(context, verified, cause) : []
  await cause.confirm?.()
  await context.storage.complete(upload.id, upload.createdAt)
  const complete = changeState(verified, { complete: true })
  const { upload: finished } = isUnfinished(complete) ? await finishIfDue(context, complete, cause) : { upload: complete }
  if (finished === complete) tell('finished', complete, cause)
  context.arrivals.notify()
  return { upload: finished, decision: mergeDecisions(decisions) }
}

/** Only those hooks may read the upload, and what they call. */
function examine ({ hooks, examinations }: Context, upload: Upload, { request, log }: Cause): Promise<FinishDecision[]> {
  return examinations.run(upload, () => hooks.runPre('preFinish', log, request, upload))
}

/**
 * Runs the `postFinish` hooks of a complete upload, unless they have run. The parts of a final one are removed before, where that is wanted.
 *
 * The mark is written behind them: after a crash in between they run again, so that none is ever lost. Where only the mark fails, this process
 * knows that they have run.
 */
export async function finishIfDue (context: Context, upload: Upload, cause: Cause): Promise<Completion> {
  if (!isUnfinished(upload)) return { upload, decision: {} }
  const { unmarked } = context
  const key = `${upload.id} ${upload.createdAt.getTime()}`
  // The process that completed it may have died before it wrote down what it had found.
  const { purpose } = await verifyDigests(context, upload, cause)
  if (upload.final && context.options.removeParts) await removeParts(context, upload, cause)
  if (!unmarked.has(key)) await context.hooks.runPost('postFinish', cause.log, cause.request, upload)
  unmarked.add(key)
  // Another process may have answered for it meanwhile, or be about to.
  await updateSame(context, upload, ({ purpose: present }) =>
    ({ finished: true, ...purpose && { purpose: { ...purpose, ...present, digests: purpose.digests, verified: purpose.verified } } }))
  unmarked.delete(key)
  const finished: Upload = { ...changeState(upload, { finished: true }), purpose }
  tell('finished', finished, cause)
  return { upload: finished, decision: {} }
}

/** Whether a complete upload waits for its `postFinish` hooks, or its digests: there was something of that kind when it was created. */
export function isUnfinished ({ complete, finished, completes, partial }: Upload): boolean {
  return complete && !finished && completes === 'by-mark' && !partial
}

/** The last hook that says something wins. */
function mergeDecisions (decisions: readonly FinishDecision[]): FinishDecision {
  return decisions.reduce<FinishDecision>((merged, { headers, ...rest }) => ({ ...merged, ...rest, headers: { ...merged.headers, ...headers } }), {})
}
