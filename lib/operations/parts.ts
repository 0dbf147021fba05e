import type { Context } from '../context.js'
import type { Upload } from '../upload.js'
import type { Cause } from './complete.js'
import { isNotFound } from './failure.js'
import { find } from './find.js'
import { mayRecur } from './identity.js'
import { terminate } from './terminate.js'

/** Whether this is the partial upload that the final one was made of. Where that was not noted, it must not be younger. */
export function isNamedBy (context: Context, final: Upload, index: number, part: Upload): boolean {
  const createdAt = part.createdAt.getTime()
  const noted = final.partsCreatedAt?.[index]
  if (!part.partial) return false
  if (noted !== undefined) return createdAt === noted
  return createdAt <= final.createdAt.getTime() || !mayRecur(context, part.id)
}

/**
 * Removes the parts of a final upload that is complete, with the hooks, but for those that another final upload needs: it removes them when it is complete.
 *
 * Does not throw: what stays expires. Safe to call again after a crash.
 */
export async function removeParts (context: Context, final: Upload, cause: Pick<Cause, 'request' | 'log'>): Promise<void> {
  // A part without a scope may be in final uploads of any.
  const { scope: _scope, ...every } = context
  const parts = new Map(final.parts.map((id, index) => [id, index])).entries()
  const work = async () => {
    for (const [id, index] of parts) {
      await removePart(every, final, { id, index }, cause).catch(error => {
        if (!isNotFound(error)) cause.log.error({ err: error, id }, 'a part of a complete upload could not be removed')
      })
    }
  }
  await Promise.all(Array.from({ length: PARTS_AT_ONCE }, work))
}

interface Place {
  readonly id: string
  readonly index: number
}

async function removePart (context: Context, final: Upload, { id, index }: Place, { request, log }: Pick<Cause, 'request' | 'log'>): Promise<void> {
  const part = await find(context, id)
  if (part === null || !isNamedBy(context, final, index, part) || await isNeeded(context, part, final)) return
  await terminate(context, part, { request, log }, 'joined')
}

/** Whether another final upload is yet to be made of it. */
async function isNeeded (context: Context, part: Upload, final: Upload): Promise<boolean> {
  for (const id of await context.storage.findWaiting?.(part.id) ?? []) {
    const other = id === final.id ? null : await find(context, id)
    if (other?.final && !other.complete && other.parts.includes(part.id)) return true
  }
  return false
}

const PARTS_AT_ONCE = 4
