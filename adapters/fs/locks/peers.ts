import { setTimeout as pause } from 'node:timers/promises'
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
    const deadline = performance.now() + PATIENCE
    // One that closes the connection may be out of descriptors: only who can't be connected to has ended.
    for (let peer; (peer = await this.get(name)) !== null; await pause(REST)) {
      if (await this.#hello(peer, name, deadline)) return true
      if (performance.now() >= deadline) throw createSilenceError(name)
    }
    return false
  }

  /** Whether it was answered. */
  #hello (peer: Lines, name: string, deadline: number): Promise<boolean> {
    return new Promise(resolve => {
      const settle = (answered: boolean) => {
        clearTimeout(timer)
        this.#greeted.delete(name)
        resolve(answered)
      }
      const timer = setTimeout(settle, deadline - performance.now(), false)
      peer.onClose(() => settle(false))
      this.#greeted.set(name, () => settle(true))
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
/** How long to wait before the next try, in ms. */
const REST = 50
