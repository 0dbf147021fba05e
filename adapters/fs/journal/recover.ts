import { join } from 'node:path'
import { endLog } from './log.js'
import { getLogOwner, isLogName } from './names.js'
import type { Place } from './place.js'
import { clearRemovals } from './removals.js'
import { replay } from './replay.js'
import { settle, withJournal } from './settle.js'

/**
 * Ends the logs of processes that have ended, if there is a journal. What their files have lost since, by a failure of the machine or of the disk,
 * is written again. Where nothing was lost this only reads: it does not depend on knowing whether the machine was started anew.
 *
 * @param listLiving the names of the processes that may write logs
 */
export async function recover (place: Place, listLiving: () => Promise<ReadonlySet<string>>): Promise<void> {
  const { files, paths: { journal } } = place
  if (await files.stat(journal) === null) return
  await withJournal(place, async () => {
    const logs = (await files.list(journal)).filter(isLogName)
    // Read behind the logs: whoever writes one was registered before.
    const living = logs.length > 0 ? await listLiving() : new Set<string>()
    const dead = logs.filter(name => !living.has(getLogOwner(name)!))
    await (dead.length > 0 ? recoverLogs(place, dead) : clearRemovals(place))
  })
}

async function recoverLogs (place: Place, dead: readonly string[]): Promise<void> {
  const { files, paths: { journal } } = place
  await replay(place, dead, 'lost')
  const fd = await files.openToRead(journal)
  try {
    await settle(place, fd, async () => {
      for (const name of dead) await endLog(files, join(journal, name))
    })
  } finally {
    await files.release(fd)
  }
}
