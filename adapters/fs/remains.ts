import type { Stats } from 'node:fs'
import { lstat } from 'node:fs/promises'
import { nullIfMissing } from './failure.js'
import type { Paths } from './paths.js'
import { isRecordOf, isShort, RECORD_START } from './record.js'
import type { Store } from './store.js'

export interface Remains {
  readonly paths: readonly string[]
  /**
   * Whether this adapter wrote them, by a record, or by names and permissions that its empty files have. If not, nothing is in them: they make room for an
   * upload, and stay otherwise.
   */
  readonly proven: boolean
}

/**
 * The files that a crash left of an upload which is not there any more, or not yet; `null` if a file of others has one of its names.
 *
 * A creation makes the file of the bytes before that of the record, and a removal removes it first. So whatever lies beside a record of this adapter,
 * whole or torn, is its own, and bytes without such a record never are.
 */
export async function findRemains (store: Pick<Store, 'paths' | 'files'>, id: string): Promise<Remains | null> {
  const { paths } = store
  const [record, data] = [await judgeRecord(store, id), await judgeData(paths, id)]
  const found = [record !== 'missing' && paths.record(id), data !== 'missing' && paths.data(id)].filter(path => path !== false)
  if (record === 'foreign' || data === 'foreign' || await lookUp(`${paths.data(id)}.info`) !== null) return null
  if (record === 'whole') return data === 'missing' ? { paths: found, proven: true } : null
  if (record === 'torn') return { paths: found, proven: true }
  return data === 'bytes' ? null : { paths: found, proven: GENERATED.test(id) && await haveOurMode(store, found) }
}

type Judged = 'missing' | 'empty' | 'foreign'

/** `torn`: it was being written when its process died, and tells its id. `empty` tells nothing; a machine that fails may leave zeros. */
async function judgeRecord ({ files, paths }: Pick<Store, 'paths' | 'files'>, id: string): Promise<Judged | 'whole' | 'torn'> {
  const stat = await lookUp(paths.record(id))
  if (stat === null) return 'missing'
  const text = stat.isFile() ? await files.readText(paths.record(id), RECORD_START) : null
  if (text === null) return 'foreign'
  if (stat.size === text.length && (/^\0*$/.test(text) || isShort(text))) return 'empty'
  if (!isRecordOf(id, text)) return 'foreign'
  return text.endsWith('\n') ? 'whole' : 'torn'
}

async function judgeData (paths: Paths, id: string): Promise<Judged | 'bytes'> {
  const stat = await lookUp(paths.data(id))
  if (stat === null) return 'missing'
  if (!stat.isFile()) return 'foreign'
  return stat.size === 0 ? 'empty' : 'bytes'
}

/** Whether their permissions are within those of our files. Most programs let all users read what they make. */
async function haveOurMode ({ files }: Pick<Store, 'files'>, paths: readonly string[]): Promise<boolean> {
  for (const path of paths) {
    const stat = await lookUp(path)
    if (stat === null || (stat.mode & 0o777 & ~files.mode) !== 0) return false
  }
  return true
}

async function lookUp (path: string): Promise<Stats | null> {
  return lstat(path).catch(nullIfMissing)
}

/** What `createRandomId` draws. */
const GENERATED = /^[0-9a-f]{32}$/
