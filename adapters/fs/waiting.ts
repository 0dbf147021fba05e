import { lstat, mkdir, readdir, rmdir, unlink, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { isValidId } from '../../lib/upload.js'
import { isCode, nullIfMissing, throwStorageError } from './failure.js'
import type { Store } from './store.js'
import { syncPath } from './sync-path.js'

/** A file `<final>` in the folder `<partial>.waiting`: made without touching either upload, so no lock is needed. */
export async function addWaiting ({ files, paths, directory }: Store, partial: string, final: string): Promise<void> {
  const folder = paths.waiting(partial)
  await directory.check()
  try {
    await makeFolder(folder)
    await writeFile(join(folder, final), '')
    if (files.durability === 'fsync') await syncPath(folder)
  } catch (error) {
    throwStorageError(error)
  }
  await directory.sync()
}

async function makeFolder (folder: string): Promise<void> {
  try {
    await mkdir(folder)
  } catch (error) {
    if (!isCode(error, 'EEXIST')) throw error
  }
}

export async function findWaiting ({ paths }: Store, partial: string): Promise<readonly string[]> {
  return await readdir(paths.waiting(partial)).catch(nullIfMissing).catch(throwStorageError) ?? []
}

/** Removes the folder, unless it holds something that is not of this adapter. Resolves to whether there was one. */
export async function removeWaiting ({ paths }: Pick<Store, 'paths'>, partial: string): Promise<boolean> {
  const folder = paths.waiting(partial)
  try {
    const names = await readdir(folder)
    if (!names.every(isValidId)) return false
    for (const name of names) if ((await lstat(join(folder, name))).size === 0) await unlink(join(folder, name))
    await rmdir(folder)
    return true
  } catch (error) {
    if (isCode(error, 'ENOENT', 'ENOTDIR', 'ENOTEMPTY', 'EEXIST', 'EISDIR', 'EPERM')) return false
    throwStorageError(error)
  }
}
