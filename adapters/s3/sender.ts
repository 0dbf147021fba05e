import { MOST_PARTS } from './bucket.js'
import { getStatus, isMissing, UploadLost } from './failures.js'
import { createName } from './keys.js'
import { chooseNextSize, choosePartSize, chooseWindow } from './part-size.js'
import { sum, type Part } from './record.js'
import type { Change, Entry } from './records.js'
import { getObjectOptions, type Store } from './store.js'
import { abortUnnamed } from './unnamed.js'

/** What a record says of parts. */
export type PartsChange = Required<Pick<Change, 'multipart' | 'parts' | 'window' | 'next'>>

export interface SenderOptions {
  /** Whether the parts count together or not at all. */
  readonly whole: boolean
  /** The least size of a part, in bytes. */
  readonly atLeast: number
  /** Puts the record, with what {@link Sender.describe} says, into S3. */
  readonly commit: () => Promise<void>
}

interface Sending {
  readonly number: number
  readonly size: number
  part: Part | null
}

/**
 * Sends parts, several at a time, under numbers that the record reserves for this writer.
 *
 * Of what was sent, that counts which has arrived without a gap.
 */
export class Sender {
  readonly #store: Store
  readonly #entry: Entry
  readonly #options: SenderOptions
  /** Numbers from here on were free when this sender began; lower ones have been used. */
  readonly #firstFree: number
  #multipart: string | null
  /** The multipart upload that this sender began, as long as nobody knows that the record names it. */
  #unnamed: string | null = null
  /** The parts that the record names. Those in `#sent` follow. */
  #named: readonly Part[]
  #sent: Sending[] = []
  /** Reserved and not used yet, ascending. */
  #upcoming: number[] = []
  #next: number
  #size: number
  /** The size of the parts in the window that the record names; `null` if it names none. */
  #windowSize: number | null = null
  readonly #running = new Set<Promise<void>>()
  #failure: unknown = null

  constructor (store: Store, entry: Entry, options: SenderOptions) {
    const { record } = entry
    this.#store = store
    this.#entry = entry
    this.#options = options
    this.#firstFree = record.next
    this.#multipart = record.multipart
    this.#named = record.parts
    this.#next = record.next
    this.#size = chooseNextSize(Math.max(this.#chooseSize(), options.atLeast), record)
  }

  /** Of every part but the last of the upload, in bytes. */
  get size (): number {
    return this.#size
  }

  /** Where the parts that were sent end, in bytes. */
  get end (): number {
    return sum(this.#named) + sum(this.#sent)
  }

  /** Whether there is anything that the record does not say yet. */
  get hasSent (): boolean {
    return this.#sent.length > 0
  }

  /** Whether parts have arrived that the record could name and does not. */
  get hasNews (): boolean {
    return !this.#options.whole && this.#countArrived() > 0
  }

  /**
   * Sends a part. Resolves when the next may be handed over.
   *
   * @param memory in which its bytes are: it is given back when they have arrived
   * @throws what this or an earlier part failed with
   */
  async send (bytes: Uint8Array, memory: Buffer): Promise<void> {
    let number
    try {
      while (this.#failure === null && this.#running.size >= this.#store.options.concurrency) await Promise.race(this.#running)
      if (this.#failure !== null) throw this.#failure
      number = await this.#draw()
    } catch (error) {
      this.#store.budget.give(memory.length)
      throw error
    }
    const sending = { number, size: bytes.length, part: null }
    this.#sent.push(sending)
    this.#run(sending, bytes, memory)
    if (this.#upcoming.length === 0) this.#size = this.#chooseSize()
  }

  /** Waits until every part has arrived. @throws what one of them failed with */
  async drain (): Promise<void> {
    await this.settle()
    if (this.#failure !== null) throw this.#failure
  }

  /** Waits until every part has arrived or failed. */
  async settle (): Promise<void> {
    while (this.#running.size > 0) await Promise.all(this.#running)
  }

  /** What the record has to say while parts are on their way. */
  describe (): PartsChange {
    const arrived = this.#options.whole ? 0 : this.#countArrived()
    const numbers = [...this.#sent.slice(arrived).map(({ number }) => number), ...this.#upcoming]
    const window = this.#windowSize === null ? null : { numbers, size: this.#windowSize, whole: this.#options.whole }
    return { multipart: this.#multipart, parts: this.#nameParts(arrived), window, next: this.#next }
  }

  /**
   * What the record has to say when nothing is on its way any more.
   *
   * @param count `all` that has arrived without a gap, or `none`
   */
  describeEnd (count: 'all' | 'none'): PartsChange {
    const arrived = count === 'all' ? this.#countArrived() : 0
    const parts = this.#nameParts(arrived)
    // A number is sent once: what failed, or what does not count, lies there or may yet appear.
    const next = Math.max(this.#firstFree, (parts.at(-1)?.number ?? 0) + 1, ...this.#sent.map(({ number }) => number + 1))
    return { multipart: this.#multipart, parts, window: null, next }
  }

  /** The record names these parts now. */
  confirm ({ parts }: Pick<PartsChange, 'parts'>): void {
    this.#unnamed = null
    this.#sent = this.#sent.slice(parts.length - this.#named.length)
    this.#named = parts
  }

  /** For a writer that was overtaken: leaves no multipart upload behind that nobody else knows of. */
  async discard (): Promise<void> {
    if (this.#unnamed !== null) await abortUnnamed(this.#store, this.#entry, this.#unnamed).catch(() => {})
  }

  #nameParts (arrived: number): readonly Part[] {
    return arrived === 0 ? this.#named : [...this.#named, ...this.#sent.slice(0, arrived).map(({ part }) => part!)]
  }

  #countArrived (): number {
    const missing = this.#sent.findIndex(({ part }) => part === null)
    return missing === -1 ? this.#sent.length : missing
  }

  #run (sending: Sending, bytes: Uint8Array, memory: Buffer): void {
    const { bucket, budget } = this.#store
    const { key } = this.#entry.record
    const running: Promise<void> = budget.send(memory.length, () => bucket.uploadPart(key, this.#multipart!, sending.number, bytes)).then(
      part => {
        sending.part = part
        // Not after a failure: who knows what still reads it.
        budget.recycle(memory)
      },
      async error => {
        const reason = await this.#explain(error)
        this.#failure ??= reason
      }
    ).finally(() => { this.#running.delete(running) })
    this.#running.add(running)
  }

  /** Ceph closes the connection while a part is being sent for which there is no multipart upload: often its answer does not arrive. */
  async #explain (error: unknown): Promise<unknown> {
    const { key } = this.#entry.record
    const isLost = isMissing(error) || (getStatus(error) === null && await this.#store.bucket.listParts(key, this.#multipart!).catch(() => []) === null)
    return isLost ? new UploadLost('The multipart upload was aborted', { cause: error }) : error
  }

  async #draw (): Promise<number> {
    if (this.#multipart === null) await this.#begin()
    if (this.#upcoming.length === 0) await this.#reserve()
    return this.#upcoming.shift()!
  }

  async #begin (): Promise<void> {
    const { record } = this.#entry
    this.#unnamed = await this.#store.bucket.createMultipart(record.key, getObjectOptions(this.#store, record, createName()))
    this.#multipart = this.#unnamed
  }

  async #reserve (): Promise<void> {
    // One window has parts of one size.
    if (this.#windowSize !== null && this.#windowSize !== this.#size) await this.drain()
    this.#windowSize = this.#size
    const { length } = this.#entry.record.upload
    const needed = length === null ? Infinity : Math.max(1, Math.ceil((length - this.end) / this.#size))
    const count = chooseWindow(this.#next, needed)
    do this.#upcoming.push(this.#next++)
    while (this.#upcoming.length < count)
    if (this.#next > MOST_PARTS + 1) throw new UploadLost('There are no part numbers left')
    await this.#options.commit()
  }

  #chooseSize (): number {
    const { length } = this.#entry.record.upload
    return choosePartSize({ offset: this.end, length, next: this.#next, least: this.#store.options.partSize })
  }
}
