import { readFile } from 'node:fs/promises'
import { join } from 'node:path'
import { isCode, nullIfMissing } from '../failure.js'
import { parseRecord } from '../record.js'
import { LockTimeout } from '../../../lib/locker.js'
import { decodeEntries, type BytesEntry, type CreateEntry, type EntryOfLog } from './entries.js'
import { getNotePath } from './names.js'
import type { Place } from './place.js'

/** `lost`: only what the files don't hold. `all`: also what they seem to hold. */
export type Extent = 'lost' | 'all'

/**
 * Writes again what logs tell of: a record that is not there or not whole, and bytes that are missing or differ. May be repeated, whole or in
 * part. Nothing is synced.
 *
 * Nothing newer is overwritten:
 *
 * - A byte of an upload never changes once it was acknowledged, whoever acknowledged it. An entry whose bytes were not acknowledged in the end
 *   was cut off its log before anybody could write others in their place (see {@link Journal.commit}): under the lock of the upload, a log tells only
 *   what is still in it.
 * - Only the first record of an upload has an entry. Each later one is synced before its name replaces the first, so a whole record is as new as
 *   the entry or newer.
 * - Bytes belong to one upload: that of the same id, created in the same ms. A removed one has a note, which is durable before its files go.
 * - Bytes behind a hole stay away: what is missing before was acknowledged by nobody, or is lost for good.
 *
 * Each upload is locked meanwhile, for other processes may be at work.
 *
 * @throws UploadInUse
 */
export async function replay (place: Place, logs: readonly string[], extent: Extent): Promise<void> {
  const uploads = new Map<string, Told[]>()
  for (const log of logs) {
    const path = join(place.paths.journal, log)
    for (const entry of decodeEntries(await readFile(path))) {
      const known = uploads.get(entry.id)
      if (known) known.push({ ...entry, path })
      else uploads.set(entry.id, [{ ...entry, path }])
    }
  }
  for (const [id, entries] of uploads) await withUpload(place, id, () => replayUpload(place, entries, extent))
}

/** An entry, and the path of the log that tells it. */
type Told = EntryOfLog & { readonly path: string }

/** Who has an upload for so long lives, and has opened the directory behind any failure of the machine: nothing is lost that could not wait. */
export class UploadInUse extends Error {}

async function withUpload (place: Place, id: string, work: () => Promise<void>): Promise<void> {
  try {
    await place.locker.withLock(id, PATIENCE, work)
  } catch (cause) {
    throw cause instanceof LockTimeout ? new UploadInUse('An upload that a journal tells of stayed in use', { cause }) : cause
  }
}

async function replayUpload (place: Place, entries: readonly Told[], extent: Extent): Promise<void> {
  const alive: Told[] = []
  for (const entry of entries) if (await holds(place, entry)) alive.push(entry)
  for (const entry of alive) {
    if (entry.kind === 'create') await replayCreate(place, entry, extent)
  }
  const bytes = alive.filter(entry => entry.kind === 'bytes').sort((a, b) => a.offset - b.offset)
  for (const entry of bytes) await replayBytes(place, entry, extent)
}

/** Whether an entry still stands in its log, of an upload that nobody has removed. */
async function holds ({ files, paths }: Place, entry: Told): Promise<boolean> {
  const log = await files.stat(entry.path)
  return log !== null && log.size >= entry.end && await files.stat(getNotePath(paths.journal, entry)) === null
}

async function replayCreate (place: Place, { id, createdAt, text }: CreateEntry, extent: Extent): Promise<void> {
  const { files, paths } = place
  const found = await readRecord(place, id)
  // A later upload of the same id.
  if (found !== null && found.createdAt > createdAt) return
  // The one before, whose removal was not finished.
  if (found !== null && found.createdAt < createdAt) await files.remove(paths.data(id))
  const isThere = found?.createdAt === createdAt
  // Each later record was synced by itself.
  if (!isThere || (extent === 'all' && found.text === text)) await writeRecord(place, id, text)
  const fd = await files.create(paths.data(id))
  if (fd !== null) await files.release(fd)
}

/** Whole or not at all, also for those who read meanwhile. */
async function writeRecord ({ files, paths }: Place, id: string, text: string): Promise<void> {
  const temporary = paths.temporary(id)
  const fd = await files.createOrThrow(temporary)
  try {
    await files.writeText(fd, text)
    await files.sync(fd)
  } finally {
    await files.close(fd)
  }
  await files.rename(temporary, paths.record(id))
}

async function replayBytes (place: Place, { id, createdAt, offset, bytes }: BytesEntry, extent: Extent): Promise<void> {
  if ((await readRecord(place, id))?.createdAt !== createdAt) return
  const { files } = place
  const fd = await openIfThere(place, id)
  if (fd === null) return
  try {
    if ((await files.statOpen(fd)).size < offset || (extent === 'lost' && await files.holds(fd, bytes, offset))) return
    await files.write(fd, [bytes], bytes.length, offset)
  } finally {
    await files.release(fd)
  }
}

/** `null` if the file was moved away: there is nothing to restore. */
async function openIfThere ({ files, paths }: Place, id: string): Promise<number | null> {
  try {
    return await files.open(paths.data(id))
  } catch (error) {
    if (isCode(error, 'ENOENT', 'EISDIR', 'ENXIO', 'ELOOP')) return null
    throw error
  }
}

/** `null` if there is none, or half of one. */
async function readRecord ({ paths }: Place, id: string): Promise<{ text: string, createdAt: number } | null> {
  const text = await readFile(paths.record(id), 'utf8').catch(nullIfMissing)
  const createdAt = text === null ? null : parseCreatedAt(id, text)
  return text === null || createdAt === null ? null : { text, createdAt }
}

/** In ms. */
function parseCreatedAt (id: string, text: string): number | null {
  try {
    return parseRecord(id, text)?.upload.createdAt.getTime() ?? null
  } catch {
    return null
  }
}

/** How long somebody else may hold an upload, in ms. */
const PATIENCE = 10_000
