import type { Proxy } from './proxy.js'
import type { ServerProcess } from './server-process.js'
import type { Journal } from './tus-client.js'
import { askOffset } from './tus-client-raw.js'

export interface ChaosOptions {
  readonly server: ServerProcess
  readonly proxy: Proxy
  /** After how many bytes through the proxy the server is killed each time. */
  readonly after: readonly number[]
  readonly journals: readonly Journal[]
  /** Default `SIGKILL`. */
  readonly signal?: NodeJS.Signals
}

/**
 * Kills the server again and again while clients upload, starts it again, and asks every time where the uploads are: no
 * offset that was acknowledged before may have decreased.
 */
export class Chaos {
  /** How often the server was killed and ran again. */
  kills = 0
  readonly #options: ChaosOptions
  readonly #after: number[]
  #running: Promise<void> | null = null
  #failure: unknown = null

  constructor (options: ChaosOptions) {
    this.#options = options
    this.#after = [...options.after]
    options.proxy.onBytes = () => this.#onBytes()
  }

  /** Resolves when nothing is under way any more. @throws what went wrong on the way */
  async settle (): Promise<void> {
    while (this.#running) await this.#running
    if (this.#failure) throw this.#failure
  }

  #onBytes (): void {
    if (this.#running || this.#after.length === 0 || this.#options.proxy.bytes < this.#after[0]!) return
    this.#after.shift()
    this.#running = this.#strike().catch(error => { this.#failure = error }).finally(() => {
      this.#running = null
      // More may have gone through meanwhile.
      this.#onBytes()
    })
  }

  async #strike (): Promise<void> {
    const { server, journals, signal = 'SIGKILL' } = this.#options
    await server.kill(signal)
    await server.restart()
    this.kills++
    await Promise.all(journals.map(journal => this.#ask(journal)))
  }

  async #ask (journal: Journal): Promise<void> {
    if (journal.url === null) return
    const before = journal.offset
    const offset = await askOffset(this.#options.server.port, new URL(journal.url).pathname)
    if (offset !== null) journal.learnt(offset, before, 'HEAD after a kill')
  }
}
