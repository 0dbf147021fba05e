import { opendir, rm, stat } from 'node:fs/promises'
import { join } from 'node:path'
import { nullIfMissing, throwStorageError } from './failure.js'
import { isForeign } from './foreign.js'
import { listLiving } from './journal/open.js'
import { recover } from './journal/recover.js'
import { getOwnerId } from './paths.js'
import type { Store } from './store.js'

/**
 * Removes old files that belong to no upload: bytes without a record, half a record, temporary files. One that can't be removed is told at
 * the end, so that it keeps nobody from the others. The uploads of another server, which may once have had the directory, stay.
 */
export async function tidy (store: Store, before: Date): Promise<number> {
  const failures: unknown[] = []
  let removed = 0
  // What lies where the device is mounted is none of our business.
  await store.directory.check()
  for await (const { name } of await opendir(store.paths.directory).catch(throwStorageError)) {
    try {
      if (await removeIfRemains(store, name, before)) removed++
    } catch (error) {
      failures.push(error)
    }
  }
  await store.locker.tidy?.(before)
  await recover(store, () => listLiving(store.locker))
  if (failures.length > 0) throw new AggregateError(failures, `${failures.length} files can not be removed`)
  return removed
}

async function removeIfRemains ({ paths, uploads }: Store, name: string, before: Date): Promise<boolean> {
  const id = getOwnerId(name)
  const path = join(paths.directory, name)
  if (id === null || !await isOlder(path, before)) return false
  // A temporary file is remains whether its upload lives or not.
  if (!name.endsWith('.tmp') && (await isThere(uploads.find(id)) || await isForeign(paths, id))) return false
  await rm(path, { recursive: true, force: true })
  return true
}

/** What can't be read, whatever the reason, is not taken for remains. */
function isThere (found: Promise<unknown>): Promise<boolean> {
  return found.then(upload => upload !== null, () => true)
}

async function isOlder (path: string, before: Date): Promise<boolean> {
  const found = await stat(path).catch(nullIfMissing)
  return found !== null && found.mtime < before
}
