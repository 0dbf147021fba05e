import { createHash, randomBytes } from 'node:crypto'
import { readFileSync } from 'node:fs'
import { readdir, rename, rm, stat, writeFile } from 'node:fs/promises'
import { createConnection, createServer, type Server, type Socket } from 'node:net'
import { hostname } from 'node:os'
import { join } from 'node:path'
import { LocksUnsupported } from '../../../lib/locker.js'
import { ignore, isCode, nullIfMissing } from '../failure.js'
import { createAddresses, type Addresses } from './addresses.js'

/**
 * The processes that work on one directory. Each listens on a socket of its own there, so the system itself tells who is alive:
 * nobody can connect to a process that has ended, however it ended.
 */
export class Registry {
  /** Never used by another process, before or after. */
  readonly name = `${MACHINE}-${process.pid}-${randomBytes(6).toString('hex')}`
  readonly #directory: string
  readonly #strangersAreDead: boolean
  readonly #server: Server
  readonly #addresses: Addresses

  /**
   * @param strangersAreDead whether a process of another machine, or of this one before it was started anew, must have ended
   * @param onConnection called with every connection of another process
   */
  constructor (directory: string, strangersAreDead: boolean, onConnection: (socket: Socket) => void) {
    this.#directory = directory
    this.#strangersAreDead = strangersAreDead
    this.#server = createServer(onConnection)
    this.#addresses = createAddresses(directory, this.name.length + UNBORN.length)
  }

  /**
   * From here on others see this process.
   *
   * @throws LocksUnsupported where the file system has no sockets
   */
  async open (): Promise<void> {
    await this.#listen(UNBORN + this.name)
    if (process.platform === 'win32') await writeFile(this.#getPath(this.name), '')
    // Only now it can be connected to: a name that can't would pass for a dead process.
    else await rename(this.#getPath(UNBORN + this.name), this.#getPath(this.name))
    await this.#clearUnborn()
  }

  /** Where the socket of this process is, as long as it is registered. */
  get path (): string {
    return this.#getPath(this.name)
  }

  /** The names of the others, alive or dead. */
  async list (): Promise<string[]> {
    const names = (await readdir(this.#directory)).filter(name => !name.startsWith(UNBORN)).map(name => name.split(GRAVE)[0]!)
    return [...new Set(names)].filter(name => name !== this.name)
  }

  /**
   * A connection to a process; `null` if it has ended.
   *
   * @throws LocksUnsupported if it may be alive on another machine
   */
  connect (name: string): Promise<Socket | null> {
    return new Promise((resolve, reject) => {
      const fail = (error: Error) => {
        // It has ended while it was to accept: the next try tells.
        if (isCode(error, 'ECONNRESET')) resolve(this.connect(name))
        else if (!isCode(error, 'ECONNREFUSED', 'ENOENT')) reject(error)
        else if (this.#strangersAreDead || name.startsWith(MACHINE)) resolve(null)
        else reject(new LocksUnsupported(`The directory is in use by another machine, or was: remove ${this.#getPath(name)} if that machine is off`))
      }
      const socket = createConnection(this.#addresses.get(name))
      socket.once('error', fail)
      socket.once('connect', () => {
        socket.off('error', fail)
        resolve(socket)
      })
    })
  }

  /** False only for one that has ended for certain. */
  async isAlive (name: string): Promise<boolean> {
    try {
      const socket = await this.connect(name)
      socket?.destroy()
      return socket !== null
    } catch {
      return true
    }
  }

  /**
   * Clears away after a process that has ended. `clear` runs in one living process at a time. Resolves to false if another one is at it.
   *
   * The grave carries the name of who digs it, so a renaming tells who may: it succeeds once.
   */
  async bury (name: string, clear: () => Promise<void>): Promise<boolean> {
    const grave = name + GRAVE + this.name
    if (!await this.#dig(name, grave)) return false
    try {
      // Two that found nothing to rename (it was removed by hand) see each other here.
      if ((await this.#listGraves(name)).length > 1) return false
      await clear()
      return true
    } finally {
      await rm(this.#getPath(grave), { force: true })
    }
  }

  /** @param endConnections called when no more can come: the end of the last one is awaited */
  async close (endConnections: () => void): Promise<void> {
    // On a disk that can't be written it stays: the next process finds nobody there, and clears it away.
    await rm(this.#getPath(this.name), { force: true }).catch(ignore)
    const closed = new Promise(resolve => { this.#server.close(resolve) })
    endConnections()
    await closed
    this.#addresses.close()
  }

  async #dig (name: string, grave: string): Promise<boolean> {
    const [found] = await this.#listGraves(name)
    if (found !== undefined) {
      const digger = await this.connect(found.split(GRAVE)[1]!)
      digger?.destroy()
      return digger === null && this.#tryRename(found, grave)
    }
    if (!await this.#tryRename(name, grave)) await writeFile(this.#getPath(grave), '')
    return true
  }

  async #listGraves (name: string): Promise<string[]> {
    return (await readdir(this.#directory)).filter(found => found.startsWith(name + GRAVE))
  }

  async #tryRename (from: string, to: string): Promise<boolean> {
    const failed = await rename(this.#getPath(from), this.#getPath(to)).catch(nullIfMissing)
    return failed !== null
  }

  #listen (name: string): Promise<void> {
    return new Promise((resolve, reject) => {
      this.#server.once('error', error => {
        reject(new LocksUnsupported(`The directory can't hold the sockets by which processes exclude each other: ${error.message}`, { cause: error }))
      })
      // Of this process alone: what a worker of `node:cluster` listens on is otherwise held by its primary, and outlives the worker.
      this.#server.listen({ path: this.#addresses.get(name), backlog: BACKLOG, exclusive: true }, resolve)
      this.#server.unref()
    })
  }

  /** What a process left that died while it registered. */
  async #clearUnborn (): Promise<void> {
    for (const name of await readdir(this.#directory)) {
      const path = this.#getPath(name)
      if (!name.startsWith(UNBORN)) continue
      const found = await stat(path).catch(nullIfMissing)
      if (found !== null && found.mtimeMs < Date.now() - LONG_AGO) await rm(path, { force: true })
    }
  }

  #getPath (name: string): string {
    return join(this.#directory, name)
  }
}

/** Names the running system: another machine has another one, and so has this one after it was started anew. */
const MACHINE = createHash('sha256').update(readBootId() ?? hostname()).digest('hex').slice(0, 8)
const UNBORN = 'new-'
const GRAVE = '+'
const BACKLOG = 511
const LONG_AGO = 60_000

function readBootId (): string | null {
  try {
    return readFileSync('/proc/sys/kernel/random/boot_id', 'utf8')
  } catch {
    return null
  }
}
