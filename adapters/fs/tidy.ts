import { opendir, rm } from 'node:fs/promises'
import { join } from 'node:path'
import { throwStorageError } from './failure.js'
import { isForeign } from './foreign.js'
import { listLiving } from './journal/open.js'
import { recover } from './journal/recover.js'
import { getOwnerId } from './paths.js'
import { AT_ONCE } from './read.js'
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
  for await (const { name } of await opendir(store.paths.directory, { bufferSize: AT_ONCE }).catch(throwStorageError)) {
    try {
      removed += await removeRemains(store, name, before)
    } catch (error) {
      failures.push(error)
    }
  }
  await store.locker.tidy?.(before)
  await recover(store, () => listLiving(store.locker))
  if (failures.length > 0) throw new AggregateError(failures, `${failures.length} files can not be removed`)
  return removed
}

/** How many files went: the bytes go along with half a record. */
async function removeRemains (store: Store, name: string, before: Date): Promise<number> {
  const { paths } = store
  const id = getOwnerId(name)
  if (id === null || await belongs(store, id, name)) return 0
  const record = paths.record(id)
  const candidates = join(paths.directory, name) === record ? [record, paths.data(id)] : [join(paths.directory, name)]
  let removed = 0
  for (const path of candidates) if (await removeIfOlder(store, path, before)) removed++
  return removed
}

/** Whether a file belongs to an upload, of this server or of another. What can't be read, whatever the reason, is not taken for remains. */
async function belongs ({ paths, files, uploads }: Store, id: string, name: string): Promise<boolean> {
  // A temporary file is remains whether its upload lives or not.
  if (name.endsWith('.tmp')) return false
  // The bytes stay as long as the record: whether that is whole is seen when it is its turn.
  if (name === id && await files.stat(paths.record(id)) !== null) return true
  return await isThere(uploads.glance(id)) || isForeign(paths, id)
}

function isThere (found: Promise<unknown>): Promise<boolean> {
  return found.then(upload => upload !== null, () => true)
}

async function removeIfOlder ({ files }: Store, path: string, before: Date): Promise<boolean> {
  const found = await files.stat(path)
  if (found === null || found.mtime >= before) return false
  await rm(path, { recursive: true, force: true })
  return true
}
