import { ignore, isReadOnly } from './failure.js'
import type { Files } from './files.js'
import type { OpenUpload } from './open-upload.js'
import type { Paths } from './paths.js'

/** The open files of the uploads in use. */
export class Descriptors {
  readonly #files: Files
  readonly #paths: Paths

  constructor (files: Files, paths: Paths) {
    this.#files = files
    this.#paths = paths
  }

  /** Runs `work` with a descriptor of the bytes, which stays open until then, and behind that unless the upload was dropped. */
  async use<Result> (entry: OpenUpload, work: (fd: number) => Result | Promise<Result>): Promise<Result> {
    entry.users++
    try {
      return await work(await this.#open(entry))
    } finally {
      entry.users--
      entry.usedAt = Date.now()
      if (entry.dropped && entry.users === 0) await this.close(entry)
    }
  }

  /** Makes the bytes durable, also where they can only be read. */
  async sync (entry: OpenUpload): Promise<void> {
    try {
      await this.use(entry, fd => this.#files.sync(fd))
    } catch (error) {
      if (!isReadOnly(error)) throw error
      // Succeeds on a device that was mounted read-only. One that became so by an error can not tell what it holds.
      await this.#files.syncPath(this.#paths.data(entry.id))
    }
  }

  /** Closes the file of an upload that nobody uses. */
  close (entry: OpenUpload): Promise<void> | void {
    const { file } = entry
    entry.file = null
    if (file instanceof Promise) return file.then(fd => this.#files.release(fd), ignore)
    if (file !== null) return this.#files.release(file)
  }

  #open (entry: OpenUpload): Promise<number> | number {
    if (entry.file !== null) return entry.file
    const file = this.#files.open(this.#paths.data(entry.id))
    entry.file = file
    if (file instanceof Promise) file.catch(() => { if (entry.file === file) entry.file = null })
    return file
  }
}
