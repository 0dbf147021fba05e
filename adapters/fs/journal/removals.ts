import { join } from 'node:path'
import { nullIfMissing } from '../failure.js'
import type { Files } from '../files.js'
import type { Paths } from '../paths.js'
import { getNotePath, getNotes, isLogName, type Removal } from './names.js'

type Where = { readonly files: Files, readonly paths: Paths }

/**
 * Makes certain, durably, that no log brings an upload back. To be called before its files are removed, by a process with a journal or without.
 *
 * The note names the logs that are there: an upload whose lock is held has no entry in one that begins later.
 */
export async function noteRemoval ({ files, paths: { journal } }: Where, removal: Removal): Promise<void> {
  const logs = (await listIfThere(files, journal)).filter(isLogName)
  if (logs.length === 0) return
  const fd = await files.create(getNotePath(journal, removal))
  // Its name is the note, and is made durable: also that of one whose removal went no further. Without the rest it stays longer.
  if (fd !== null) await write(files, fd, JSON.stringify(logs))
  await syncFolder(files, getNotes(journal))
}

async function write (files: Files, fd: number, text: string): Promise<void> {
  try {
    await files.writeText(fd, text)
  } finally {
    await files.close(fd)
  }
}

/**
 * Makes certain, durably, that an upload which lives on is not taken for a removed one. To be called before anything more of it is acknowledged: its
 * removal may have failed behind the note, or died there.
 */
export async function withdrawRemoval ({ files, paths: { journal } }: Where, removal: Removal): Promise<void> {
  const path = getNotePath(journal, removal)
  if (await files.stat(path) === null) return
  await files.remove(path)
  await syncFolder(files, getNotes(journal))
}

/** Removes the notes that are of no use any more. The caller holds the lock of the journal. */
export async function clearRemovals ({ files, paths: { journal } }: Where): Promise<void> {
  // Before the logs: a note of an older log that is gone now can't be missed.
  const notes = await listIfThere(files, getNotes(journal))
  const logs = (await files.list(journal)).filter(isLogName)
  for (const note of notes) {
    const path = join(getNotes(journal), note)
    if (isOfUse(await files.readText(path), logs)) continue
    await files.discard(path)
  }
}

/** What is not whole is being written, or was, when the machine failed. */
function isOfUse (note: string | null, logs: readonly string[]): boolean {
  if (logs.length === 0) return false
  return note === null || !note.endsWith(']') || (JSON.parse(note) as string[]).some(log => logs.includes(log))
}

async function listIfThere (files: Files, path: string): Promise<string[]> {
  try {
    return await files.list(path)
  } catch (error) {
    nullIfMissing(error)
    return []
  }
}

async function syncFolder (files: Files, path: string): Promise<void> {
  const fd = await files.openToRead(path)
  try {
    await files.syncDirectory(fd)
  } finally {
    await files.release(fd)
  }
}
