import type { Server } from 'node:net'
import type { RequestBody } from './body.js'

/** The requests whose bodies are being received, so that a server that stops can end them in order. */
export class OpenBodies {
  readonly #bodies = new Set<RequestBody>()
  #answers = 0
  #closing = false
  #draining: Promise<void> | null = null
  #idle: (() => void) | null = null

  /** Whether the server is about to stop: no new body may be opened. */
  get closing (): boolean {
    return this.#closing
  }

  add (body: RequestBody): void {
    this.#bodies.add(body)
    if (this.#closing) body.interrupt('closing')
  }

  delete (body: RequestBody): void {
    this.#bodies.delete(body)
  }

  /** Counts a request until `endAnswer`: its response must leave before the server stops. */
  beginAnswer (): void {
    this.#answers++
  }

  endAnswer (): void {
    if (--this.#answers === 0) this.#idle?.()
  }

  /** Ends all bodies, and resolves when every response has left, or after `deadline` ms. */
  drain (deadline: number): Promise<void> {
    this.#draining ??= this.#drain(deadline)
    return this.#draining
  }

  async #drain (deadline: number): Promise<void> {
    this.#closing = true
    for (const body of this.#bodies) body.interrupt('closing')
    if (this.#answers === 0) return
    await new Promise<void>(resolve => {
      const timer = setTimeout(resolve, deadline)
      this.#idle = () => {
        clearTimeout(timer)
        resolve()
      }
    })
  }
}

/** What drains the bodies of all registrations on a server at the same time: Fastify asks one after the other. */
export function drainTogether (server: Server, bodies: OpenBodies): OpenBodies['drain'] {
  const all = openBodies.get(server) ?? new Set()
  openBodies.set(server, all.add(bodies))
  return async deadline => { await Promise.all([...all].map(bodies => bodies.drain(deadline))) }
}

const openBodies = new WeakMap<Server, Set<OpenBodies>>()
