import * as fs from 'node:fs'
import { mkdir } from 'node:fs/promises'
import { dirname, join } from 'node:path'
import { promisify } from 'node:util'
import { ignore } from '../failure.js'
import type { Files } from '../files.js'

/**
 * Tells the index which uploads to look at: one line per event, in the order in which they happen in all processes. A line costs a request one
 * small write; nothing waits for the index.
 *
 * `+` will be created, `~` will be changed in a way that the index can't expect, `-` was removed. `!`: there was too much to be told.
 */
export class News {
  readonly #files: Files
  readonly #path: string
  #open: Opened | null = null
  #checkedAt = -Infinity
  /** What could not be written: an upload never fails for it. */
  #unwritten = ''
  #timer: NodeJS.Timeout | null = null
  #checking: Promise<void> | null = null

  constructor (files: Files, path: string) {
    this.#files = files
    this.#path = path
  }

  note (event: '+' | '~' | '-', id: string): Promise<void> | void {
    // With an end of line at both ends: half a line, from a device that was full, spoils no other.
    const line = `\n${event}${id}\n`
    if (this.#open === null || performance.now() - this.#checkedAt > CHECK) return this.#check().then(() => this.#write(line))
    return this.#write(line)
  }

  /** Writes what could not be written before. Resolves to whether that is all. */
  async flush (): Promise<boolean> {
    if (this.#unwritten === '') return true
    await this.#check()
    await this.#write('')
    return this.#unwritten === ''
  }

  async close (): Promise<void> {
    await this.flush()
    await this.#checking
    if (this.#timer !== null) clearTimeout(this.#timer)
    this.#timer = null
    if (this.#open !== null) await this.#leave(this.#open)
    this.#open = null
  }

  #write (line: string): Promise<void> | void {
    const open = this.#open
    if (open === null) return this.#keep(line)
    const text = this.#unwritten + line
    this.#unwritten = ''
    open.users++
    const written = this.#files.run(() => fs.writeSync(open.fd, text), () => write(open.fd, text))
    if (written instanceof Promise) return written.then(bytes => this.#end(open, text, bytes), () => this.#end(open, text, 0))
    return this.#end(open, text, written)
  }

  #end (open: Opened, text: string, written: number): Promise<void> | void {
    open.users--
    if (written !== text.length) this.#keep(text)
    if (open.left && open.users === 0) return this.#files.release(open.fd)
  }

  #keep (text: string): void {
    if (this.#unwritten.length < MOST_UNWRITTEN) this.#unwritten += text
    else this.#unwritten = ALL
    // Others wait for it who list.
    this.#timer ??= setTimeout(() => {
      this.#timer = null
      this.flush().catch(ignore)
    }, CHECK).unref()
  }

  /** One look serves all who wait for one: two would each replace the open file, and close the one before it twice. */
  #check (): Promise<void> {
    this.#checking ??= this.#look().finally(() => { this.#checking = null })
    return this.#checking
  }

  /** Whether this is still the file of that name: it is put aside when it has grown, or somebody has removed it. */
  async #look (): Promise<void> {
    try {
      const found = await this.#files.stat(this.#path)
      if (found === null || found.ino !== this.#open?.ino) await this.#reopen()
      this.#checkedAt = performance.now()
    } catch {}
  }

  async #reopen (): Promise<void> {
    await mkdir(dirname(this.#path), { recursive: true, mode: 0o750 })
    const fd = await this.#files.run(() => fs.openSync(this.#path, 'a', MODE), () => open(this.#path, 'a', MODE))
    const before = this.#open
    this.#open = { fd, ino: (await this.#files.statOpen(fd)).ino, users: 0, left: false }
    if (before !== null) await this.#leave(before)
  }

  #leave (open: Opened): Promise<void> | void {
    open.left = true
    if (open.users === 0) return this.#files.release(open.fd)?.catch(ignore)
  }
}

export function getNewsPath (directory: string): string {
  return join(directory, 'journal')
}

interface Opened {
  readonly fd: number
  readonly ino: number
  users: number
  /** Whether its last user is to close it. */
  left: boolean
}

const open = promisify(fs.open) as (path: string, flags: string, mode: number) => Promise<number>

function write (fd: number, text: string): Promise<number> {
  return new Promise((resolve, reject) => {
    fs.write(fd, text, null, 'utf8', (error, written) => error ? reject(error) : resolve(written))
  })
}

const ALL = '\n!\n'
/** How long a file is believed to have its name still, in ms. */
const CHECK = 1_000
const MOST_UNWRITTEN = 1024 * 1024
const MODE = 0o640
