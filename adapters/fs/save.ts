import { constants, copyFile, link, rename, rm } from 'node:fs/promises'
import { dirname, join } from 'node:path'
import { randomBytes } from 'node:crypto'
import { isCode } from './files.js'
import { hasJournal } from './journal/has-journal.js'
import { load } from './load.js'
import type { Store } from './store.js'
import { syncPath } from './sync-path.js'

/**
 * Gives the bytes of a complete upload a second name, at once and without copying where both are on one file system that has hard links, and
 * copies them where not. What was at `path` is replaced whole.
 *
 * @throws UploadMissing if it is not there any more, or another was created under its id
 */
export async function saveTo (store: Store, id: string, path: string, createdAt?: Date): Promise<void> {
  const { files, paths } = store
  await load(store, id, createdAt)
  // The upload may be removed next, and nothing brings back its bytes then.
  if (files.durability === 'fsync' && await hasJournal(store)) await syncPath(paths.data(id))
  const temporary = join(dirname(path), `.${randomBytes(6).toString('hex')}.tmp`)
  try {
    await linkOrCopy(paths.data(id), temporary)
    // Only now it is certain whose bytes these are.
    await load(store, id, createdAt)
    await rename(temporary, path)
  } finally {
    await rm(temporary, { force: true })
  }
  await syncPath(dirname(path))
}

async function linkOrCopy (from: string, to: string): Promise<void> {
  try {
    await link(from, to)
  } catch (error) {
    if (!isCode(error, 'EXDEV', 'EPERM', 'ENOTSUP', 'EOPNOTSUPP', 'EMLINK', 'ENOSYS')) throw error
    await copyFile(from, to, constants.COPYFILE_FICLONE)
    await syncPath(to)
  }
}
