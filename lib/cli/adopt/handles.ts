import { constants, type Stats } from 'node:fs'
import { lstat, mkdir, open, type FileHandle } from 'node:fs/promises'
import { isCode } from '../../../adapters/fs/failure.js'

/** A file that is open: whoever may write in its directory can give its name to another one, but that changes nothing here. */
export interface Opened {
  readonly file: FileHandle
  readonly stat: Stats
}

/**
 * Opens a regular file to read it. `null` if it is none: a link, a pipe, a folder.
 *
 * @throws Error with the code `ENOENT` if there is nothing of that name
 */
export async function openRegular (path: string): Promise<Opened | null> {
  let file: FileHandle
  try {
    file = await open(path, constants.O_RDONLY | (constants.O_NOFOLLOW ?? 0) | (constants.O_NONBLOCK ?? 0))
  } catch (error) {
    // A link; a socket.
    if (isCode(error, 'ELOOP', 'EMLINK', 'ENXIO')) return null
    throw error
  }
  try {
    const stat = await file.stat()
    if (stat.isFile()) return { file, stat }
  } catch (error) {
    await file.close()
    throw error
  }
  await file.close()
  return null
}

/** The text of a small regular file; `null` for anything else. @throws Error with the code `ENOENT` */
export async function readRegular (path: string): Promise<string | null> {
  const opened = await openRegular(path)
  if (opened === null) return null
  try {
    return opened.stat.size <= MOST ? await opened.file.readFile('utf8') : null
  } finally {
    await opened.file.close()
  }
}

/** Writes a file that was not there, durably. As root, it belongs to whom `owner` belongs to. */
export async function writeRegular (path: string, text: string, { uid, gid }: Stats): Promise<void> {
  const file = await open(path, constants.O_WRONLY | constants.O_CREAT | constants.O_EXCL | (constants.O_NOFOLLOW ?? 0), 0o640)
  try {
    await file.writeFile(text)
    if (process.getuid?.() === 0) await file.chown(uid, gid)
    await file.sync()
  } finally {
    await file.close()
  }
}

/**
 * Makes a folder unless it is there, and calls `work` with a path to it that stays the same folder, on Linux, whatever its name comes to mean.
 *
 * @throws Error if something else has its name
 */
export async function withFolder (path: string, work: (path: string, folder: FileHandle | null) => Promise<void>): Promise<void> {
  await mkdir(path, { mode: 0o750 }).catch(error => { if (!isCode(error, 'EEXIST')) throw error })
  // Windows can't open a folder.
  if (process.platform === 'win32') return await work(path, null)
  const folder = await open(path, constants.O_RDONLY | constants.O_DIRECTORY | constants.O_NOFOLLOW).catch(error => {
    throw isCode(error, 'ELOOP', 'EMLINK', 'ENOTDIR') ? createNoFolderError(path) : error
  })
  try {
    await work(process.platform === 'linux' ? `/proc/self/fd/${folder.fd}` : path, folder)
  } finally {
    await folder.close()
  }
}

/** A path to a folder that stays the same folder, on Linux, whatever its name comes to mean. */
export async function pinFolder (path: string): Promise<{ readonly path: string, close(): Promise<void> }> {
  if (process.platform !== 'linux') return { path, close: async () => {} }
  const folder = await open(path, constants.O_RDONLY | constants.O_DIRECTORY)
  return { path: `/proc/self/fd/${folder.fd}`, close: () => folder.close() }
}

/** @throws Error if something has this name that is no folder */
export async function checkFolder (path: string): Promise<void> {
  const found = await lstat(path).catch(error => { if (!isCode(error, 'ENOENT')) throw error })
  if (found && !found.isDirectory()) throw createNoFolderError(path)
}

function createNoFolderError (path: string): Error {
  return new Error(`${path} is no folder: the old records would be kept there. Move it away, or add --no-backup`)
}

/** Bytes of the largest record that is read. */
const MOST = 16 * 1024 ** 2
