import { UploadMissing, type Addition } from '../../lib/storage.js'
import type { Holder } from '../s3/budget.js'
import { Region } from '../s3/region.js'
import { chooseBlockSize } from './block-size.js'
import type { Entry } from './entries.js'
import { Superseded } from './failures.js'
import { countFoldable, fold } from './fold.js'
import { Stager } from './stager.js'
import type { Store } from './store.js'

/** One body on its way into a blob: blocks as they fill, what is left at the end as a smaller one, and the commit over all of them. */
export class Appender implements Holder {
  readonly #store: Store
  readonly #entry: Entry
  readonly #addition: Addition
  readonly #region: Region
  readonly #stager: Stager
  #committedAt = Date.now()
  #touchedAt = Date.now()
  #last: Promise<unknown> = Promise.resolve()
  #failedBody = false
  #failedReclaim: { readonly error: unknown } | null = null

  constructor (store: Store, entry: Entry, addition: Addition) {
    this.#store = store
    this.#entry = entry
    this.#addition = addition
    this.#region = new Region(store.budget, [])
    this.#stager = new Stager(store, entry)
  }

  get #blockSize (): number {
    const { options: { blockSize: least, memoryBudget } } = this.#store
    const { blocks, state: { length } } = this.#entry
    return chooseBlockSize({ length, count: (blocks?.length ?? 0) + this.#stager.count, least, most: Math.floor(memoryBudget / 2) })
  }

  /** Resolves to the new offset. */
  async run (): Promise<number> {
    this.#store.budget.add(this)
    try {
      await this.#receive()
      await this.#alone(() => this.#end())
      return this.#entry.offset
    } catch (error) {
      const reason = await this.#alone(() => this.#fail()).then(() => null, reason => reason)
      // What Azure says to a writer that was overtaken is of no interest.
      throw reason instanceof Superseded || reason instanceof UploadMissing ? reason : error
    } finally {
      this.#region.clear()
      this.#store.budget.remove(this)
    }
  }

  get reclaimable (): number {
    return this.#failedReclaim === null ? this.#region.held : 0
  }

  get touchedAt (): number {
    return this.#touchedAt
  }

  /** Sends what is in memory, while the body waits for its client. */
  async reclaim (): Promise<void> {
    await this.#alone(() => this.#cut()).catch(error => {
      // The business of the body that has these bytes, and not of who asked for memory.
      this.#failedReclaim = { error }
    })
  }

  async #receive (): Promise<void> {
    const { body } = this.#addition
    for (;;) {
      const batch = await body.next().catch(error => {
        this.#failedBody = true
        throw error
      })
      if (batch === null) return
      const size = batch.reduce((sum, { length }) => sum + length, 0)
      await this.#store.budget.makeRoom(this.#region.getGrowth(Math.min(size, this.#blockSize)))
      if (size > 0) this.#touchedAt = Date.now()
      await this.#alone(() => this.#take(batch))
    }
  }

  async #take (batch: readonly Uint8Array[]): Promise<void> {
    if (this.#failedReclaim !== null) throw this.#failedReclaim.error
    for (let chunk of batch) {
      while (chunk.length > 0) {
        const room = this.#blockSize - this.#region.size
        if (room === 0) {
          await this.#cut()
          this.#region.expect(this.#blockSize)
        }
        const fitting = chunk.subarray(0, room || this.#blockSize)
        this.#region.push(fitting)
        chunk = chunk.subarray(fitting.length)
      }
    }
    await this.#commitIfDue()
  }

  async #cut (): Promise<void> {
    if (this.#region.size === 0) return
    const { bytes, memory } = this.#region.take()
    await this.#stager.send(bytes, memory)
  }

  async #commitIfDue (): Promise<void> {
    const { keep, onProgress, progressInterval = 1000 } = this.#addition
    if (keep !== 'prefix') return
    const passed = Date.now() - this.#committedAt
    if (passed >= this.#store.options.commitInterval) {
      await this.#cut()
      await this.#stager.drain()
    } else if (!onProgress || passed < Math.max(progressInterval, this.#entry.blocks!.length * PACE)) {
      return
    }
    if (await this.#commitArrived()) onProgress?.(this.#entry.offset)
  }

  /** Whether there was anything to commit. */
  async #commitArrived (): Promise<boolean> {
    const arrived = this.#stager.listArrived()
    if (arrived.length === 0) return false
    await this.#store.entries.commitBlocks(this.#entry, [...this.#entry.blocks!, ...arrived])
    this.#stager.confirm(arrived.length)
    this.#committedAt = Date.now()
    return true
  }

  async #end (): Promise<void> {
    const { entries } = this.#store
    if (this.#failedReclaim !== null) throw this.#failedReclaim.error
    if (this.#region.size === 0 && this.#stager.count === 0) return
    if (this.#isWhole) return entries.commitWhole(this.#entry, this.#region.look())
    await this.#cut()
    const before = await this.#foldIfDue()
    await this.#stager.drain()
    const arrived = this.#stager.listArrived()
    await entries.commitBlocks(this.#entry, [...before, ...arrived])
    this.#stager.confirm(arrived.length)
  }

  /** Whether all bytes of the upload are in memory: they go in one request. */
  get #isWhole (): boolean {
    const { offset, state } = this.#entry
    return offset === 0 && this.#stager.count === 0 && this.#region.size === state.length
  }

  async #foldIfDue () {
    const blocks = this.#entry.blocks!
    const count = countFoldable(blocks, this.#blockSize)
    return count === 0 ? blocks : fold(this.#store, this.#entry, blocks, count, this.#stager.createId())
  }

  /** After a failure: what arrived without a gap counts, if it may; a body that was wrong counts for nothing. */
  async #fail (): Promise<void> {
    await this.#stager.settle()
    if (this.#addition.keep === 'prefix' && !this.#failedBody) await this.#commitArrived()
  }

  /** One after the other: the body that takes in bytes, and whoever reclaims their memory meanwhile. */
  #alone<Result> (work: () => Promise<Result>): Promise<Result> {
    const result = this.#last.then(work)
    this.#last = result.catch(() => {})
    return result
  }
}

/** A commit names every block: it is made the more rarely, the more there are. In ms for each. */
const PACE = 0.5
