import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { UploadMissing, type CreationTimes } from '../../lib/storage.js'
import { isCode } from './failure.js'
import { load } from './load.js'
import type { OpenUpload } from './open-upload.js'
import type { Store } from './store.js'

/**
 * Writes the parts into a temporary file, syncs it, and renames it over the empty file of the final upload: the rename is the commit.
 * Parts that are the same before and after the copy were the same during it.
 *
 * The bytes go from file to file inside of the kernel where the system's `cat` does that (`copy_file_range`, GNU coreutils 9.1 and
 * later), and through the memory of this process where there is no such command.
 */
export async function concatenate (
  store: Store, id: string, parts: readonly string[], created?: CreationTimes, signal?: AbortSignal
): Promise<number> {
  signal?.throwIfAborted()
  const { files, paths, uploads, directory } = store
  await load(store, id, created?.final)
  const sources = await loadAll(store, parts, created?.parts)
  const length = sources.reduce((sum, { durable }) => sum + durable, 0)
  const temporary = paths.temporary(id)
  const fd = await files.createOrThrow(temporary)
  try {
    try {
      await copy(store, sources.map(source => paths.data(source.id)), fd, signal)
      await files.sync(fd)
      signal?.throwIfAborted()
      await checkLength(store, fd, length)
      await loadAll(store, parts, sources.map(source => source.record.upload.createdAt))
    } finally {
      await files.close(fd)
    }
    await uploads.drop(id)
    await directory.check()
    await files.rename(temporary, paths.data(id))
  } catch (error) {
    await files.discard(temporary)
    if (!isCode(error, 'ENOENT')) throw error
    await directory.check()
    throw new UploadMissing('A part was removed while it was copied', { cause: error })
  }
  await directory.sync()
  return length
}

/** One after the other: each may have to be opened, and there may be more of them than descriptors. */
async function loadAll (store: Store, ids: readonly string[], createdAt?: readonly Date[]): Promise<OpenUpload[]> {
  const uploads: OpenUpload[] = []
  for (const [index, id] of ids.entries()) uploads.push(await load(store, id, createdAt?.[index]))
  return uploads
}

async function copy ({ files }: Store, paths: readonly string[], fd: number, signal?: AbortSignal): Promise<void> {
  signal?.throwIfAborted()
  if (paths.length > 0 && await copyInKernel(paths, fd, signal)) return
  signal?.throwIfAborted()
  await files.truncate(fd, 0)
  let position = 0
  for (const path of paths) position = await files.copyInto(fd, path, position, signal)
}

/** False if there is no such command here, if it failed, or if the list is too long for a command line. */
async function copyInKernel (paths: readonly string[], fd: number, signal?: AbortSignal): Promise<boolean> {
  if (process.platform === 'win32') return false
  try {
    const cat = spawn('cat', ['--', ...paths], { stdio: ['ignore', fd, 'ignore'] })
    const stop = () => cat.kill()
    signal?.addEventListener('abort', stop)
    const [code] = await once(cat, 'exit').finally(() => signal?.removeEventListener('abort', stop))
    return code === 0
  } catch {
    return false
  }
}

/** A part that was removed in the middle must not become a shorter final upload. */
async function checkLength ({ files }: Store, fd: number, length: number): Promise<void> {
  const { size } = await files.statOpen(fd)
  if (size !== length) throw new UploadMissing('A part changed while it was copied')
}
