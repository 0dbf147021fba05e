import * as fs from 'node:fs'
import type { Files } from './files.js'

/** The directory of uploads, whose entries have to be made durable as well as the files. */
export class Directory {
  readonly #path: string
  readonly #files: Files
  readonly #durable: boolean
  #fd: number | null = null
  #running: Promise<void> | null = null
  #next: Promise<void> | null = null

  constructor (path: string, files: Files) {
    this.#path = path
    this.#files = files
    // Windows can't open a directory, and needs not: NTFS writes its entries through a journal.
    this.#durable = files.durability === 'fsync' && process.platform !== 'win32'
  }

  async open (): Promise<void> {
    if (this.#durable) this.#fd ??= fs.openSync(this.#path, 'r')
  }

  async close (): Promise<void> {
    await this.#running
    if (this.#fd !== null) fs.closeSync(this.#fd)
    this.#fd = null
  }

  /** Makes all entries durable that were there at the call. One sync serves everybody who waits for one. */
  sync (): Promise<void> | void {
    if (this.#fd === null) return
    if (this.#running === null) return this.#start(this.#files.syncDirectory(this.#fd))
    this.#next ??= this.#running.catch(() => {}).then(() => this.sync())
    return this.#next
  }

  #start (sync: Promise<void> | void): Promise<void> | void {
    this.#next = null
    this.#running = sync?.finally(() => { this.#running = null }) ?? null
    return this.#running ?? undefined
  }
}
