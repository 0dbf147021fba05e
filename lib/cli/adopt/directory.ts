import { chown, link, mkdir, open, opendir, readFile, rename, rm, stat, utimes } from 'node:fs/promises'
import type { Stats } from 'node:fs'
import { basename, join, relative } from 'node:path'
import { createPaths, type Paths } from '../../../adapters/fs/paths.js'
import { parseRecord, serializeRecord } from '../../../adapters/fs/record.js'
import { syncPath } from '../../../adapters/fs/sync-path.js'
import { isValidId, type NewUpload } from '../../upload.js'
import { parseForeign, toNewUpload, type ForeignUpload, type Origin } from './foreign.js'
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
 */
export async function * adoptDirectory (adoption: DirectoryAdoption): AsyncGenerator<Outcome> {
  const paths = createPaths(adoption.directory)
  const ending = RECORD[adoption.from]
  for await (const entry of await opendir(adoption.directory, { recursive: true })) {
    const path = relative(adoption.directory, join(entry.parentPath, entry.name))
    if (!entry.isFile() || OWN.test(path) || !path.endsWith(ending)) continue
    const outcome = await adoptOne(adoption, paths, path.slice(0, -ending.length), path)
    if (outcome !== null) yield outcome
  }
}

/** `null` for what is no record. */
async function adoptOne (adoption: DirectoryAdoption, paths: Paths, id: string, path: string): Promise<Outcome | null> {
  const { from, directory, write, urlPrefix } = adoption
  const text = await readFile(join(directory, path), 'utf8')
  if (from === 'tus-server' && isOurs(id, text)) return { id, result: 'present' }
  const foreign = parseForeign(from, text)
  if (foreign === null || foreign.id !== id) return null
  const leave = (reason: string): Outcome => ({ id, result: 'left', reason })
  if (!isValidId(id)) return leave('this server takes no such id')
  const data = await stat(paths.data(id)).catch(nullIfMissing)
  if (foreign.path !== null && basename(foreign.path) !== id) return leave(`its bytes are elsewhere, in ${foreign.path}`)
  if (!data?.isFile()) return leave('its bytes are gone')
  if (foreign.length !== null && data.size > foreign.length) return leave(`it has ${data.size} bytes of ${foreign.length}`)
  const complete = data.size === foreign.length
  if (foreign.final && !complete) return leave('a final upload that was broken off while its parts were put together: its client has to make it again')
  const holder = await readHolder(join(directory, `${id}.lock`))
  if (holder !== null) return leave(`process ${holder} is at work on it`)

  const createdAt = foreign.createdAt ?? (await stat(join(directory, path))).mtime
  const upload = toNewUpload(foreign, { id, createdAt, complete, urlPrefix })
  const present = from === 'tusd' ? await readFile(paths.record(id), 'utf8').catch(nullIfMissing) : null
  if (present !== null && !isOurs(id, present)) return leave(`there is a file ${id}.json in the way`)
  if (write) await commit(adoption, paths, { upload, foreign, data, complete, path, isCommitted: present !== null })
  return present === null ? { id, result: 'adopted', complete, offset: data.size, length: foreign.length } : { id, result: 'present' }
}

interface Plan {
  readonly upload: NewUpload
  readonly foreign: ForeignUpload
  readonly data: Stats
  readonly complete: boolean
  /** Of the old record, in the directory. */
  readonly path: string
  /** By an adoption that did not come to its end. */
  readonly isCommitted: boolean
}

async function commit (adoption: DirectoryAdoption, paths: Paths, { upload, data, complete, path, isCommitted }: Plan): Promise<void> {
  const { directory, from, backup, claimable } = adoption
  const old = join(directory, path)
  if (backup) await keep(old, join(directory, BACKUP), path)
  if (!isCommitted) {
    await syncPath(paths.data(upload.id))
    // The time that an incomplete upload has left begins now: it may have waited for longer than this server lets it.
    if (!complete) await utimes(paths.data(upload.id), new Date(), new Date())
    const temporary = paths.temporary(upload.id)
    await writeRecord(temporary, serializeRecord({ upload, marked: complete, hold: null, finished: complete, processed: complete && !claimable }), data)
    // With `link`, nothing is replaced that came in between.
    if (from === 'tusd') await link(temporary, paths.record(upload.id)).finally(() => rm(temporary, { force: true }))
    else await rename(temporary, paths.record(upload.id))
    await syncPath(directory)
  }
  if (from === 'tusd') await rm(old, { force: true })
}

/** Gives a file a second name in another folder. */
async function keep (path: string, folder: string, name: string): Promise<void> {
  await mkdir(folder, { recursive: true })
  await link(path, join(folder, name)).catch(ignoreIfPresent)
  await syncPath(folder)
}

/** The record belongs to whom the bytes belong to, where that can be done. */
async function writeRecord (path: string, text: string, { uid, gid }: Stats): Promise<void> {
  const file = await open(path, 'wx', 0o640)
  try {
    await file.writeFile(text)
    await file.sync()
  } finally {
    await file.close()
  }
  if (process.getuid?.() === 0) await chown(path, uid, gid)
}

function isOurs (id: string, text: string): boolean {
  try {
    return parseRecord(id, text) !== null
  } catch {
    return false
  }
}

function nullIfMissing (error: NodeJS.ErrnoException): null {
  if (error.code === 'ENOENT') return null
  throw error
}

function ignoreIfPresent (error: NodeJS.ErrnoException): void {
  if (error.code !== 'EEXIST') throw error
}

const BACKUP = '.adopted'
const RECORD = { 'tus-server': '.json', tusd: '.info' }
/** Folders of this server. */
const OWN = /^\.(?:adopted|locks|processes)(?:$|[/\\])/
