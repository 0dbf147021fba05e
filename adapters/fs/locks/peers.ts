import { LocksUnsupported } from '../../../lib/locker.js'
import { Lines } from './lines.js'
import type { Registry } from './registry.js'

/** The connections to other processes on the directory, each made when it is first needed. */
export class Peers {
  readonly #registry: Registry
  readonly #onLook: (id: string) => void
  readonly #onLost: () => void
  readonly #connections = new Map<string, Promise<Lines | null>>()
  readonly #greeted = new Map<string, () => void>()

  /**
   * @param onLook told that it is worth looking at the link of an upload
   * @param onLost told that a process has ended
   */
  constructor (registry: Registry, onLook: (id: string) => void, onLost: () => void) {
    this.#registry = registry
    this.#onLook = onLook
    this.#onLost = onLost
  }

  /** `null` if that process has ended. */
  get (name: string): Promise<Lines | null> {
    let connection = this.#connections.get(name)
    if (connection === undefined) {
      connection = this.#connect(name)
      this.#connections.set(name, connection)
      const forget = () => this.#connections.delete(name)
      connection.then(lines => lines === null ? forget() : lines.onClose(forget), forget)
    }
    return connection
  }

  /**
   * Lets a process know that it is not alone any more. Resolves to false if it has ended.
   *
   * @throws LocksUnsupported if it does not answer
   */
  async greet (name: string): Promise<boolean> {
    const peer = await this.get(name)
    if (peer === null) return false
    return new Promise((resolve, reject) => {
      const timer = setTimeout(() => reject(createSilenceError(name)), PATIENCE)
      peer.onClose(() => {
        clearTimeout(timer)
        resolve(false)
      })
      this.#greeted.set(name, () => {
        clearTimeout(timer)
        resolve(true)
      })
      peer.send('hello')
    })
  }

  async close (): Promise<void> {
    for (const connection of [...this.#connections.values()]) (await connection.catch(() => null))?.close()
  }

  async #connect (name: string): Promise<Lines | null> {
    const socket = await this.#registry.connect(name)
    if (socket === null) return null
    const lines = new Lines(socket, (verb, id) => {
      if (verb === 'look') this.#onLook(id)
      else this.#greeted.get(name)?.()
    })
    lines.onClose(this.#onLost)
    return lines
  }
}

function createSilenceError (name: string): Error {
  return new LocksUnsupported(`The process ${name.split('-')[1]} works on the directory, but does not answer`)
}

/** How long a process may take to answer a greeting, in ms. */
const PATIENCE = 10_000
