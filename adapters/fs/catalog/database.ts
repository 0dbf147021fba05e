import { randomBytes } from 'node:crypto'
import { mkdirSync, renameSync, rmSync, statSync } from 'node:fs'
import { join } from 'node:path'
import type { DatabaseSync, StatementSync } from 'node:sqlite'
import { setTimeout as pause } from 'node:timers/promises'
import { loadSqlite } from './support.js'

/**
 * The file of the index, which all processes of a directory share, in a folder of its own. One that is broken, or of another version, is put aside
 * with its folder, and a new one is begun; the others notice by its identity.
 */
export class Database {
  readonly #folder: string
  readonly #path: string
  #open: { readonly database: DatabaseSync, readonly ino: number, readonly statements: Map<string, StatementSync> } | null = null

  constructor (directory: string) {
    this.#folder = join(directory, 'sqlite')
    this.#path = join(this.#folder, 'index.sqlite')
  }

  /** A statement, prepared once. */
  prepare (sql: string): StatementSync {
    const { database, statements } = this.#get()
    let statement = statements.get(sql)
    if (statement === undefined) statements.set(sql, statement = database.prepare(sql))
    return statement
  }

  /** A statement of the caller's own. */
  prepareAnew (sql: string): StatementSync {
    return this.#get().database.prepare(sql)
  }

  /** Runs `work`, which must not wait for anything, in one transaction. Waits while another process writes. */
  write<Result> (work: () => Result): Promise<Result> {
    return this.retry(() => {
      const { database } = this.#get()
      database.exec('BEGIN IMMEDIATE')
      try {
        const result = work()
        database.exec('COMMIT')
        return result
      } catch (error) {
        rollBack(database)
        throw error
      }
    })
  }

  /** Runs `work` again as long as another process is in the way; the event loop goes on meanwhile. */
  async retry<Result> (work: () => Result): Promise<Result> {
    for (const deadline = performance.now() + PATIENCE; ;) {
      try {
        return work()
      } catch (error) {
        if (!isBusy(error) || performance.now() > deadline) throw error
        await pause(5)
      }
    }
  }

  /** Opens the file of that name, unless it is open. Waits while another process opens it, or puts in order what a dead one left. */
  open (): Promise<void> {
    return this.retry(() => {
      this.#check()
      this.#get()
    })
  }

  /** Begins anew. */
  reset (): void {
    this.close()
    const aside = `${this.#folder}.${randomBytes(6).toString('hex')}.old`
    try {
      renameSync(this.#folder, aside)
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code !== 'ENOENT') throw error
    }
    rmSync(aside, { recursive: true, force: true })
  }

  close (): void {
    const open = this.#open
    this.#open = null
    try {
      open?.database.close()
    } catch {
      // Nothing depends on what a broken file still says.
    }
  }

  /** Closes what is open if it is not the file of that name any more. */
  #check (): void {
    if (this.#open !== null && statSync(this.#path, { throwIfNoEntry: false })?.ino !== this.#open.ino) this.close()
  }

  #get () {
    this.#open ??= this.#openFile()
    return this.#open
  }

  #openFile () {
    const { DatabaseSync } = loadSqlite()
    mkdirSync(this.#folder, { recursive: true, mode: 0o750 })
    const database = new DatabaseSync(this.#path)
    try {
      database.exec('PRAGMA busy_timeout = 0; PRAGMA journal_mode = WAL; PRAGMA synchronous = NORMAL; PRAGMA wal_autocheckpoint = 4000')
      const { user_version: version } = database.prepare('PRAGMA user_version').get() as { user_version: number }
      if (version !== 0 && version !== VERSION) throw Object.assign(new Error('The index is of another version'), { errcode: SQLITE_SCHEMA })
      if (version === 0) database.exec(SCHEMA)
      return { database, ino: statSync(this.#path).ino, statements: new Map<string, StatementSync>() }
    } catch (error) {
      database.close()
      throw error
    }
  }
}

/** SQLite has done so itself behind some errors, and says now that there is nothing to roll back. Node tells which only since 22.16. */
function rollBack (database: DatabaseSync): void {
  try {
    database.exec('ROLLBACK')
  } catch {}
}

/** Whether another process is in the way, and that will pass. */
export function isBusy (error: unknown): boolean {
  const code = (error as { errcode?: number }).errcode
  // SQLITE_BUSY and SQLITE_LOCKED, with their extensions.
  return code !== undefined && [5, 6].includes(code & 0xff)
}

/** Whether it is an error of SQLite, or of what it found. */
export function isSqlite (error: unknown): boolean {
  return (error as { errcode?: number }).errcode !== undefined
}

/** Whether a new file would help: not if another process is in the way, or the device can't be written. */
export function isBroken (error: unknown): boolean {
  const code = (error as { errcode?: number }).errcode
  return code !== undefined && !USELESS.includes(code & 0xff)
}

/** Busy, locked, out of memory, read-only, full, can't be opened. */
const USELESS = [5, 6, 7, 8, 13, 14]
const SQLITE_SCHEMA = 17

const VERSION = 1
const SCHEMA = `BEGIN IMMEDIATE;
CREATE TABLE IF NOT EXISTS uploads (number INTEGER PRIMARY KEY, id TEXT NOT NULL UNIQUE, "group" INTEGER NOT NULL, since INTEGER NOT NULL, state INTEGER NOT NULL, stamp TEXT NOT NULL, record TEXT NOT NULL);
CREATE INDEX IF NOT EXISTS by_age ON uploads ("group", since);
CREATE INDEX IF NOT EXISTS by_state ON uploads (state);
CREATE TABLE IF NOT EXISTS times (name TEXT PRIMARY KEY, time INTEGER NOT NULL);
CREATE TABLE IF NOT EXISTS journals (ino TEXT PRIMARY KEY, position INTEGER NOT NULL);
PRAGMA user_version = ${VERSION};
COMMIT`
/** How long to wait for another process, in ms. */
const PATIENCE = 10_000
