import { StorageUnavailable, UploadExists, UploadMissing } from '../../lib/storage.js'
import type { NewUpload } from '../../lib/upload.js'
import type { S3Bucket } from './bucket.js'
import type { Holder, MemoryBudget } from './budget.js'
import { isConflict, isMissing, isUnclear, Superseded } from './failures.js'
import { createName, type Keys } from './keys.js'
import { createRecord, parseRecord, stringifyRecord, type UploadRecord } from './record.js'
import { Region } from './region.js'

/** An upload as this process knows it. */
export interface Entry {
  readonly id: string
  record: UploadRecord
  /** Of the record as it is stored. */
  etag: string
  /** The bytes behind the last part, as long as they are in memory and nobody appends; `null` otherwise. */
  parked: ParkedRegion | null
}

/** What a writer changes; `null` if it changes nothing. */
export type Change = Partial<Omit<UploadRecord, 'upload' | 'mark' | 'writer' | 'epoch' | 'revision'>>

/**
 * The records, and what this process remembers of them.
 *
 * A record is written only over the one that was read: that is the commit, and the fence. Whoever was overtaken finds out at the next write, and
 * nothing of what it sent counts.
 */
export class Records {
  /** Names this process among the writers. */
  readonly writer = createName()
  readonly #bucket: S3Bucket
  readonly #keys: Keys
  readonly #budget: MemoryBudget
  readonly #entries = new Map<string, Entry>()

  constructor (bucket: S3Bucket, keys: Keys, budget: MemoryBudget) {
    this.#bucket = bucket
    this.#keys = keys
    this.#budget = budget
  }

  /** @throws UploadExists */
  async create (upload: NewUpload, first: Change = {}): Promise<Entry> {
    const { writer } = this
    const record = { ...createRecord(upload, this.#keys.data(upload), { mark: createName(), writer, revision: createName() }), ...first }
    const etag = await this.#write(upload.id, record, { ifNoneMatch: '*' }).catch(async error => {
      const found = isConflict(error) || isUnclear(error) ? await this.#read(upload.id) : null
      // The first try may have been carried out before its answer got lost.
      if (found?.record.revision === record.revision) return found.etag
      if (found || isConflict(error)) throw new UploadExists('There is an upload of that id', { cause: error })
      throw error
    })
    return this.#put({ id: upload.id, record, etag, parked: null })
  }

  /** What this process did last to an upload; `null` if it did nothing yet. Another process may have gone on. */
  peek (id: string): Entry | null {
    return this.#entries.get(id) ?? null
  }

  /** The upload as it is now; `null` if there is none. */
  async load (id: string): Promise<Entry | null> {
    const entry = await this.loadWithRemoved(id)
    return entry === null || entry.record.removed ? null : entry
  }

  /** As {@link load}, but one whose removal was begun is found, too. */
  async loadWithRemoved (id: string): Promise<Entry | null> {
    const known = this.#entries.get(id)
    const found = await this.#bucket.get(this.#keys.record(id), known?.etag)
    if (found === 'unchanged') return known!
    const record = found && parseRecord(Buffer.from(found.bytes).toString())
    if (!record) {
      this.forget(id)
      return null
    }
    return this.#see(id, record, found!.etag)
  }

  /** As {@link load}, for a record that was listed with that ETag: one that has not changed is not read again. */
  async loadListed (id: string, etag: string): Promise<Entry | null> {
    const known = this.#entries.get(id)
    return known?.etag === etag ? known : this.load(id)
  }

  /**
   * Writes what a writer has done. Resolves when it counts.
   *
   * @param writing a `new` epoch fences off every other writer, also where this process was the last to write
   * @throws Superseded if another process has written, and UploadMissing if the upload is gone: nothing of it counts then
   */
  async commit (entry: Entry, change: Change, writing: 'on' | 'new' = 'on'): Promise<void> {
    const { writer } = this
    for (let attempt = 0; attempt < MOST_ATTEMPTS; attempt++) {
      const before = entry.record
      const epoch = before.writer === writer && writing === 'on' ? before.epoch : before.epoch + 1
      const record = { ...before, ...change, writer, epoch, revision: createName() }
      const found = await this.#replace(entry, record)
      if (found === null) return
      // Somebody noted something else in the meantime, and the bytes are as this writer knows them: it tries again.
      if (!hasSameBytes(found.record, before)) throw this.#supersede(entry, found)
      entry.record = found.record
      entry.etag = found.etag
    }
    throw new StorageUnavailable('The record of an upload changed too often')
  }

  /**
   * Changes what has nothing to do with bytes, whoever the writer is.
   *
   * @param change sees the record as it is, perhaps several times; `null` leaves it
   */
  async note (entry: Entry, change: (record: UploadRecord) => Partial<UploadRecord> | null): Promise<Entry> {
    for (let attempt = 0; attempt < MOST_ATTEMPTS; attempt++) {
      const changes = change(entry.record)
      if (changes === null) return entry
      const found = await this.#replace(entry, { ...entry.record, ...changes, revision: createName() })
      if (found === null) return entry
      if (found.record.removed) throw new UploadMissing('The upload was removed')
      entry = this.#see(entry.id, found.record, found.etag)
    }
    throw new StorageUnavailable('The record of an upload changed too often')
  }

  async delete (id: string): Promise<void> {
    await this.#bucket.delete([this.#keys.record(id)])
    this.forget(id)
  }

  forget (id: string): void {
    const entry = this.#entries.get(id)
    if (!entry) return
    this.#entries.delete(id)
    this.#unpark(entry)
  }

  /** Keeps bytes in memory for the next append, as long as there is room. */
  park (entry: Entry, region: Region): void {
    // Somebody may have looked at the upload in between, and seen an earlier version of it.
    if (this.#entries.get(entry.id) !== entry) {
      this.forget(entry.id)
      this.#put(entry)
    }
    entry.parked = { region, reclaimable: region.held, touchedAt: 0, reclaim: () => this.#unpark(entry) }
    this.#budget.add(entry.parked)
  }

  /** The bytes behind the last part of an upload, as far as they are in memory. They are the caller's. */
  unpark (entry: Entry): Region {
    const { parked } = entry
    entry.parked = null
    if (parked === null) return new Region(this.#budget, entry.record.pieces)
    this.#budget.remove(parked)
    return parked.region
  }

  #unpark (entry: Entry): void {
    if (entry.parked !== null) this.unpark(entry).clear()
  }

  close (): void {
    for (const id of [...this.#entries.keys()]) this.forget(id)
  }

  /** `null` if it was written; otherwise what is there instead. */
  async #replace (entry: Entry, record: UploadRecord): Promise<Stored | null> {
    try {
      entry.etag = await this.#write(entry.id, record, { ifMatch: entry.etag })
    } catch (error) {
      if (!isConflict(error) && !isUnclear(error) && !isMissing(error)) throw error
      const found = await this.#read(entry.id)
      if (found === null) {
        this.forget(entry.id)
        throw new UploadMissing('The upload was removed', { cause: error })
      }
      if (found.record.revision !== record.revision) {
        // What no server carried out was no lost race.
        if (found.etag === entry.etag && !isConflict(error)) throw error
        return found
      }
      entry.etag = found.etag
    }
    entry.record = record
    return null
  }

  #supersede (entry: Entry, found: Stored): Superseded {
    this.forget(entry.id)
    return new Superseded(`Another process has gone on with upload ${entry.id}: epoch ${found.record.epoch}, where this one was in ${entry.record.epoch}`)
  }

  async #read (id: string): Promise<Stored | null> {
    const found = await this.#bucket.get(this.#keys.record(id))
    if (found === null || found === 'unchanged') return null
    const record = parseRecord(Buffer.from(found.bytes).toString())
    return record && { record, etag: found.etag }
  }

  #write (id: string, record: UploadRecord, condition: Parameters<S3Bucket['put']>[2]): Promise<string> {
    return this.#bucket.put(this.#keys.record(id), stringifyRecord(record), condition, { ContentType: 'application/json' })
  }

  /**
   * Where somebody else has gone on with the bytes, that is another entry: a writer of this process that works with the old one must not be brought up to
   * date, or it would write over what it has not seen.
   */
  #see (id: string, record: UploadRecord, etag: string): Entry {
    const known = this.#entries.get(id)
    if (!known || !hasSameBytes(known.record, record)) {
      this.forget(id)
      return this.#put({ id, record, etag, parked: null })
    }
    known.record = record
    known.etag = etag
    return known
  }

  #put (entry: Entry): Entry {
    this.#entries.delete(entry.id)
    this.#entries.set(entry.id, entry)
    if (this.#entries.size > MOST_ENTRIES) this.forget(this.#entries.keys().next().value!)
    return entry
  }
}

interface Stored {
  readonly record: UploadRecord
  readonly etag: string
}

/** Bytes in memory that nobody works with. */
interface ParkedRegion extends Holder {
  readonly region: Region
}

/** Whether nobody has written bytes, or begun to, or said how many there will be, between two versions of a record. */
function hasSameBytes (one: UploadRecord, other: UploadRecord): boolean {
  return one.mark === other.mark && one.epoch === other.epoch && one.removed === other.removed && one.upload.length === other.upload.length &&
    describeBytes(one) === describeBytes(other)
}

function describeBytes ({ multipart, parts, next, pieces, window, object }: UploadRecord): string {
  return JSON.stringify([multipart, parts.length, next, pieces, window, object])
}

const MOST_ATTEMPTS = 10
const MOST_ENTRIES = 2000
