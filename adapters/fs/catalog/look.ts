import { changeState, type Upload } from '../../../lib/upload.js'
import { getEnd, getStamp } from '../open-upload.js'
import { parseRecord, RECORD_START, toUpload } from '../record.js'
import type { BareStore } from '../store.js'
import { isBusy, type Database } from './database.js'
import { getGroup, getState, Group, type Row } from './row.js'

/**
 * Looks at the files of what the index names: they decide, always. Spares reading a record that is still the one in the index, and notes there
 * what it sees.
 */
export class Looker {
  readonly #store: BareStore
  readonly #database: Database
  #changes: Change[] = []

  constructor (store: BareStore, database: Database) {
    this.#store = store
    this.#database = database
  }

  async look (row: Row): Promise<Upload | null> {
    const seen = await this.#see(row)
    if (seen === null) this.#drop(row)
    else this.#note(row, seen)
    if (this.#changes.length >= AT_ONCE) await this.flush()
    return seen && seen.upload
  }

  /** Writes what was noted. It may be lost: then the same is seen again. */
  async flush (): Promise<void> {
    const changes = this.#changes
    this.#changes = []
    if (changes.length === 0) return
    try {
      await this.#database.write(() => { for (const change of changes) this.#apply(change) })
    } catch (error) {
      if (!isBusy(error)) throw error
    }
  }

  async #see ({ id, stamp: knownStamp, record: known }: Row): Promise<Seen | null> {
    const { uploads, files, paths, directory } = this.#store
    // What this process works on, it knows best.
    if (uploads.peek(id) !== null) {
      const upload = await uploads.glance(id)
      return upload && { upload, stamp: knownStamp, record: known }
    }
    const recordStat = await files.stat(paths.record(id))
    const stamp = recordStat && writeStamp(getStamp(recordStat))
    const text = stamp === knownStamp ? known : stamp && await files.readText(paths.record(id), RECORD_START)
    const record = text && parseRecord(id, text)
    const stat = record && await files.stat(paths.data(id))
    if (stat) return { upload: toUpload(record, getEnd(record, stat), stat.mtime), stamp: stamp!, record: text! }
    await directory.check()
    return null
  }

  #note (row: Row, { upload, stamp, record }: Seen): void {
    // Something may be about to happen to it that was announced.
    if (row.group === Group.look && row.since > Date.now() - QUIET) return
    const certain = mayBeTakenBack(upload) ? changeState(upload, { complete: false }) : upload
    const after = { ...getGroup(certain), state: getState(certain), stamp, record }
    if (after.group !== row.group || after.since !== row.since || after.state !== row.state || after.stamp !== row.stamp) this.#changes.push({ row, after })
  }

  #drop (row: Row): void {
    // One that is announced may come late.
    if (row.group === Group.look && row.since > Date.now() - LATE) return
    this.#changes.push({ row, after: null })
  }

  /** Unless the row is another one by now: then somebody has announced something. */
  #apply ({ row, after }: Change): void {
    const { number, group, since } = row
    if (after === null) this.#database.prepare('DELETE FROM uploads WHERE number = ? AND id = ? AND "group" = ? AND since = ?').run(number, row.id, group, since)
    else this.#database.prepare(UPDATE).run(after.group, after.since, after.state, after.stamp, after.record, number, row.id, group, since)
  }
}

interface Seen extends Pick<Row, 'stamp' | 'record'> {
  readonly upload: Upload
}

interface Change {
  readonly row: Row
  /** `null`: there is no such upload any more. */
  readonly after: Omit<Row, 'number' | 'id'> | null
}

/**
 * Whether another process may still cut off the bytes that seem to complete an upload: they are written before they are synced, and before their
 * body is known to end there.
 */
function mayBeTakenBack ({ complete, completes, processed, modifiedAt }: Upload): boolean {
  return complete && completes === 'at-length' && !processed && modifiedAt.getTime() > Date.now() - FRESH
}

function writeStamp ({ ino, mtimeMs, size }: ReturnType<typeof getStamp>): string {
  return `${ino} ${mtimeMs} ${size}`
}

const UPDATE = 'UPDATE uploads SET "group" = ?, since = ?, state = ?, stamp = ?, record = ? WHERE number = ? AND id = ? AND "group" = ? AND since = ?'
const AT_ONCE = 256
/** How old bytes are that stay, in ms. */
const FRESH = 10_000
/** How long after its announcement a change may come and is still seen by everybody, in ms. */
const QUIET = 60_000
/** How long after its announcement an upload may come, in ms. */
const LATE = 3_600_000
