import { randomBytes } from 'node:crypto'
import { join } from 'node:path'
import type { Directory } from '../directory.js'
import type { Files } from '../files.js'
import { encodeEntry, type Entry } from './entries.js'
import { formatLogName } from './names.js'

/** A file of entries that one process writes until it is settled. */
export class Log {
  readonly path: string
  /** The name under which its process was registered. */
  readonly owner: string
  /** Open as long as the log is there. */
  readonly fd: number
  readonly #files: Files
  #size = 0
  /** Behind the zeros that stand there in advance. */
  #filled = 0

  private constructor (files: Files, path: string, owner: string, fd: number) {
    this.#files = files
    this.path = path
    this.owner = owner
    this.fd = fd
  }

  /** Its name is durable before anything stands in it. */
  static async begin (files: Files, folder: string, directory: Directory, owner: string): Promise<Log> {
    const path = join(folder, formatLogName(owner, randomBytes(6).toString('hex')))
    const log = new Log(files, path, owner, await files.createOrThrow(path))
    try {
      await directory.sync()
      return log
    } catch (error) {
      await files.release(log.fd)
      await files.discard(path)
      throw error
    }
  }

  /** In bytes. */
  get size (): number {
    return this.#size
  }

  /** False if somebody removed it: what is written here would be found by nobody. */
  async isThere (): Promise<boolean> {
    return (await this.#files.statOpen(this.fd)).nlink > 0
  }

  /** Resolves when all of the entries are durable. One call at a time. */
  async append (entries: readonly Entry[]): Promise<void> {
    const frames = entries.map(encodeEntry)
    const end = this.#size + frames.reduce((sum, { length }) => sum + length, 0)
    // A file that grows has its length synced, too. So it grows rarely: zeros are no entry.
    const fill = end > this.#filled ? STEP - end % STEP : 0
    if (fill > 0) frames.push(ZEROS.subarray(0, fill))
    await this.#files.write(this.fd, frames, end + fill - this.#size, this.#size)
    await this.#files.sync(this.fd)
    this.#size = end
    this.#filled = Math.max(this.#filled, end + fill)
  }

  /** Makes certain, durably, that it tells nothing of an `append` that failed. */
  async cut (): Promise<void> {
    await this.#files.truncate(this.fd, this.#size)
    await this.#files.sync(this.fd)
  }

  /** To be called when all that it tells is durable in the files. */
  async end (): Promise<void> {
    await end(this.#files, this.path, this.fd)
    await this.close()
  }

  async close (): Promise<void> {
    await this.#files.release(this.fd)
  }
}

/** Ends the log of a process that has ended. */
export async function endLog (files: Files, path: string): Promise<void> {
  const fd = await files.open(path)
  try {
    await end(files, path, fd)
  } finally {
    await files.release(fd)
  }
}

/** It says nothing any more, also after a power failure. Only then it loses its name: who sees no log may be certain that none comes back. */
async function end (files: Files, path: string, fd: number): Promise<void> {
  await files.truncate(fd, 0)
  await files.sync(fd)
  await files.remove(path)
}

const STEP = 1024 * 1024
const ZEROS = Buffer.alloc(STEP)
