import { link, lstat, open, rename, rm, stat, type FileHandle } from 'node:fs/promises'
import type { Lease } from '../../lib/storage.js'
import { ignore, isCode, nullIfMissing, throwStorageError } from './failure.js'
import type { Store } from './store.js'

/**
 * A lease is a file `<id>.claim` that appears under its name with its content (a hard link), so that one process wins. It lasts
 * until its time of modification plus the duration that it holds.
 */
export async function claim (store: Store, id: string, duration: number): Promise<Lease | null> {
  const path = store.paths.claim(id)
  await store.directory.check()
  return take(store, id, path, duration).catch(throwStorageError)
}

/** Removes the lease, whoever has it; a file of others that has its name stays. */
export async function removeClaim (store: Store, id: string): Promise<void> {
  const path = store.paths.claim(id)
  if (await readLease(store, path) !== null) await store.files.remove(path)
}

async function take (store: Store, id: string, path: string, duration: number): Promise<Lease | null> {
  const lease = await create(store, id, path, duration)
  if (lease !== null || !await clearExpired(store, id, path)) return lease
  return create(store, id, path, duration)
}

async function create (store: Store, id: string, path: string, duration: number): Promise<Lease | null> {
  const temporary = store.paths.temporary(id)
  const file = await open(temporary, 'wx', 0o600)
  try {
    await file.writeFile(JSON.stringify({ duration }))
    await link(temporary, path)
  } catch (error) {
    await file.close().catch(ignore)
    if (isCode(error, 'EEXIST')) return null
    throw error
  } finally {
    // What stays is left to the sweeper; the lease is there, and its descriptor must not be lost.
    await rm(temporary, { force: true }).catch(ignore)
  }
  return createLease(store, id, path, file)
}

function createLease (store: Store, id: string, path: string, file: FileHandle): Lease {
  return {
    async renew () {
      const now = new Date()
      // On the descriptor, not on the name: if the lease was taken over, the new one is not touched.
      await file.utimes(now, now).catch(throwStorageError)
      return isSame(path, file)
    },
    async release () {
      try {
        if (await isSame(path, file)) await takeAway(store, id, path, async taken => isSame(taken, file)).catch(throwStorageError)
      } finally {
        await file.close().catch(ignore)
      }
    }
  }
}

async function isSame (path: string, file: FileHandle): Promise<boolean> {
  const found = await stat(path).catch(nullIfMissing)
  return found !== null && found.ino === (await file.stat()).ino
}

/** Whether there is no lease any more, or none that lasts. */
async function clearExpired (store: Store, id: string, path: string): Promise<boolean> {
  if (!await isExpired(store, path)) return false
  await takeAway(store, id, path, taken => isExpired(store, taken))
  return true
}

/** A file of others that has the name of a lease never expires. */
async function isExpired (store: Store, path: string): Promise<boolean> {
  const found = await lstat(path).catch(nullIfMissing)
  if (found === null) return true
  const lease = await readLease(store, path)
  return lease !== null && found.mtimeMs + lease.duration < Date.now()
}

/** `null` if there is none, and for what is no lease. One is not synced: after a power failure there may be a name without content, which has lasted. */
export async function readLease ({ files }: Pick<Store, 'files'>, path: string): Promise<{ readonly duration: number } | null> {
  const found = await lstat(path).catch(nullIfMissing)
  if (!found?.isFile()) return null
  const [, duration = 0] = LEASE.exec(await files.readText(path, LEASE_START) ?? OTHERS) ?? [null, null]
  return duration === null ? null : { duration: Number(duration) }
}

const LEASE_START = '{"duration":'
const LEASE = /^(?:\{"duration":(\d+(?:\.\d+)?)\})?$/
/** What no lease says. */
const OTHERS = '-'

/** Removes what has this name, if it still is what the caller saw: it is looked at under a name of its own, and put back if not. */
async function takeAway ({ paths }: Store, id: string, path: string, mayGo: (taken: string) => Promise<boolean>): Promise<void> {
  const taken = paths.temporary(id)
  try {
    await rename(path, taken)
  } catch (error) {
    nullIfMissing(error)
    return
  }
  if (!await mayGo(taken)) await link(taken, path).catch(ignoreIfPresent)
  await rm(taken, { force: true })
}

function ignoreIfPresent (error: unknown): void {
  if (!isCode(error, 'EEXIST')) throw error
}
