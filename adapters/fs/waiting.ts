import { mkdir, readdir, rm, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
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

export async function removeWaiting ({ paths }: Store, partial: string): Promise<void> {
  await rm(paths.waiting(partial), { recursive: true, force: true }).catch(throwStorageError)
}
