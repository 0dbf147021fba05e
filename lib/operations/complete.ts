import type { Context } from '../context.js'
import type { FinishDecision, HookRequest } from '../hooks.js'
import type { Log } from '../log.js'
import { changeState, isFull, type NewUpload, type Upload } from '../upload.js'

/** An upload after an operation, and what the application adds to the response. */
export interface Completion {
  readonly upload: Upload
  readonly decision: FinishDecision
}

/** Who wants an upload completed: a request, or the application itself. */
export interface Cause {
  readonly request: HookRequest | null
  readonly log: Log
}

/**
 * Completes an upload whose bytes are all there, with the hooks around it; finishes a complete one that is not finished; leaves any other as it is.
 *
 * A completion that failed once (a hook refused, the process died) is tried again by the next request.
 * Partial uploads complete without hooks (CC-3).
 */
export async function completeIfDue (context: Context, upload: Upload, cause: Cause): Promise<Completion> {
  if (upload.complete) return finishIfDue(context, upload, cause)
  if (!isFull(upload)) return { upload, decision: {} }
  const asked = !upload.partial && context.hooks.has('preFinish')
  const decisions = asked ? await context.hooks.runPre('preFinish', cause.log, cause.request, upload) : []
  await context.storage.complete(upload.id)
  const complete = changeState(upload, { complete: true })
  const { upload: finished } = isUnfinished(complete) ? await finishIfDue(context, complete, cause) : { upload: complete }
  context.arrivals.notify()
  return { upload: finished, decision: mergeDecisions(decisions) }
}

/**
 * Runs the `postFinish` hooks of a complete upload, unless they have run.
 *
 * The mark is written behind them: after a crash in between they run again, so that none is ever lost. Where only the mark fails, this process
 * knows that they have run.
 */
export async function finishIfDue (context: Context, upload: Upload, cause: Cause): Promise<Completion> {
  if (!isUnfinished(upload)) return { upload, decision: {} }
  const { unmarked } = context
  const key = `${upload.id} ${upload.createdAt.getTime()}`
  if (!unmarked.has(key)) await context.hooks.runPost('postFinish', cause.log, cause.request, upload)
  unmarked.add(key)
  await context.storage.update(upload.id, () => ({ finished: true }))
  unmarked.delete(key)
  return { upload: changeState(upload, { finished: true }), decision: {} }
}

/** Whether a complete upload waits for its `postFinish` hooks: it was created when the application had finish hooks. */
export function isUnfinished ({ complete, finished, completes, partial }: Upload): boolean {
  return complete && !finished && completes === 'by-mark' && !partial
}

/**
 * Who decides that an upload is complete: its length alone, unless hooks of the application have a say. Without them a
 * storage need not write a mark, which is a third of the cost of a small upload.
 */
export function chooseCompletion ({ hooks }: Context, { partial }: Pick<Upload, 'partial'>): NewUpload['completes'] {
  return !partial && (hooks.has('preFinish') || hooks.has('postFinish')) ? 'by-mark' : 'at-length'
}

/** An upload that was created before the application had finish hooks must not complete around them. */
export function respectHooks (context: Context, upload: Upload): Promise<Upload> | Upload {
  const completes = chooseCompletion(context, upload)
  if (upload.complete || upload.completes === completes || completes === 'at-length') return upload
  return context.storage.update(upload.id, () => ({ completes })).then(changed => changed ?? upload)
}

/** The last hook that says something wins. */
function mergeDecisions (decisions: readonly FinishDecision[]): FinishDecision {
  return decisions.reduce<FinishDecision>((merged, { headers, ...rest }) => ({ ...merged, ...rest, headers: { ...merged.headers, ...headers } }), {})
}
