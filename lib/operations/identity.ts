import { setTimeout as sleep } from 'node:timers/promises'
import type { Context } from '../context.js'
import type { UploadChange } from '../storage.js'
import { isCreatedAt, type Upload, type UploadRef } from '../upload.js'
import { isRandomId } from '../random-id.js'

/**
 * Whether the id of an upload may be given again after its removal, because the application chooses ids. Random ones never
 * are: what was found under one need not be compared with what is found under it later.
 */
export function mayRecur ({ options, hooks }: Context, id: string): boolean {
  return options.hasOwnIds || hooks.has('preCreate') || !isRandomId(id)
}

/** The upload or the id that was given, as what an operation is about. */
export function toRef (meant: string | UploadRef): UploadRef {
  return typeof meant === 'string' ? { id: meant } : meant
}

type Change = (present: Upload) => UploadChange | null

/**
 * Changes the record of this very upload, as {@link Storage.update} does. Resolves to `null` if it is not there any more;
 * another one that has its id by now is left alone.
 */
export async function updateSame ({ storage }: Context, { id, createdAt }: Upload, change: Change): Promise<Upload | null> {
  const updated = await storage.update(id, present => isCreatedAt(present, createdAt) ? change(present) : null)
  return updated !== null && isCreatedAt(updated, createdAt) ? updated : null
}

/**
 * Removes this very upload. The caller holds its lock.
 *
 * The next upload of its id is created in another millisecond, by which everything that means this one tells them apart.
 */
export async function removeSame ({ storage }: Context, { id, createdAt }: Upload): Promise<void> {
  while (createdAt.getTime() === Date.now()) await sleep(1)
  await storage.remove(id, createdAt)
}
