import type { Context } from '../context.js'
import type { NewUpload, Upload } from '../upload.js'
import type { Cause } from './complete.js'
import { compose, isPostponed } from './compose.js'
import { isNotFound } from './failure.js'
import { find, isOurs } from './find.js'
import { doForEach } from './several.js'

/**
 * Notes for which parts a new final upload waits, so that the last of them completes it. Where parts are removed once they are used, all that need
 * them are noted.
 */
export async function waitForParts ({ storage, options }: Context, { id, parts }: NewUpload): Promise<void> {
  await doForEach(new Set(parts), async part => {
    if (options.removeParts || !(await storage.find(part))?.complete) await storage.addWaiting?.(part, id)
  })
}

/** Completes the final uploads that waited for a partial one, behind the back of the request that completed it. */
export function completeWaiting (context: Context, part: Upload, { log }: Cause): void {
  if (!part.partial || !part.complete || !context.storage.findWaiting) return
  const { background, storage } = context
  // No request asks, and a part without a scope may be in finals of any.
  const { scope: _scope, ...every } = context
  background.run(async () => {
    const finals = (await storage.findWaiting!(part.id)).values()
    // A few at a time: clients decide how many there are.
    for (let worker = 0; worker < FINALS_AT_ONCE; worker++) background.run(() => retryFinals(every, finals, { request: null, log }), log)
  }, log)
}

/** Takes one after the other. What keeps one from its completion is no concern of the others. */
async function retryFinals (context: Context, ids: Iterable<string>, cause: Cause): Promise<void> {
  for (const id of ids) {
    await retryFinal(context, id, cause).catch(error => { cause.log.error({ err: error, id }, 'a final upload could not be completed') })
  }
}

async function retryFinal (context: Context, id: string, cause: Cause): Promise<void> {
  const upload = await find(context, id)
  // One that nobody is known to know of is left to the request that creates it.
  if (upload === null || !upload.final || upload.completes === 'when-told' || !isOurs(context, upload)) return
  await compose(context, upload, { ...cause, patience: context.options.lockTimeout }).catch(error => {
    if (!isPostponed(error) && !isNotFound(error)) throw error
  })
}

const FINALS_AT_ONCE = 4
