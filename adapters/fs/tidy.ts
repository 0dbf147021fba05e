import { opendir, rm, stat } from 'node:fs/promises'
import { join } from 'node:path'
import { nullIfMissing } from './files.js'
import { getOwnerId } from './paths.js'
import type { Store } from './store.js'

/** Removes old files that belong to no upload: bytes without a record, half a record, temporary files. */
export async function tidy ({ paths, uploads }: Store, before: Date): Promise<number> {
  let removed = 0
  for await (const { name } of await opendir(paths.directory)) {
    const id = getOwnerId(name)
    const path = join(paths.directory, name)
    if (id === null || !await isOlder(path, before)) continue
    // A temporary file is remains whether its upload lives or not.
    if (!name.endsWith('.tmp') && await isThere(uploads.find(id))) continue
    await rm(path, { recursive: true, force: true })
    removed++
  }
  return removed
}

/** What can't be read, whatever the reason, is not taken for remains. */
function isThere (found: Promise<unknown>): Promise<boolean> {
  return found.then(upload => upload !== null, () => true)
}

async function isOlder (path: string, before: Date): Promise<boolean> {
  const found = await stat(path).catch(nullIfMissing)
  return found !== null && found.mtime < before
}
