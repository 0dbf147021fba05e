import { OffsetConflict, UploadExists, UploadMissing } from '../../lib/storage.js'
import { isCreatedAt, isFull, type NewUpload, type Upload } from '../../lib/upload.js'
import type { Block, Blobs, Condition, Data } from './blobs.js'
import { isConflict, isInvalidList, isMissing, isUnclear, Superseded } from './failures.js'
import { createName, type Names } from './names.js'
import type { BlobOptions } from './options.js'
import { parseRecord, stringifyRecord, toUpload, type State, type UploadRecord } from './record.js'

/** An upload as this process knows it. */
export interface Entry {
  readonly id: string
  record: UploadRecord
  /** Of the record as it is stored. */
  recordEtag: string
  state: State
  /** Of the blob with the bytes. */
  etag: string
  /** In bytes. */
  offset: number
  /** `null`: nobody has asked yet. */
  blocks: readonly Block[] | null
}

/** What a writer changes of the bytes, and how it is sent. */
interface Writing {
  readonly state: Partial<Pick<State, 'length' | 'complete' | 'modifiedAt'>>
  readonly offset: number
  readonly blocks: readonly Block[] | null
  readonly send: (name: string, state: State, options: BlobOptions, condition: Condition) => Promise<string>
}

/**
 * The uploads, and what this process remembers of them.
 *
 * The blob of the bytes is written only over the one that was read: that is the commit, and the fence. Whoever was overtaken finds out at the next
 * write, and nothing of what it sent counts.
 */
export class Entries {
  /** Names this process among the writers. */
  readonly writer = createName()
  readonly #blobs: Blobs
  readonly #names: Names
  readonly #getOptions: (upload: NewUpload) => BlobOptions
  readonly #known = new Map<string, Entry>()

  constructor (blobs: Blobs, names: Names, getOptions: (upload: NewUpload) => BlobOptions) {
    this.#blobs = blobs
    this.#names = names
    this.#getOptions = getOptions
  }

  /** The blob of the bytes comes first: without it a record counts for nothing. @throws UploadExists */
  async create (upload: NewUpload): Promise<void> {
    const { id, length, createdAt } = upload
    const state: State = { mark: createName(), writer: this.writer, revision: createName(), length, complete: false, modifiedAt: createdAt }
    const etag = await this.#createData(upload, state)
    const record: UploadRecord = { upload, mark: state.mark, revision: createName(), finished: false, processed: false }
    try {
      this.remember({ id, record, recordEtag: await this.#createRecord(record), state, etag, offset: 0, blocks: [] })
    } catch (error) {
      // What stays if this fails, too, is invisible, and goes with `tidy`.
      await this.#blobs.delete(this.#names.data(id), etag).catch(() => {})
      throw error
    }
  }

  async #createData (upload: NewUpload, state: State): Promise<string> {
    const name = this.#names.data(upload.id)
    try {
      return await this.#blobs.putBytes(name, NOTHING, state, this.#getOptions(upload), { ifNoneMatch: '*' })
    } catch (error) {
      if (!isConflict(error) && !isUnclear(error)) throw error
      // The first try may have been carried out before its answer got lost.
      const found = await this.#blobs.look(name)
      if (found?.state.mark === state.mark) return found.etag
      throw isConflict(error) ? new UploadExists('There is an upload of that id', { cause: error }) : error
    }
  }

  /** A record that is there already is what is left of an upload whose bytes were removed. */
  async #createRecord (record: UploadRecord): Promise<string> {
    let condition: Condition = { ifNoneMatch: '*' }
    for (let attempt = 0; ; attempt++) {
      try {
        return await this.#putRecord(record, condition)
      } catch (error) {
        if (!isConflict(error) || attempt === MOST_ATTEMPTS) throw error
        const found = await this.#blobs.getText(this.#names.record(record.upload.id))
        condition = found === null ? { ifNoneMatch: '*' } : { ifMatch: found.etag }
      }
    }
  }

  /** What this process did last to an upload; `null` if it did nothing yet. Another process may have gone on. */
  peek (id: string): Entry | null {
    return this.#known.get(id) ?? null
  }

  /** The upload as it is now; `null` if there is none. */
  async load (id: string, listed?: Data): Promise<Entry | null> {
    const [data, found] = await Promise.all([listed ?? this.#blobs.look(this.#names.data(id)), this.#readRecord(id)])
    if (data === null || found === null || found.record.mark !== data.state.mark) return null
    const { state, etag, size } = data
    const known = this.#known.get(id)
    const blocks = size === 0 ? [] : known?.etag === etag ? known.blocks : null
    return { id, record: found.record, recordEtag: found.etag, state, etag, offset: size, blocks }
  }

  /** As {@link load}. @throws UploadMissing if there is none, or not the one that was created at that time */
  async loadMeant (id: string, createdAt: Date | undefined): Promise<Entry> {
    const entry = await this.load(id)
    if (entry === null || !isCreatedAt(entry.record.upload, createdAt)) throw new UploadMissing('There is no such upload')
    return entry
  }

  /** With its blocks, for who is going to append. @throws Superseded if the upload has changed since it was loaded */
  async getBlocks (entry: Entry): Promise<readonly Block[]> {
    entry.blocks ??= await this.#blobs.getBlocks(this.#names.data(entry.id), entry.etag)
    if (entry.blocks === null) throw this.#supersede(entry)
    return entry.blocks
  }

  /** Makes these blocks the bytes. @throws Superseded, UploadMissing: nothing of it counts then */
  async commitBlocks (entry: Entry, blocks: readonly Block[]): Promise<void> {
    const offset = blocks.reduce((sum, { size }) => sum + size, 0)
    const state = offset > entry.offset ? { modifiedAt: new Date() } : {}
    await this.#write(entry, { state, offset, blocks, send: (name, ...rest) => this.#blobs.commitBlocks(name, blocks, ...rest) })
  }

  /** Makes these the bytes of an upload that has none yet, and will have no others. @throws Superseded, UploadMissing */
  async commitWhole (entry: Entry, bytes: Uint8Array): Promise<void> {
    const state = { modifiedAt: new Date() }
    await this.#write(entry, { state, offset: bytes.length, blocks: null, send: (name, ...rest) => this.#blobs.putBytes(name, bytes, ...rest) })
  }

  /** Changes what is known of the bytes; with no change, it still keeps everybody else from committing. @throws Superseded, UploadMissing */
  async commitState (entry: Entry, state: Partial<Pick<State, 'length' | 'complete'>>): Promise<void> {
    const { offset, blocks } = entry
    await this.#write(entry, { state, offset, blocks, send: (...args) => this.#blobs.putState(...args) })
  }

  async #write (entry: Entry, { state: change, offset, blocks, send }: Writing): Promise<void> {
    const state = { ...entry.state, ...change, writer: this.writer, revision: createName() }
    const name = this.#names.data(entry.id)
    try {
      entry.etag = await send(name, state, this.#getOptions(entry.record.upload), { ifMatch: entry.etag })
    } catch (error) {
      entry.etag = await this.#explain(entry, state, error)
    }
    Object.assign(entry, { state, offset, blocks })
    this.remember(entry)
  }

  /** The ETag, if a write that has failed was carried out all the same. */
  async #explain (entry: Entry, { revision, mark }: State, error: unknown): Promise<string> {
    this.forget(entry.id)
    if (!isConflict(error) && !isUnclear(error) && !isMissing(error) && !isInvalidList(error)) throw error
    const found = await this.#blobs.look(this.#names.data(entry.id))
    if (found?.state.mark !== mark) throw new UploadMissing('The upload was removed', { cause: error })
    if (found.state.revision === revision) return found.etag
    // What no server carried out was no lost race.
    throw found.etag === entry.etag ? error : this.#supersede(entry, error)
  }

  #supersede ({ id }: Entry, cause?: unknown): Superseded {
    this.forget(id)
    return new Superseded(`Another process has gone on with upload ${id}`, { cause })
  }

  /**
   * Changes what has nothing to do with bytes, whoever the writer is. Resolves to `null` if there is no such upload.
   *
   * @param change sees the upload as it is, perhaps several times; `null` leaves it
   */
  async note (id: string, change: (upload: Upload, record: UploadRecord) => Partial<UploadRecord> | null): Promise<Entry | null> {
    for (let attempt = 0; ; attempt++) {
      const entry = await this.load(id)
      const changes = entry && change(describeUpload(entry), entry.record)
      if (entry === null || changes === null) return entry
      try {
        entry.record = { ...entry.record, ...changes, revision: createName() }
        entry.recordEtag = await this.#putRecord(entry.record, { ifMatch: entry.recordEtag })
        const known = this.#known.get(id)
        if (known) Object.assign(known, { record: entry.record, recordEtag: entry.recordEtag })
        return entry
      } catch (error) {
        if ((!isConflict(error) && !isMissing(error)) || attempt === MOST_ATTEMPTS) throw error
      }
    }
  }

  async #putRecord (record: UploadRecord, condition: Condition): Promise<string> {
    const { id } = record.upload
    try {
      return await this.#blobs.putText(this.#names.record(id), stringifyRecord(record), condition)
    } catch (error) {
      if (!isConflict(error) && !isUnclear(error)) throw error
      const found = await this.#readRecord(id)
      if (found?.record.revision === record.revision) return found.etag
      throw error
    }
  }

  async #readRecord (id: string): Promise<{ readonly record: UploadRecord, readonly etag: string } | null> {
    const found = await this.#blobs.getText(this.#names.record(id))
    const record = found && parseRecord(found.text)
    return record && { record, etag: found!.etag }
  }

  forget (id: string): void {
    this.#known.delete(id)
  }

  /** For the next append, as long as there is room. */
  remember (entry: Entry): void {
    this.#known.delete(entry.id)
    this.#known.set(entry.id, entry)
    let blocks = 0
    for (const known of this.#known.values()) blocks += known.blocks?.length ?? 0
    for (const [id, known] of this.#known) {
      if (this.#known.size <= MOST_ENTRIES && blocks <= MOST_BLOCKS) return
      this.#known.delete(id)
      blocks -= known.blocks?.length ?? 0
    }
  }

  close (): void {
    this.#known.clear()
  }
}

export function describeUpload ({ record, state, offset }: Entry): Upload {
  return toUpload(record, state, offset)
}

/** Whether nobody can add a byte any more. */
export function isClosed ({ state, offset }: Entry): boolean {
  return state.complete || isFull({ length: state.length, offset })
}

/** For who was superseded in an append: where the upload is now. */
export async function throwConflict (entries: Entries, id: string, createdAt: Date | undefined, cause: unknown): Promise<never> {
  const found = await entries.load(id)
  if (found === null || !isCreatedAt(found.record.upload, createdAt)) throw new UploadMissing('The upload was removed', { cause })
  throw new OffsetConflict(found.offset)
}

const NOTHING = Buffer.alloc(0)
const MOST_ATTEMPTS = 10
const MOST_ENTRIES = 1000
/** Remembered in all: about 30 MB. */
const MOST_BLOCKS = 200_000
