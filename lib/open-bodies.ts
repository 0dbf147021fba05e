import type { RequestBody } from './body.js'

/** The requests whose bodies are being received, so that a server that stops can end them in order. */
export class OpenBodies {
  readonly #bodies = new Set<RequestBody>()
  #answers = 0
  #closing = false
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
  async drain (deadline: number): Promise<void> {
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
