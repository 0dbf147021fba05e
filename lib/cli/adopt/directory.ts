import { link, opendir, rename, rm } from 'node:fs/promises'
import { basename, join, relative } from 'node:path'
import { nullIfMissing } from '../../../adapters/fs/failure.js'
import { createPaths, type Paths } from '../../../adapters/fs/paths.js'
import { parseRecord, serializeRecord } from '../../../adapters/fs/record.js'
import { syncPath } from '../../../adapters/fs/sync-path.js'
import { isValidId, type NewUpload } from '../../upload.js'
import { parseForeign, toNewUpload, type ForeignUpload, type Origin } from './foreign.js'
import { checkFolder, openRegular, pinFolder, readRegular, withFolder, writeRegular, type Opened } from './handles.js'
import { readHolder } from './holder.js'
import type { Outcome } from './report.js'

export interface DirectoryAdoption {
  readonly from: Origin
  readonly directory: string
  readonly urlPrefix: string
  readonly write: boolean
  /** Whether records of the other server are kept, in the folder `.adopted`. */
  readonly backup: boolean
  /** Whether complete uploads are handed to workers. */
  readonly claimable: boolean
}

/**
 * Makes the uploads of another server in a directory uploads of this one, where they are: the bytes stay in their file, and the record becomes one of
 * ours. The other server must have been stopped.
 *
 * In this order: the bytes are made durable, the new record is, the old one gets a second name; then the new one takes its place, and that is the
 * commit; what is left of the old one goes last. It may be killed at any point, and called again.
 *
 * Who may write in the directory may put links and pipes there, also between two steps: every file is opened once, without following links, and what
 * is looked at, synced or given to its owner is what was opened.
 */
export async function * adoptDirectory (adoption: DirectoryAdoption): AsyncGenerator<Outcome> {
  if (adoption.write && adoption.backup) await checkFolder(join(adoption.directory, BACKUP))
  const pinned = await pinFolder(adoption.directory)
  try {
    yield * adoptAll({ ...adoption, directory: pinned.path })
  } finally {
    await pinned.close()
  }
}

async function * adoptAll (adoption: DirectoryAdoption): AsyncGenerator<Outcome> {
  const paths = createPaths(adoption.directory)
  const ending = RECORD[adoption.from]
  for await (const entry of await opendir(adoption.directory, { recursive: true })) {
    const path = relative(adoption.directory, join(entry.parentPath, entry.name))
    if (entry.isDirectory() || OWN.test(path) || !path.endsWith(ending)) continue
    const id = path.slice(0, -ending.length)
    const outcome = entry.isFile() ? await adoptOne(adoption, paths, id, path) : { id, result: 'left' as const, reason: 'its record is no regular file' }
    if (outcome !== null) yield outcome
  }
}

/** `null` for what is no record. */
async function adoptOne (adoption: DirectoryAdoption, paths: Paths, id: string, path: string): Promise<Outcome | null> {
  const { from, directory } = adoption
  const text = await readRegular(join(directory, path)).catch(nullIfMissing)
  if (text === null) return null
  if (from === 'tus-server' && isOurs(id, text)) return { id, result: 'present' }
  const foreign = parseForeign(from, text)
  if (foreign === null || foreign.id !== id) return null
  const leave = (reason: string): Outcome => ({ id, result: 'left', reason })
  if (!isValidId(id)) return leave('this server takes no such id')
  if (foreign.path !== null && basename(foreign.path) !== id) return leave(`its bytes are elsewhere, in ${foreign.path}`)
  const opened = await openRegular(paths.data(id)).catch(ignoreIfMissing)
  if (!opened) return leave(opened === null ? 'its bytes are no regular file' : 'its bytes are gone')
  try {
    return await adoptOpened({ adoption, paths, foreign, data: opened, path })
  } finally {
    await opened.file.close()
  }
}

interface Candidate {
  readonly adoption: DirectoryAdoption
  readonly paths: Paths
  readonly foreign: ForeignUpload
  readonly data: Opened
  /** Of the old record, in the directory. */
  readonly path: string
}

async function adoptOpened (candidate: Candidate): Promise<Outcome> {
  const { adoption: { from, directory, write, urlPrefix }, paths, foreign, data: { stat }, path } = candidate
  const { id } = foreign
  const leave = (reason: string): Outcome => ({ id, result: 'left', reason })
  if (foreign.length !== null && stat.size > foreign.length) return leave(`it has ${stat.size} bytes of ${foreign.length}`)
  const complete = stat.size === foreign.length
  if (foreign.final && !complete) return leave('a final upload that was broken off while its parts were put together: its client has to make it again')
  const holder = await readHolder(join(directory, `${id}.lock`))
  if (holder !== null) return leave(`process ${holder} is at work on it`)

  const createdAt = foreign.createdAt ?? await getTime(join(directory, path)) ?? stat.mtime
  const upload = toNewUpload(foreign, { id, createdAt, complete, urlPrefix })
  const present = from === 'tusd' ? await readRegular(paths.record(id)).catch(ignoreIfMissing) : undefined
  if (present !== undefined && !(present !== null && isOurs(id, present))) return leave(`there is a file ${id}.json in the way`)
  if (write) await commit(candidate, upload, complete, present !== undefined)
  return present === undefined ? { id, result: 'adopted', complete, offset: stat.size, length: foreign.length } : { id, result: 'present' }
}

async function getTime (path: string): Promise<Date | null> {
  const opened = await openRegular(path).catch(nullIfMissing)
  await opened?.file.close()
  return opened && opened.stat.mtime
}

/** @param isCommitted by an adoption that did not come to its end */
async function commit ({ adoption, paths, data, path }: Candidate, upload: NewUpload, complete: boolean, isCommitted: boolean): Promise<void> {
  const { directory, from, backup, claimable } = adoption
  if (backup) await keep(join(directory, path), join(directory, BACKUP), path)
  if (!isCommitted) {
    await data.file.sync()
    // The time that an incomplete upload has left begins now: it may have waited for longer than this server lets it.
    if (!complete) await data.file.utimes(new Date(), new Date())
    const temporary = paths.temporary(upload.id)
    await writeRegular(temporary, serializeRecord({ upload, marked: complete, hold: null, finished: complete, processed: complete && !claimable }), data.stat)
    // With `link`, nothing is replaced that came in between.
    if (from === 'tusd') await link(temporary, paths.record(upload.id)).finally(() => rm(temporary, { force: true }))
    else await rename(temporary, paths.record(upload.id))
    await syncPath(directory)
  }
  if (from === 'tusd') await rm(join(directory, path), { force: true })
}

/** Gives a file a second name in another folder. */
async function keep (path: string, folder: string, name: string): Promise<void> {
  await withFolder(folder, async (pinned, handle) => {
    await link(path, join(pinned, name)).catch(ignoreIfPresent)
    await handle?.sync()
  })
}

function isOurs (id: string, text: string): boolean {
  try {
    return parseRecord(id, text) !== null
  } catch {
    return false
  }
}

function ignoreIfMissing (error: NodeJS.ErrnoException): undefined {
  if (error.code !== 'ENOENT') throw error
}

function ignoreIfPresent (error: NodeJS.ErrnoException): void {
  if (error.code !== 'EEXIST') throw error
}

const BACKUP = '.adopted'
const RECORD = { 'tus-server': '.json', tusd: '.info' }
/** Folders of this server. */
const OWN = /^\.(?:adopted|locks|processes)(?:$|[/\\])/
