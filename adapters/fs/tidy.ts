import type { Dirent } from 'node:fs'
import { opendir, rm } from 'node:fs/promises'
import { basename, join } from 'node:path'
import { readLease } from './claim.js'
import { throwStorageError } from './failure.js'
import { listLiving } from './journal/open.js'
import { recover } from './journal/recover.js'
import { parseOwnName } from './paths.js'
import { AT_ONCE } from './read.js'
import { findRemains } from './remains.js'
import type { Store } from './store.js'
import { removeWaiting } from './waiting.js'

/**
 * Removes what crashes left of uploads: temporary files, and what {@link findRemains} proves to be of this adapter. The files and folders of others
 * stay, whatever their names. What can't be removed is told at the end, so that the rest is removed all the same.
 */
export async function tidy (store: Store, before: Date, onRemoved: (name: string) => void = () => {}): Promise<number> {
  const failures: unknown[] = []
  let removed = 0
  // What lies where the device is mounted is none of our business.
  await store.directory.check()
  for await (const entry of await opendir(store.paths.directory, { bufferSize: AT_ONCE }).catch(throwStorageError)) {
    try {
      for (const name of await removeRemains(store, entry, before)) {
        removed++
        onRemoved(name)
      }
    } catch (error) {
      failures.push(error)
    }
  }
  await store.locker.tidy?.(before)
  await recover(store, () => listLiving(store.locker))
  if (failures.length > 0) throw new AggregateError(failures, `${failures.length} files can not be removed`)
  return removed
}

/** The names of what went: the bytes go along with half a record. */
async function removeRemains (store: Store, entry: Dirent, before: Date): Promise<string[]> {
  const own = parseOwnName(entry.name)
  if (own === null) return []
  const { id, kind } = own
  const path = join(store.paths.directory, entry.name)
  if (kind === 'waiting') {
    const isLeft = entry.isDirectory() && await isOlder(store, path, before) && !await isUpload(store, id)
    return isLeft && await removeWaiting(store, id) ? [entry.name] : []
  }
  if (!entry.isFile()) return []
  if (kind === 'temporary') return removeAllIfOlder(store, [path], before)
  if (await isUpload(store, id)) return []
  if (kind === 'claim') return await readLease(store, path) !== null ? removeAllIfOlder(store, [path], before) : []
  const remains = await findRemains(store, id)
  return remains?.proven ? removeAllIfOlder(store, remains.paths, before) : []
}

/** What can't be read, whatever the reason, is not taken for remains. */
function isUpload ({ uploads }: Store, id: string): Promise<boolean> {
  return uploads.glance(id).then(upload => upload !== null, () => true)
}

/** All of them or none. */
async function removeAllIfOlder (store: Store, paths: readonly string[], before: Date): Promise<string[]> {
  for (const path of paths) if (!await isOlder(store, path, before)) return []
  for (const path of paths) await rm(path, { force: true })
  return paths.map(path => basename(path))
}

async function isOlder ({ files }: Store, path: string, before: Date): Promise<boolean> {
  const found = await files.stat(path)
  return found !== null && found.mtime < before
}
