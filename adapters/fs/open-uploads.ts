import type { Stats } from 'node:fs'
import type { Upload } from '../../lib/upload.js'
import { nullIfMissing, type Files } from './files.js'
import type { Paths } from './paths.js'
import { parseRecord, toUpload, type UploadRecord } from './record.js'

/** What this process knows of one upload, and the descriptor that it keeps open on the bytes. */
export interface OpenUpload {
  readonly id: string
  record: UploadRecord
  /** Tells whether the record has been replaced since, by this or by another process. */
  stamp: string
  /** Bytes known to be durable. */
  durable: number
  modifiedAt: Date
  /** Bytes are being appended: what the file has beyond `durable` does not count yet. */
  appending: boolean
  /** Where the file has to be cut before anything of it is counted: a cut that failed when it was due. */
  cutAt: number | null
  /** Opened when first needed. */
  file: Promise<number> | null
  users: number
  dropped: boolean
  usedAt: number
}

/**
 * The uploads that are in use, so that a client that sends piece after piece does not pay for opening the file each time.
 *
 * Nothing is believed without asking the file system: another process may have changed or removed an upload.
 */
export class OpenUploads {
  readonly #files: Files
  readonly #paths: Paths
  readonly #entries = new Map<string, OpenUpload>()
  #timer: NodeJS.Timeout | null = null

  constructor (files: Files, paths: Paths) {
    this.#files = files
    this.#paths = paths
  }

  /**
   * The upload as it is now; `null` if there is none. What lies in the file is made durable before it is counted: another
   * process may have died after writing and before syncing.
   */
  async load (id: string): Promise<OpenUpload | null> {
    try {
      return await this.#load(id)
    } catch (error) {
      // Removed between two looks.
      nullIfMissing(error)
      return this.#forget(id)
    }
  }

  async #load (id: string): Promise<OpenUpload | null> {
    const recordStat = await this.#files.stat(this.#paths.record(id))
    const entry = recordStat && await this.#get(id, getStamp(recordStat))
    const dataStat = entry && await this.#statData(entry)
    if (!entry) return this.#forget(id)
    // A file that was open and has no name any more: there may be a new one in its place.
    if (!dataStat) return entry.file === null ? this.#forget(id) : this.#reload(id)
    if (entry.appending) return entry
    if (entry.cutAt !== null) await this.#cut(entry, entry.cutAt)
    else if (entry.durable !== getEnd(entry, dataStat)) await this.#settle(entry, dataStat)
    return entry
  }

  /** What is known of an upload without asking: right only for what its holder did last. */
  peek (id: string): OpenUpload | null {
    return this.#entries.get(id) ?? null
  }

  /** As {@link load}, in the words of the contract. */
  async find (id: string): Promise<Upload | null> {
    const entry = await this.load(id)
    return entry && toUpload(entry.record, entry.durable, entry.modifiedAt)
  }

  /** Takes in an upload that was just created, the stamp of its record, and the descriptor of its bytes. */
  async add (record: UploadRecord, stamp: string, fd: number): Promise<void> {
    await this.drop(record.upload.id)
    this.#put(createEntry(record, stamp, fd))
  }

  /** Runs `work` with a descriptor of the bytes, open for reading and writing. */
  async use<Result> (entry: OpenUpload, work: (fd: number) => Promise<Result>): Promise<Result> {
    entry.users++
    try {
      return await work(await this.#openFile(entry))
    } finally {
      entry.users--
      entry.usedAt = Date.now()
      await this.#closeIfDropped(entry)
    }
  }

  /** Forgets an upload and closes its file, at once or when its last user is done. */
  async drop (id: string): Promise<void> {
    const entry = this.#entries.get(id)
    if (!entry) return
    this.#entries.delete(id)
    entry.dropped = true
    await this.#closeIfDropped(entry)
  }

  async close (): Promise<void> {
    if (this.#timer) clearInterval(this.#timer)
    this.#timer = null
    for (const id of [...this.#entries.keys()]) await this.drop(id)
  }

  async #reload (id: string): Promise<OpenUpload | null> {
    await this.drop(id)
    return this.load(id)
  }

  async #get (id: string, stamp: string): Promise<OpenUpload | null> {
    const known = this.#entries.get(id)
    if (known?.stamp === stamp) return known
    const record = await this.#readRecord(id)
    if (record === null) return null
    // Another call may have read it in the meantime: one entry per upload, or a descriptor would be lost.
    const current = this.#entries.get(id) ?? this.#put(createEntry(record, stamp, null))
    current.record = record
    current.stamp = stamp
    return current
  }

  /** `null` if the file is gone. An open one tells by having no name any more. */
  async #statData (entry: OpenUpload): Promise<Stats | null> {
    if (entry.file === null) return this.#files.stat(this.#paths.data(entry.id))
    // In use, so that nobody closes it meanwhile: its number might be another file's by then.
    const stat = await this.use(entry, async fd => this.#files.statOpen(fd))
    return stat.nlink > 0 ? stat : null
  }

  async #readRecord (id: string): Promise<UploadRecord | null> {
    const text = await this.#files.readText(this.#paths.record(id))
    return text === null ? null : parseRecord(id, text)
  }

  #put (entry: OpenUpload): OpenUpload {
    this.#entries.set(entry.id, entry)
    if (this.#entries.size > MOST_OPEN) this.#evict()
    this.#timer ??= setInterval(() => this.#closeIdle(), IDLE / 2).unref()
    return entry
  }

  async #settle (entry: OpenUpload, stat: Stats): Promise<void> {
    // A mark is only set on bytes that were synced before.
    if (this.#files.durability === 'fsync' && !entry.record.marked) await this.use(entry, async fd => this.#files.sync(fd))
    entry.durable = getEnd(entry, stat)
    entry.modifiedAt = stat.mtime
  }

  async #cut (entry: OpenUpload, length: number): Promise<void> {
    await this.use(entry, async fd => this.#files.truncate(fd, length))
    entry.cutAt = null
    entry.durable = length
  }

  async #openFile (entry: OpenUpload): Promise<number> {
    entry.file ??= Promise.resolve(this.#files.open(this.#paths.data(entry.id)))
    try {
      return await entry.file
    } catch (error) {
      entry.file = null
      throw error
    }
  }

  async #closeIfDropped (entry: OpenUpload): Promise<void> {
    if (!entry.dropped || entry.users > 0 || entry.file === null) return
    const { file } = entry
    entry.file = null
    await this.#files.close(await file)
  }

  async #forget (id: string): Promise<null> {
    await this.drop(id)
    return null
  }

  #evict (): void {
    for (const [id, entry] of this.#entries) {
      if (entry.users > 0 || entry.appending || entry.cutAt !== null) continue
      this.drop(id).catch(ignore)
      return
    }
  }

  #closeIdle (): void {
    const limit = Date.now() - IDLE
    for (const [id, { users, usedAt, appending, cutAt }] of this.#entries) {
      if (users === 0 && !appending && cutAt === null && usedAt < limit) this.drop(id).catch(ignore)
    }
  }
}

function createEntry (record: UploadRecord, stamp: string, fd: number | null): OpenUpload {
  return {
    id: record.upload.id,
    record,
    stamp,
    durable: 0,
    modifiedAt: record.upload.createdAt,
    appending: false,
    cutAt: null,
    file: fd === null ? null : Promise.resolve(fd),
    users: 0,
    dropped: false,
    usedAt: Date.now()
  }
}

/** Behind the last byte of the file that counts. */
function getEnd ({ record }: OpenUpload, { size }: Stats): number {
  return record.hold === null ? size : Math.min(size, record.hold)
}

/** What distinguishes a file from the one that a rename puts in its place. */
export function getStamp ({ ino, mtimeMs, size }: Stats): string {
  return `${ino} ${mtimeMs} ${size}`
}

// A descriptor that can't be closed is lost; nothing depends on it any more.
function ignore (): void {}

const MOST_OPEN = 256
/** How long an upload that nobody uses stays open, in ms. */
const IDLE = 20_000
