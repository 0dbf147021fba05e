import type { Addition } from '../../lib/storage.js'
import type { Holder } from './budget.js'
import { isOvertaken } from './failures.js'
import { assemble, putWhole } from './finish.js'
import { getOffset, getPartsEnd, isSealed, type Piece } from './record.js'
import type { Change, Entry } from './records.js'
import { Pieces } from './pieces.js'
import type { Region } from './region.js'
import { Sender, type PartsChange } from './sender.js'
import { deletePieces, type Store } from './store.js'

/** One body on its way into S3: full parts as they fill, the rest as a piece at the end, and the record over all of it. */
export class Appender implements Holder {
  readonly #store: Store
  readonly #entry: Entry
  readonly #addition: Addition
  readonly #region: Region
  readonly #pieces: Pieces
  #sender: Sender | null = null
  #committedAt = Date.now()
  #last: Promise<unknown> = Promise.resolve()
  /** Bytes that are out of the region and not sent yet. */
  #cutting = 0
  #touchedAt = Date.now()
  #failedBody = false
  #ended = false
  #failedReclaim: { readonly error: unknown } | null = null

  constructor (store: Store, entry: Entry, addition: Addition) {
    this.#store = store
    this.#entry = entry
    this.#addition = addition
    this.#region = store.records.unpark(entry)
    this.#pieces = new Pieces(store, entry, this.#region)
  }

  /** Resolves to the new offset. */
  async run (): Promise<number> {
    const { budget, records } = this.#store
    budget.add(this)
    try {
      await this.#receive()
      await this.#alone(async () => {
        await this.#end()
        this.#ended = true
      })
    } catch (error) {
      const reason = await this.#alone(() => this.#fail()).then(() => null, reason => reason)
      this.#region.clear()
      // What S3 says to a writer that was overtaken is of no interest.
      const told = isOvertaken(reason) ? reason : error
      if (isOvertaken(told)) await this.#sender?.discard()
      throw told
    } finally {
      budget.remove(this)
    }
    if (this.#region.held > 0) records.park(this.#entry, this.#region)
    return getOffset(this.#entry.record)
  }

  get reclaimable (): number {
    return this.#failedReclaim === null ? this.#region.held : 0
  }

  get touchedAt (): number {
    return this.#touchedAt
  }

  /** Puts what is in memory into S3 as a piece, while the body waits for its client. */
  async reclaim (): Promise<void> {
    await this.#alone(async () => {
      // Another body may be at work on the upload by now.
      if (this.#ended) return
      await this.#flush()
      this.#region.drop()
    }).catch(error => {
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
      await this.#store.budget.makeRoom(this.#region.getGrowth(size))
      if (size > 0) this.#touchedAt = Date.now()
      await this.#alone(() => this.#take(batch))
    }
  }

  async #take (batch: readonly Uint8Array[]): Promise<void> {
    if (this.#failedReclaim !== null) throw this.#failedReclaim.error
    for (let chunk of batch) {
      while (chunk.length > 0) {
        const room = Math.max(0, this.#getPartSize() - this.#region.size)
        this.#region.push(chunk.subarray(0, room))
        chunk = chunk.subarray(room)
        if (this.#region.size < this.#getPartSize()) continue
        await this.#cut()
        if (chunk.length > 0) this.#region.expect(this.#getExpected())
      }
    }
    await this.#commitIfDue()
  }

  /** An upload that fits into a part is put into S3 in one request, when all of it is there. */
  #getPartSize (): number {
    const { record } = this.#entry
    if (this.#sender) return this.#sender.size
    const { length } = record.upload
    if (length !== null && length <= this.#store.options.partSize && record.parts.length === 0) return Infinity
    return this.#openSender().size
  }

  #openSender (): Sender {
    this.#sender ??= new Sender(this.#store, this.#entry, {
      whole: this.#addition.keep === 'all-or-nothing',
      atLeast: this.#region.size,
      commit: () => this.#commit(this.#sender!.describe())
    })
    return this.#sender
  }

  /** How much of the next part is to come, as far as anybody knows. */
  #getExpected (): number {
    const { length } = this.#entry.record.upload
    return Math.min(this.#getPartSize(), (length ?? Infinity) - this.#received)
  }

  async #cut (): Promise<void> {
    await this.#pieces.read()
    const { bytes, memory, pieces } = this.#region.take()
    this.#pieces.replace(pieces)
    this.#cutting = bytes.length
    await this.#openSender().send(bytes, memory)
    this.#cutting = 0
  }

  /** Where the bytes end that have been received, counted from the start of the upload. */
  get #received (): number {
    return this.#regionStart + this.#region.size
  }

  get #regionStart (): number {
    return (this.#sender?.end ?? getPartsEnd(this.#entry.record)) + this.#cutting
  }

  async #commitIfDue (): Promise<void> {
    const { keep, onProgress, progressInterval = 1000 } = this.#addition
    if (keep !== 'prefix') return
    const passed = Date.now() - this.#committedAt
    if (passed >= this.#store.options.commitInterval) {
      await this.#flush()
      onProgress?.(getOffset(this.#entry.record))
    } else if (onProgress && passed >= progressInterval && this.#sender?.hasNews) {
      await this.#commit(this.#sender.describe())
      onProgress(getOffset(this.#entry.record))
    }
  }

  /** Makes durable what was received: for good, unless the body counts only as a whole. */
  async #flush (): Promise<void> {
    await this.#sender?.drain()
    await this.#pieces.keepFresh()
    if (this.#addition.keep === 'prefix') await this.#commit(this.#sender?.describe() ?? {})
  }

  async #end (): Promise<void> {
    const { upload, parts, object } = this.#entry.record
    if (object !== null) return
    const full = this.#received === upload.length
    const inParts = parts.length > 0 || this.#sender !== null
    if (full && !inParts && upload.completes === 'at-length') return this.#finishWhole()
    if (full && inParts && this.#region.size > 0) await this.#cut()
    await this.#sender?.drain()
    await this.#pieces.renew()
    await this.#pieces.keepFresh()
    await this.#close('all')
    if (upload.completes === 'at-length' && isSealed(this.#entry.record)) await assemble(this.#store, this.#entry)
  }

  async #finishWhole (): Promise<void> {
    await this.#pieces.read()
    const { pieces } = this.#entry.record
    await putWhole(this.#store, this.#entry, this.#region.look())
    deletePieces(this.#store, this.#entry.id, [...pieces, ...this.#region.pieces])
    this.#region.clear()
  }

  /** Ends the window of part numbers, if there is one, and commits what there is to commit. */
  async #close (count: 'all' | 'none'): Promise<void> {
    const change = this.#sender?.describeEnd(count) ?? {}
    const { record } = this.#entry
    const isNew = record.window !== null || this.#sender?.hasSent || this.#listPieces({}) !== record.pieces
    if (isNew) await this.#commit(change)
  }

  /** After a failure: what arrived without a gap counts, if it may; a body that was wrong counts for nothing. */
  async #fail (): Promise<void> {
    await this.#sender?.settle()
    const { keep } = this.#addition
    const count = keep === 'prefix' && !this.#failedBody ? 'all' : 'none'
    if (this.#sender && this.#entry.record.window !== null) await this.#commit(this.#sender.describeEnd(count), count)
  }

  async #commit (change: Partial<PartsChange>, count: 'all' | 'none' = 'all'): Promise<void> {
    const { record } = this.#entry
    const before = getOffset(record)
    const next: Change = { ...change, pieces: count === 'all' ? this.#listPieces(change) : record.pieces }
    const grown = getOffset({ ...record, ...next }) > before
    await this.#store.records.commit(this.#entry, grown ? { ...next, modifiedAt: new Date() } : next)
    if (change.parts) this.#sender?.confirm({ parts: change.parts })
    this.#committedAt = Date.now()
    this.#pieces.confirm()
  }

  /** The pieces behind the parts that a record names. As long as parts are missing in between, nothing behind them counts. */
  #listPieces ({ parts }: Partial<PartsChange>): readonly Piece[] {
    const { record } = this.#entry
    const { pieces } = this.#region
    if (getPartsEnd({ parts: parts ?? record.parts }) === this.#regionStart) return isSame(pieces, record.pieces) ? record.pieces : pieces
    return parts && parts.length > record.parts.length ? [] : record.pieces
  }

  /** One after the other: the body that takes in bytes, and whoever reclaims their memory meanwhile. */
  #alone<Result> (work: () => Promise<Result>): Promise<Result> {
    const result = this.#last.then(work)
    this.#last = result.catch(() => {})
    return result
  }
}

function isSame (one: readonly Piece[], other: readonly Piece[]): boolean {
  return one.length === other.length && one.every(({ name }, index) => name === other[index]!.name)
}
