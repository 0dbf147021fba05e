import { readFile, stat } from 'node:fs/promises'
import { nullIfMissing } from './failure.js'
import type { Paths } from './paths.js'

/**
 * Whether an id belongs to an upload that another server has made: tusd, whose record is `<id>.info`, or @tus/server, whose `<id>.json` is whole and
 * no record of this adapter. Nobody has adopted it, but it is not what a crash left.
 */
export async function isForeign (paths: Paths, id: string): Promise<boolean> {
  if (await stat(`${paths.data(id)}.info`).catch(nullIfMissing) !== null) return true
  const text = await readFile(paths.record(id), 'utf8').catch(nullIfMissing)
  return text !== null && isForeignRecord(text)
}

/** Half a record of this adapter is no JSON, and a whole one has a version. */
function isForeignRecord (text: string): boolean {
  try {
    const record = JSON.parse(text)
    return typeof record === 'object' && record !== null && record.version === undefined
  } catch {
    return false
  }
}
