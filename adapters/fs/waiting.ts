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
    await writeFile(join(folder, final), '', { mode: 0o600 })
    if (files.durability === 'fsync') await syncPath(folder)
  } catch (error) {
    throwStorageError(error)
  }
  await directory.sync()
}

async function makeFolder (folder: string): Promise<void> {
  try {
    await mkdir(folder, { mode: 0o700 })
  } catch (error) {
    if (!isCode(error, 'EEXIST')) throw error
  }
}

export async function findWaiting ({ paths }: Store, partial: string): Promise<readonly string[]> {
  return await readdir(paths.waiting(partial)).catch(nullIfMissing).catch(throwStorageError) ?? []
}

/** Removes the folder, unless it holds something that is not of this adapter, which leaves it as it is. Resolves to whether it is gone. */
export async function removeWaiting ({ paths }: Pick<Store, 'paths'>, partial: string): Promise<boolean> {
  const folder = paths.waiting(partial)
  try {
    if (!(await lstat(folder)).isDirectory()) return false
    const names = await readdir(folder)
    for (const name of names) if (!isValidId(name) || !await isEmptyFile(join(folder, name))) return false
    for (const name of names) await unlink(join(folder, name))
    await rmdir(folder)
    return true
  } catch (error) {
    if (isCode(error, 'ENOENT', 'ENOTDIR', 'ENOTEMPTY', 'EEXIST', 'EISDIR', 'EPERM')) return false
    throwStorageError(error)
  }
}

async function isEmptyFile (path: string): Promise<boolean> {
  const stat = await lstat(path)
  return stat.isFile() && stat.size === 0
}
