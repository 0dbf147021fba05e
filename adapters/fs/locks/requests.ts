import type { Socket } from 'node:net'
import { Lines } from './lines.js'

/** What other processes ask of this one. */
export interface RequestHandlers {
  /** Somebody else works on the directory from now on. */
  hello(): void
  /** Resolves when it is worth looking at the link again: the process `name` has got the upload, or nobody here has it. */
  want(id: string, name: string, signal: AbortSignal): Promise<void>
}

/** Answers other processes. */
export class Requests {
  readonly #handlers: RequestHandlers
  readonly #open = new Set<Lines>()

  constructor (handlers: RequestHandlers) {
    this.#handlers = handlers
  }

  serve (socket: Socket): void {
    const wanted = new Map<string, AbortController>()
    const lines = new Lines(socket, (verb, id, name) => {
      if (verb === 'hello') this.#greet(lines)
      else if (verb === 'want') this.#want(lines, wanted, id, name)
      else if (verb === 'drop') wanted.get(id)?.abort()
    })
    this.#open.add(lines)
    lines.onClose(() => {
      this.#open.delete(lines)
      for (const controller of wanted.values()) controller.abort()
    })
  }

  close (): void {
    for (const lines of this.#open) lines.close()
  }

  /** Who gets no answer does not start. */
  #greet (lines: Lines): void {
    try {
      this.#handlers.hello()
      lines.send('hello')
    } catch {
      lines.close()
    }
  }

  #want (lines: Lines, wanted: Map<string, AbortController>, id: string, name: string): void {
    const controller = new AbortController()
    wanted.set(id, controller)
    const done = () => {
      if (wanted.get(id) === controller) wanted.delete(id)
      // Also to one that has given up: the upload may have been passed to it at that moment.
      lines.send('look', id)
    }
    this.#handlers.want(id, name, controller.signal).then(done, done)
  }
}
