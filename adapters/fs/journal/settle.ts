import { getDoubt, isLogName } from './names.js'
import { JOURNAL, type Place } from './place.js'
import { clearRemovals } from './removals.js'
import { replay } from './replay.js'
import { syncFileSystem } from './sync-file-system.js'

/**
 * Makes durable in their files what logs tell, all of it by one sync of the file system, and then ends these logs by `end`.
 *
 * A sync tells of a page that could not be written once, to whoever asks first; and the system takes such a page for clean. So who begins a sync
 * leaves the file `doubted` until it has succeeded. Who finds one writes again what all logs tell, whoever wrote them.
 *
 * For the work of {@link withJournal}.
 *
 * @param fd of a file of the file system
 */
export async function settle (place: Place, fd: number, end: () => Promise<void>): Promise<void> {
  const { files, paths: { journal } } = place
  const doubt = await files.create(getDoubt(journal))
  if (doubt === null) await replay(place, (await files.list(journal)).filter(isLogName), 'all')
  else await files.release(doubt)
  await syncFileSystem(fd)
  await files.remove(getDoubt(journal))
  await end()
  await clearRemovals(place)
}

/** Runs `work` in one process at a time. */
export function withJournal<Result> ({ locker }: Place, work: () => Promise<Result>): Promise<Result> {
  return locker.withLock(JOURNAL, PATIENCE, work)
}

/** How long others may take to do the same, in ms. */
const PATIENCE = 600_000
