import { opendir } from 'node:fs/promises'
import type { Log } from '../../lib/log.js'
import { getRecordId, type Paths } from './paths.js'
import { isRecordOf, RECORD_START } from './record.js'
import type { Store } from './store.js'

/**
 * Says so when a directory is used for the first time and is not empty: it may have been named by mistake, and no upload can have the name of
 * a file that is there.
 */
export async function warnOfOthers (store: Pick<Store, 'paths' | 'files'>, log: Log | undefined): Promise<void> {
  if (log === undefined) return
  const { directory } = store.paths
  const names = await listOthers(store)
  if (names.length > 0) log.warn({ directory, names }, 'the directory of the uploads has files of others: they stay untouched, and uploads should have a directory of their own')
}

/** Names of others, some of them; none if anything in the directory is of this adapter. */
async function listOthers ({ paths, files }: Pick<Store, 'paths' | 'files'>): Promise<string[]> {
  const names: string[] = []
  let looked = 0
  for await (const { name } of await opendir(paths.directory)) {
    if (OWN_FOLDERS.has(name) || await isRecord(paths, files, name).catch(() => false)) return []
    if (++looked > MOST) break
    if (!OF_SYSTEMS.has(name) && names.length < SHOWN) names.push(name)
  }
  return names
}

async function isRecord (paths: Paths, files: Store['files'], name: string): Promise<boolean> {
  const id = getRecordId(name)
  return id !== null && isRecordOf(id, await files.readText(paths.record(id), RECORD_START) ?? '')
}

const OWN_FOLDERS = new Set(['.locks', '.processes', '.journal', '.index', '.adopted'])
/** What a file system or an operating system puts into every directory. */
const OF_SYSTEMS = new Set(['lost+found', '.DS_Store', '.gitkeep', '.gitignore'])
/** Entries of a directory that are looked at. */
const MOST = 1000
const SHOWN = 5
