import * as fs from 'node:fs'
import { promisify } from 'node:util'

/** The directory of uploads, whose entries have to be made durable as well as the files. */
export class Directory {
  readonly #path: string
  readonly #durable: boolean
  #fd: number | null = null
  #running: Promise<void> | null = null
  #next: Promise<void> | null = null

  constructor (path: string, durability: 'fsync' | 'none') {
    this.#path = path
    // Windows can't open a directory, and needs not: NTFS writes its entries through a journal.
    this.#durable = durability === 'fsync' && process.platform !== 'win32'
  }

  /** Creates it where it is missing. */
  async open (): Promise<void> {
    await fs.promises.mkdir(this.#path, { recursive: true })
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
    if (this.#running === null) return this.#start(this.#fd)
    this.#next ??= this.#running.catch(() => {}).then(() => this.sync())
    return this.#next
  }

  #start (fd: number): Promise<void> {
    this.#next = null
    this.#running = fsync(fd).finally(() => { this.#running = null })
    return this.#running
  }
}

const fsync = promisify(fs.fsync)
