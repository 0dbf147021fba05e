import { randomBytes } from 'node:crypto'
import { promises, readFileSync, readlinkSync, rmSync, symlinkSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { isCode, nullIfMissing, type Files } from '../files.js'

/**
 * One symbolic link per upload in use, `<id>` → the name of the process that holds it: made, read and replaced in one step each, and
 * small enough to need no block of a full disk. On Windows, where links are a privilege, a file with the same content.
 *
 * Only the process that a link names may replace or remove it, and the one that buries that process.
 */
export class LockFiles {
  readonly #directory: string
  readonly #files: Files

  constructor (directory: string, files: Files) {
    this.#directory = directory
    this.#files = files
  }

  /** False if somebody holds the upload. */
  async take (id: string, owner: string): Promise<boolean> {
    try {
      const path = this.#path(id)
      await this.#files.run(() => writeNow(owner, path), () => write(owner, path))
      return true
    } catch (error) {
      if (isCode(error, 'EEXIST')) return false
      throw error
    }
  }

  /** Who holds the upload; `null` for nobody. Synchronous, so that the answer is still true when it is acted on. */
  getOwner (id: string): string | null {
    try {
      return readNow(this.#path(id))
    } catch (error) {
      return nullIfMissing(error)
    }
  }

  /** Makes a process the holder whoever was. Right as long as only the dead can have been. */
  seize (id: string, owner: string): void {
    rmSync(this.#path(id), { force: true })
    writeNow(owner, this.#path(id))
  }

  /** Makes another process the holder, without a moment in which nobody is. */
  async pass (id: string, owner: string): Promise<void> {
    const temporary = this.#path(`${UNBORN}${randomBytes(6).toString('hex')}`)
    writeNow(owner, temporary)
    await this.#files.rename(temporary, this.#path(id))
  }

  free (id: string): void | Promise<void> {
    return this.#files.remove(this.#path(id))
  }

  /** Frees the upload if this process is its holder on the disk. */
  freeIfOwned (id: string, owner: string): void {
    if (this.getOwner(id) === owner) rmSync(this.#path(id), { force: true })
  }

  /** Frees all that a process held which is dead. Called by the one process that buries it. */
  async freeAll (owner: string): Promise<void> {
    for (const id of await promises.readdir(this.#directory)) {
      if (this.getOwner(id) === owner) await promises.rm(this.#path(id), { force: true })
    }
  }

  /** Who holds uploads. Removes what was to become a link, and is older than `before`. */
  async listOwners (before: Date): Promise<Set<string>> {
    const owners = new Set<string>()
    for (const id of await promises.readdir(this.#directory)) {
      const owner = this.getOwner(id)
      if (id.startsWith(UNBORN)) await this.#removeIfOlder(id, before)
      else if (owner !== null) owners.add(owner)
    }
    return owners
  }

  async #removeIfOlder (id: string, before: Date): Promise<void> {
    const found = await promises.lstat(this.#path(id)).catch(nullIfMissing)
    if (found !== null && found.mtime < before) await promises.rm(this.#path(id), { force: true })
  }

  #path (id: string): string {
    return join(this.#directory, id)
  }
}

/** No id begins with it. */
const UNBORN = '.'
const windows = process.platform === 'win32'
const write = (owner: string, path: string) => windows ? promises.writeFile(path, owner, { flag: 'wx' }) : promises.symlink(owner, path)
const writeNow = (owner: string, path: string) => windows ? writeFileSync(path, owner, { flag: 'wx' }) : symlinkSync(owner, path)
const readNow = (path: string) => windows ? readFileSync(path, 'utf8') : readlinkSync(path)
