import { mkdir } from 'node:fs/promises'
import { join } from 'node:path'
import { LockQueues, LockTimeout, MOST_WAITING, type Locker, type Wanted } from '../../../lib/locker.js'
import { StorageFull } from '../../../lib/storage.js'
import { isCode, type Files } from '../files.js'
import { belongsToThisMachine } from './file-systems.js'
import { LockFiles } from './lock-files.js'
import { Peers } from './peers.js'
import { Registry } from './registry.js'
import { Requests } from './requests.js'

/**
 * Exclusion among all processes of one machine that work on a directory, without a server and without polling.
 *
 * Within a process, those who want an upload queue up. The process as a whole holds it by a link on the disk; another process that finds
 * the link sends word, and gets a place in the same queue. The death of a process, however sudden, closes its sockets: those
 * who wait for it clear its links away.
 *
 * As long as a process is alone on its directory it makes no links. A second one greets it before it takes its first lock.
 */
export class DirectoryLocker implements Locker {
  readonly #metadata: Files
  readonly #links: LockFiles
  readonly #registry: Registry
  readonly #peers: Peers
  readonly #requests: Requests
  readonly #queues = new LockQueues(MOST_WAITING)
  /** Uploads whose link names this process. */
  readonly #owned = new Set<string>()
  /** Wakes the head of a queue that waits for another process. */
  readonly #waiting = new Map<string, () => void>()
  readonly #burials = new Map<string, Promise<boolean>>()
  #shared = false

  private constructor (directory: string, strangersAreDead: boolean, files: Files) {
    this.#metadata = files
    this.#links = new LockFiles(join(directory, LOCKS), files)
    this.#requests = new Requests({ hello: () => this.#share(), want: (id, pass, signal) => this.#give(id, pass, signal) })
    this.#registry = new Registry(join(directory, PROCESSES), strangersAreDead, socket => this.#requests.serve(socket))
    this.#peers = new Peers(this.#registry, id => this.#look(id), () => { for (const wake of this.#waiting.values()) wake() })
  }

  /** @throws LocksUnsupported where processes can't exclude each other */
  static async open (directory: string, files: Files): Promise<DirectoryLocker> {
    const strangersAreDead = await belongsToThisMachine(directory)
    for (const name of [LOCKS, PROCESSES]) await mkdir(join(directory, name), { recursive: true, mode: OF_ONE_USER })
    const locker = new DirectoryLocker(directory, strangersAreDead, files)
    try {
      await locker.#registry.open()
      await locker.#greetAll()
    } catch (error) {
      await locker.close()
      throw error
    }
    return locker
  }

  async withLock<Result> (id: string, timeout: number, work: (wanted: Wanted) => Promise<Result>): Promise<Result> {
    const deadline = performance.now() + timeout
    const queue = this.#queues.get(id)
    const wanted = await queue.enter(timeout)
    try {
      if (this.#shared && !this.#owned.has(id)) await this.#obtain(id, deadline)
      return await work(wanted)
    } finally {
      if (this.#owned.has(id) && !queue.hasWaiting) await this.#free(id)
      this.#queues.leave(queue)
    }
  }

  /** The name of this process, by which others see it. */
  get name (): string {
    return this.#registry.name
  }

  /** The names of all processes that may be working on the directory. */
  async listLiving (): Promise<Set<string>> {
    const living = new Set([this.name])
    for (const name of await this.#registry.list()) {
      if (await this.#registry.isAlive(name)) living.add(name)
    }
    return living
  }

  /** Whether others can see this process. */
  async isRegistered (): Promise<boolean> {
    return await this.#metadata.stat(this.#registry.path) !== null
  }

  async close (): Promise<void> {
    for (const id of this.#owned) await this.#free(id)
    await this.abandon()
  }

  /** Ends all connections. Links that have this process's name are those of a dead one from now on. */
  async abandon (): Promise<void> {
    await this.#peers.close()
    await this.#registry.close(() => this.#requests.close())
  }

  /** Clears away the links of processes of which nothing else is left, and what one left that died while it passed a link on. */
  async tidy (before: Date): Promise<void> {
    const owners = await this.#links.listOwners(before)
    // Read behind the links: whoever had one is here as long as it lives, also if it started a moment ago.
    const registered = new Set([this.#registry.name, ...await this.#registry.list()])
    for (const owner of owners) {
      if (!registered.has(owner)) await this.#bury(owner)
    }
  }

  /** Makes this process the holder, by turns with the others. */
  async #obtain (id: string, deadline: number): Promise<void> {
    for (let asked: string | null = null; ;) {
      if (await this.#take(id)) return
      const owner = this.#links.getOwner(id)
      if (owner === this.#registry.name) break
      if (performance.now() >= deadline) throw new LockTimeout('The upload stayed in use')
      // A process that has nothing to give answers at once: the link is about to change.
      if (owner === asked) await pause()
      asked = owner
      if (owner !== null) await this.#ask(owner, id, deadline)
    }
    this.#owned.add(id)
  }

  async #take (id: string): Promise<boolean> {
    try {
      const taken = await this.#links.take(id, this.#registry.name)
      if (taken) this.#owned.add(id)
      return taken
    } catch (error) {
      throw isCode(error, 'ENOSPC', 'EDQUOT') ? new StorageFull('The device has no room for a lock', { cause: error }) : error
    }
  }

  /** Resolves when it is worth looking at the link again. */
  async #ask (owner: string, id: string, deadline: number): Promise<void> {
    const peer = await this.#peers.get(owner)
    if (peer === null) return this.#bury(owner)
    await new Promise<void>(resolve => {
      const wake = () => {
        clearTimeout(timer)
        this.#waiting.delete(id)
        resolve()
      }
      const timer = setTimeout(() => {
        peer.send('drop', id)
        wake()
      }, Math.max(0, deadline - performance.now()))
      this.#waiting.set(id, wake)
      peer.send('want', id, this.#registry.name)
    })
  }

  #look (id: string): void {
    const wake = this.#waiting.get(id)
    if (wake) wake()
    // Who waited has given up, and the link was passed to this process all the same.
    else if (!this.#queues.has(id)) this.#links.freeIfOwned(id, this.#registry.name)
  }

  /** Lets another process have its turn. */
  async #give (id: string, name: string, signal: AbortSignal): Promise<void> {
    if (!this.#queues.has(id)) return this.#links.freeIfOwned(id, this.#registry.name)
    if (!this.#owned.has(id)) {
      // Passed to this process a moment ago, or not its business any more.
      if (this.#links.getOwner(id) !== this.#registry.name) return
      this.#owned.add(id)
    }
    const queue = this.#queues.get(id)
    await queue.enter(null, signal)
    try {
      if (this.#owned.has(id)) await this.#links.pass(id, name).then(() => this.#owned.delete(id), () => this.#free(id))
    } finally {
      this.#queues.leave(queue)
    }
  }

  /** A link that can't be removed is found again, by this process or by one that asks for it. */
  async #free (id: string): Promise<void> {
    try {
      await this.#links.free(id)
    } catch {}
    this.#owned.delete(id)
  }

  /** From here on there are links, also for what is held already. Whatever link is there is one of the dead. */
  #share (): void {
    if (this.#shared) return
    for (const id of this.#queues.ids()) this.#links.seize(id, this.#registry.name)
    for (const id of this.#queues.ids()) this.#owned.add(id)
    this.#shared = true
  }

  async #greetAll (): Promise<void> {
    for (const name of await this.#registry.list()) {
      if (await this.#peers.greet(name)) this.#shared = true
      else await this.#bury(name)
    }
  }

  async #bury (name: string): Promise<void> {
    let burial = this.#burials.get(name)
    if (burial === undefined) {
      burial = this.#registry.bury(name, () => this.#links.freeAll(name)).finally(() => this.#burials.delete(name))
      this.#burials.set(name, burial)
    }
    if (!await burial) await pause()
  }
}

/** Long enough for a message between processes, and for two that are in each other's way to part. */
function pause (): Promise<void> {
  return new Promise(resolve => { setTimeout(resolve, 2 + Math.random() * 8) })
}

/** Who may enter could hold every upload, or look like a process that never answers. */
const OF_ONE_USER = 0o700
const LOCKS = '.locks'
const PROCESSES = '.processes'
