import { randomBytes } from 'node:crypto'
import { StorageFull } from '../../lib/storage.js'
import type { Block } from './blobs.js'
import { MOST_BLOCKS } from './block-size.js'
import type { Entry } from './entries.js'
import type { Store } from './store.js'

/**
 * Sends blocks, several at a time, under ids that nobody else uses. They are nothing until they are committed; of what was sent, that can be which
 * has arrived without a gap.
 */
export class Stager {
  readonly #store: Store
  readonly #entry: Entry
  /** Begins the ids of this one. */
  readonly #name = randomBytes(8)
  #count = 0
  readonly #sent: Block[] = []
  readonly #missing = new Set<Block>()
  readonly #running = new Set<Promise<void>>()
  #failure: { readonly error: unknown } | null = null

  constructor (store: Store, entry: Entry) {
    this.#store = store
    this.#entry = entry
  }

  /** Blocks that were sent, arrived or not. */
  get count (): number {
    return this.#sent.length
  }

  /** An id for a block of this upload. */
  createId (): string {
    const count = Buffer.alloc(4)
    count.writeUInt32BE(this.#count++)
    return Buffer.concat([this.#name, count]).toString('base64')
  }

  /**
   * Sends a block. Resolves when the next may be handed over.
   *
   * @param memory in which its bytes are: it is given back when they have arrived
   * @throws what this or an earlier block failed with
   */
  async send (bytes: Uint8Array, memory: Buffer): Promise<void> {
    while (this.#failure === null && this.#running.size >= this.#store.options.concurrency) await Promise.race(this.#running)
    try {
      this.#check()
    } catch (error) {
      this.#store.budget.give(memory.length)
      throw error
    }
    const block = { id: this.createId(), size: bytes.length }
    this.#sent.push(block)
    this.#missing.add(block)
    this.#run(block, bytes, memory)
  }

  #check (): void {
    if (this.#failure !== null) throw this.#failure.error
    if (this.#entry.blocks!.length + this.#sent.length >= MOST_BLOCKS) throw new StorageFull(`A blob has room for ${MOST_BLOCKS} blocks`)
  }

  /** The blocks that have arrived without a gap. */
  listArrived (): readonly Block[] {
    const missing = this.#sent.findIndex(block => this.#missing.has(block))
    return missing === -1 ? [...this.#sent] : this.#sent.slice(0, missing)
  }

  /** The first of them are committed. */
  confirm (count: number): void {
    this.#sent.splice(0, count)
  }

  /** Waits until every block has arrived. @throws what one of them failed with */
  async drain (): Promise<void> {
    await this.settle()
    if (this.#failure !== null) throw this.#failure.error
  }

  /** Waits until every block has arrived or failed. */
  async settle (): Promise<void> {
    while (this.#running.size > 0) await Promise.all(this.#running)
  }

  #run (block: Block, bytes: Uint8Array, memory: Buffer): void {
    const { blobs, budget, names } = this.#store
    const running: Promise<void> = budget.send(memory.length, () => blobs.stageBlock(names.data(this.#entry.id), block.id, bytes)).then(
      () => {
        this.#missing.delete(block)
        // Not after a failure: who knows what still reads it.
        budget.recycle(memory)
      },
      error => { this.#failure ??= { error } }
    ).finally(() => { this.#running.delete(running) })
    this.#running.add(running)
  }
}
