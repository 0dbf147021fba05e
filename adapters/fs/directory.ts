import * as fs from 'node:fs'
import { StorageUnavailable } from '../../lib/storage.js'
import { ignore } from './failure.js'
import type { Files } from './files.js'
import type { Turn } from './turn.js'

/** The directory of uploads, whose entries have to be made durable as well as the files. */
export class Directory {
  readonly #path: string
  readonly #files: Files
  readonly #durable: boolean
  #fd: number | null = null
  readonly #turn: Turn
  #identity = ''
  #checkedIn = -1
  #running: Promise<void> | null = null
  #next: Promise<void> | null = null

  constructor (path: string, files: Files, turn: Turn) {
    this.#path = path
    this.#files = files
    this.#turn = turn
    // NTFS writes its entries through a journal.
    this.#durable = files.durability === 'fsync' && process.platform !== 'win32'
  }

  async open (): Promise<void> {
    // Windows can't open a directory.
    if (process.platform !== 'win32') this.#fd ??= fs.openSync(this.#path, 'r')
    this.#identity = getIdentity(this.#fd === null ? fs.statSync(this.#path) : fs.fstatSync(this.#fd))
  }

  async close (): Promise<void> {
    await this.#running?.catch(ignore)
    if (this.#fd !== null) fs.closeSync(this.#fd)
    this.#fd = null
  }

  /**
   * Makes sure that this is the directory that was opened, and not the empty place where its device is mounted: an upload must not seem to be
   * missing, nor be written to the wrong device. One that was removed for good may have a successor.
   *
   * @throws StorageUnavailable
   */
  check (): Promise<void> | void {
    const turn = this.#turn.current
    const found = this.#files.stat(this.#path)
    return found instanceof Promise ? found.then(stats => this.#judge(stats, turn)) : this.#judge(found, turn)
  }

  /** As {@link check}, before something is created: one look serves a turn of the event loop. Who has missed a file has to look behind that. */
  checkBefore (): Promise<void> | void {
    if (this.#checkedIn !== this.#turn.current) return this.check()
  }

  #judge (found: fs.Stats | null, turn: number): Promise<void> | void {
    if (found === null || getIdentity(found) !== this.#identity) return this.#openAnew(found)
    this.#checkedIn = turn
  }

  async #openAnew (found: fs.Stats | null): Promise<void> {
    if (found === null || !this.#isRemoved()) throw new StorageUnavailable('The directory of the uploads is not there')
    await this.close()
    await this.open()
  }

  /** Makes all entries durable that were there at the call. One sync serves everybody who waits for one. */
  sync (): Promise<void> | void {
    if (this.#fd === null || !this.#durable) return
    if (this.#running === null) return this.#start(this.#files.syncDirectory(this.#fd))
    this.#next ??= this.#running.catch(ignore).then(() => this.sync())
    return this.#next
  }

  #start (sync: Promise<void> | void): Promise<void> | void {
    this.#next = null
    this.#running = sync?.finally(() => { this.#running = null }) ?? null
    return this.#running ?? undefined
  }

  /** As long as it is open, no other directory can have its identity. */
  #isRemoved (): boolean {
    return this.#fd === null || fs.fstatSync(this.#fd).nlink === 0
  }
}

function getIdentity ({ dev, ino }: fs.Stats): string {
  return `${dev} ${ino}`
}
