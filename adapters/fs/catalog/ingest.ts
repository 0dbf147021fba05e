import * as fs from 'node:fs'
import { isValidId } from '../../../lib/upload.js'
import type { Database } from './database.js'

/**
 * Takes the lines of the journal into the index, in one transaction for many. Where a journal has gone that was not read to its end, the directory has
 * to be compared again.
 */
export class Ingest {
  readonly #database: Database
  readonly #path: string
  readonly #oldPath: string

  /** @param path of the journal that is being written */
  constructor (database: Database, path: string) {
    this.#database = database
    this.#path = path
    this.#oldPath = `${path}.old`
  }

  /** Takes in what has been written until now. */
  async run (): Promise<void> {
    await this.#forgetLost()
    // The one that was put aside first: who has not yet noticed still writes there.
    for (const path of [this.#oldPath, this.#path]) while (await this.#readSome(path));
  }

  /** Leaves aside what was written until now, for an index that begins with a look at the whole directory. */
  skip (): Promise<void> {
    return this.#database.write(() => {
      for (const path of [this.#oldPath, this.#path]) {
        const found = fs.statSync(path, { throwIfNoEntry: false })
        if (found) this.#setPosition(String(found.ino), found.size)
      }
    })
  }

  /** Puts a journal aside that has grown. Processes that write to it notice within a second. */
  async rotate (most = MOST): Promise<void> {
    const found = fs.statSync(this.#path, { throwIfNoEntry: false })
    if (found === undefined || found.size < most) return
    await this.#database.write(() => {
      if (fs.statSync(this.#path, { throwIfNoEntry: false })?.ino !== found.ino) return
      fs.renameSync(this.#path, this.#oldPath)
      this.#database.prepare('DELETE FROM journals WHERE ino <> ?').run(String(found.ino))
    })
  }

  async #forgetLost (): Promise<void> {
    const known = this.#database.prepare('SELECT ino FROM journals').all() as Array<{ ino: string }>
    const present = [this.#path, this.#oldPath].map(path => String(fs.statSync(path, { throwIfNoEntry: false })?.ino))
    const lost = known.filter(({ ino }) => !present.includes(ino))
    if (lost.length === 0) return
    await this.#database.write(() => {
      for (const { ino } of lost) this.#database.prepare('DELETE FROM journals WHERE ino = ?').run(ino)
      this.#database.prepare('DELETE FROM times WHERE name = ?').run('scan')
    })
  }

  /** Whether there may be more. */
  async #readSome (path: string): Promise<boolean> {
    const fd = openIfThere(path)
    if (fd === null) return false
    try {
      const { ino, size } = fs.fstatSync(fd)
      if (this.#getPosition(String(ino)) === size) return false
      return await this.#database.write(() => this.#take(fd, String(ino), size))
    } finally {
      fs.closeSync(fd)
    }
  }

  #take (fd: number, ino: string, size: number): boolean {
    const position = this.#getPosition(ino)
    // Somebody has cut it.
    if (position > size) return this.#leaveOut(ino, 0)
    const bytes = Buffer.allocUnsafe(CHUNK)
    const text = bytes.toString('latin1', 0, fs.readSync(fd, bytes, 0, CHUNK, position))
    // No line is that long: these are the zeros of lines that a power failure has taken, or somebody else's.
    if (text.length === CHUNK && !text.includes('\n')) return this.#leaveOut(ino, position + CHUNK)
    const end = text.lastIndexOf('\n') + 1
    const now = Date.now()
    for (const line of text.slice(0, end).split('\n')) this.#apply(line, now)
    this.#setPosition(ino, position + end)
    return end > 0 && position + end < size
  }

  #leaveOut (ino: string, position: number): boolean {
    this.#setPosition(ino, position)
    this.#demandScan()
    return true
  }

  /** What the journal does not tell is found when the directory is compared with the index. */
  #demandScan (): void {
    this.#database.prepare('DELETE FROM times WHERE name = ?').run('scan')
  }

  #apply (line: string, now: number): void {
    if (line === '!') return this.#demandScan()
    const id = line.slice(1)
    if (!isValidId(id)) return
    if (line.startsWith('-')) this.#database.prepare('DELETE FROM uploads WHERE id = ?').run(id)
    else if (line.startsWith('+') || line.startsWith('~')) this.#database.prepare(NOTE).run(id, now)
  }

  #getPosition (ino: string): number {
    const row = this.#database.prepare('SELECT position FROM journals WHERE ino = ?').get(ino) as { position: number } | undefined
    return row?.position ?? 0
  }

  #setPosition (ino: string, position: number): void {
    this.#database.prepare('INSERT INTO journals (ino, position) VALUES (?, ?) ON CONFLICT (ino) DO UPDATE SET position = excluded.position').run(ino, position)
  }
}

function openIfThere (path: string): number | null {
  try {
    return fs.openSync(path, 'r')
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return null
    throw error
  }
}

const NOTE = `INSERT INTO uploads (id, "group", since, state, stamp, record) VALUES (?, 0, ?, 0, '', '')
  ON CONFLICT (id) DO UPDATE SET "group" = 0, since = excluded.since, state = 0`
/** Bytes per transaction. */
const CHUNK = 32 * 1024
/** How long a journal may become, in bytes. */
const MOST = 16 * 1024 * 1024
