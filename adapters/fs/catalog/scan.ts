import { opendir } from 'node:fs/promises'
import { uptime } from 'node:os'
import { setImmediate } from 'node:timers/promises'
import { throwStorageError } from '../failure.js'
import { getRecordId } from '../paths.js'
import type { BareStore } from '../store.js'
import type { Database } from './database.js'

/**
 * Compares the names in the directory with the index, both ways, without opening a file. Finds what the journal can't tell: what a process
 * without an index created or removed.
 *
 * The journal is not synced. Behind a failure of the machine, or where it was not read to its end, it may also have told of a change that is unknown
 * now: then every upload is to be looked at.
 *
 * @param scannedAt when that was done last, in ms; `null`: the journal was lost since
 */
export async function scan (store: BareStore, database: Database, scannedAt: number | null): Promise<void> {
  if (scannedAt === null || scannedAt < Date.now() - uptime() * 1000) await lookAtAll(database)
  const found = await addMissing(store, database)
  const { rows } = database.prepare('SELECT count(*) AS rows FROM uploads').get() as { rows: number }
  if (rows > found) await dropGone(store, database)
}

async function lookAtAll (database: Database): Promise<void> {
  const { most } = database.prepare('SELECT max(number) AS most FROM uploads').get() as { most: number | null }
  for (let last = 0; last < (most ?? 0); last += AT_ONCE) {
    await database.write(() => { database.prepare(LOOK_AT_SOME).run(last, last + AT_ONCE) })
    await setImmediate()
  }
}

/** How many records there are. */
async function addMissing ({ paths, directory }: BareStore, database: Database): Promise<number> {
  let found = 0
  let missing: string[] = []
  await directory.check()
  for await (const entry of await opendir(paths.directory, { bufferSize: AT_ONCE }).catch(throwStorageError)) {
    const id = entry.isDirectory() ? null : getRecordId(entry.name)
    if (id === null) continue
    found++
    if (database.prepare('SELECT 1 FROM uploads WHERE id = ?').get(id) === undefined) missing.push(id)
    if (missing.length < MOST) continue
    await add(database, missing)
    missing = []
  }
  await add(database, missing)
  return found
}

/** In their order: neighbours share a page, which is written once for all of them. */
async function add (database: Database, ids: string[]): Promise<void> {
  ids.sort()
  for (let start = 0; start < ids.length; start += AT_ONCE) {
    await database.write(() => { for (const id of ids.slice(start, start + AT_ONCE)) database.prepare(ADD).run(id) })
    await setImmediate()
  }
}

/** Who has an entry and no record is looked at by the next list, and forgotten then. */
async function dropGone ({ paths, files, directory }: BareStore, database: Database): Promise<void> {
  for (let last = 0, rows: Array<{ number: number, id: string }>; ;) {
    rows = database.prepare('SELECT number, id FROM uploads WHERE number > ? ORDER BY number LIMIT ?').all(last, AT_ONCE) as typeof rows
    if (rows.length === 0) return
    last = rows.at(-1)!.number
    const gone: number[] = []
    for (const { number, id } of rows) if (await files.stat(paths.record(id)) === null) gone.push(number)
    if (gone.length > 0) await directory.check()
    if (gone.length > 0) await database.write(() => { for (const number of gone) database.prepare(LOOK).run(number) })
    await setImmediate()
  }
}

const ADD = 'INSERT INTO uploads (id, "group", since, state, stamp, record) VALUES (?, 0, 0, 0, \'\', \'\') ON CONFLICT DO NOTHING'
const LOOK = 'UPDATE uploads SET "group" = 0, since = 0, state = 0 WHERE number = ? AND "group" <> 0'
const LOOK_AT_SOME = 'UPDATE uploads SET "group" = 0, since = 0, state = 0 WHERE number > ? AND number <= ? AND "group" <> 0'
/** Entries before other requests get their turn. */
const AT_ONCE = 256
/** How many ids to gather before they are written. */
const MOST = 65_536
