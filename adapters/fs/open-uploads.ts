import type { Stats } from 'node:fs'
import type { Upload } from '../../lib/upload.js'
import { Descriptors } from './descriptors.js'
import type { Directory } from './directory.js'
import { ignore, nullIfMissing } from './failure.js'
import type { Files } from './files.js'
import { Memory } from './memory.js'
import { createEntry, getEnd, getStamp, hasStamp, type OpenUpload, type Stamp } from './open-upload.js'
import type { Paths } from './paths.js'
import { parseRecord, RECORD_START, toUpload, type UploadRecord } from './record.js'
import type { Turn } from './turn.js'

/**
 * The uploads that are in use, so that a client that sends piece after piece does not pay for opening the file each time.
 *
 * Nothing is believed without asking the file system: another process may have changed or removed an upload.
 */
export class OpenUploads {
  readonly #files: Files
  readonly #paths: Paths
  readonly #directory: Directory
  readonly #turn: Turn
  readonly #descriptors: Descriptors
  readonly #entries = new Map<string, OpenUpload>()
  readonly #memory = new Memory()
  #timer: NodeJS.Timeout | null = null

  constructor (files: Files, paths: Paths, directory: Directory, turn: Turn) {
    this.#files = files
    this.#paths = paths
    this.#directory = directory
    this.#turn = turn
    this.#descriptors = new Descriptors(files, paths)
    files.onExhausted = () => this.#closeUnused(Infinity)
  }

  /**
   * The upload as it is now; `null` if there is none. What lies in the file is made durable before it is counted: another
   * process may have died after writing and before syncing. Where a cut is due and can't be made, what was durable before is told: see {@link cut}.
   *
   * @throws StorageUnavailable if the whole directory is missing, and not this upload alone
   */
  async load (id: string): Promise<OpenUpload | null> {
    const entry = await this.#loadIfThere(id)
    if (entry === null) await this.#directory.check()
    return entry
  }

  async #loadIfThere (id: string): Promise<OpenUpload | null> {
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
    const entry = recordStat && (this.#getKnown(id, recordStat) ?? await this.#get(id, getStamp(recordStat)))
    if (!entry) return this.#forget(id)
    // Asked before: somebody else who looks at it closes it, too.
    const wasOpen = entry.file !== null
    const dataStat = await this.#statData(entry)
    // A file that was open and has no name any more: there may be a new one in its place.
    if (!dataStat) return wasOpen ? this.#reload(entry) : this.#forget(id)
    if (entry.appending) return entry
    if (entry.cutAt !== null && entry.cutAt.writtenAt !== null && entry.cutAt.writtenAt !== dataStat.mtimeMs) entry.cutAt = null
    if (entry.cutAt !== null) await this.cut(entry).catch(ignore)
    else if (entry.durable !== getEnd(entry.record, dataStat)) await this.#settle(entry, dataStat)
    return entry
  }

  /** What is known of an upload without asking: right only for what its holder did last. */
  peek (id: string): OpenUpload | null {
    return this.#entries.get(id) ?? null
  }

  /**
   * The caller holds the lock of the upload, and has just loaded or created it: in this turn of the event loop nobody can have changed it
   * behind the back of {@link getVouched}.
   */
  vouch (entry: OpenUpload): void {
    entry.vouchedIn = this.#turn.current
  }

  /** Once, what the holder of the lock has just looked at; `null` if that is not certain. */
  getVouched (id: string): OpenUpload | null {
    const entry = this.#entries.get(id)
    if (entry === undefined || entry.vouchedIn !== this.#turn.current) return null
    entry.vouchedIn = -1
    return entry
  }

  /** As {@link load}, in the words of the contract. */
  async find (id: string): Promise<Upload | null> {
    const entry = await this.load(id)
    return entry && toUpload(entry.record, entry.durable, entry.modifiedAt)
  }

  /**
   * As {@link find}, for one who looks at upload after upload: none is opened or kept for that, nor synced, so an offset may count bytes that are
   * not yet durable.
   */
  async glance (id: string): Promise<Upload | null> {
    if (this.#entries.has(id)) return this.find(id)
    const record = await this.#readRecord(id)
    const stat = record && await this.#files.stat(this.#paths.data(id))
    if (stat) return toUpload(record, getEnd(record, stat), stat.mtime)
    await this.#directory.check()
    return null
  }

  /**
   * Takes in an upload that was just created, the stamp of its record, and the descriptor of its bytes.
   *
   * @param isNamed see {@link OpenUpload}
   */
  add (record: UploadRecord, stamp: Stamp, fd: number, isNamed: boolean): void {
    // Of one that was removed by another process.
    this.drop(record.upload.id)?.catch(ignore)
    this.vouch(this.#put({ ...createEntry(record, stamp, fd), isNamed }))
  }

  /** Cuts off what must not be counted, if such a cut is due: before anything is written. */
  async cut (entry: OpenUpload): Promise<void> {
    const { cutAt } = entry
    if (cutAt === null) return
    await this.use(entry, fd => this.#files.truncate(fd, cutAt.length))
    entry.cutAt = null
    entry.durable = cutAt.length
  }

  /** Runs `work` with a descriptor of the bytes, open for reading and writing. */
  use<Result> (entry: OpenUpload, work: (fd: number) => Result | Promise<Result>): Promise<Result> {
    return this.#descriptors.use(entry, work)
  }

  /** Forgets an upload and closes its file, at once or when its last user is done. */
  drop (id: string): Promise<void> | void {
    const entry = this.#entries.get(id)
    if (!entry) return
    this.#entries.delete(id)
    // Without syncs, the length of the file tells as much.
    if (this.#files.durability === 'fsync') this.#memory.add(entry)
    entry.dropped = true
    if (entry.users === 0) return this.#descriptors.close(entry)
  }

  async close (): Promise<void> {
    if (this.#timer) clearInterval(this.#timer)
    this.#timer = null
    for (const id of [...this.#entries.keys()]) await this.drop(id)
  }

  async #reload (entry: OpenUpload): Promise<OpenUpload | null> {
    const { id } = entry
    if (this.#entries.get(id) === entry) {
      await this.drop(id)
      // It was of the file that has no name any more.
      this.#memory.forget(id)
    }
    return this.load(id)
  }

  #getKnown (id: string, recordStat: Stats): OpenUpload | null {
    const known = this.#entries.get(id)
    return known && hasStamp(recordStat, known.stamp) ? known : null
  }

  async #get (id: string, stamp: Stamp): Promise<OpenUpload | null> {
    const known = this.#entries.get(id)
    // What is known of a file that is not open need not be true of this one: the upload may have been removed, and created anew.
    if (known && known.file === null && known.users === 0 && known.cutAt === null) await this.drop(id)
    const before = this.#entries.get(id)?.stamp
    const record = await this.#readRecord(id)
    if (record === null) return null
    // Replaced in the meantime: what was read must not take the place of what its holder has just written.
    const present = this.#entries.get(id)
    if (present !== undefined && present.stamp !== before) return this.#load(id)
    // Another call may have read it in the meantime: one entry per upload, or a descriptor would be lost.
    const current = present ?? this.#put(this.#memory.recall(createEntry(record, stamp, null)))
    current.record = record
    current.stamp = stamp
    return current
  }

  /** `null` if the file is gone. An open one tells by having no name any more. */
  async #statData (entry: OpenUpload): Promise<Stats | null> {
    if (entry.file === null) return this.#files.stat(this.#paths.data(entry.id))
    // In use, so that nobody closes it meanwhile: its number might be another file's by then.
    const stat = await this.use(entry, fd => this.#files.statOpen(fd))
    return stat.nlink > 0 ? stat : null
  }

  async #readRecord (id: string): Promise<UploadRecord | null> {
    const text = await this.#files.readText(this.#paths.record(id), RECORD_START)
    return text === null ? null : parseRecord(id, text)
  }

  #put (entry: OpenUpload): OpenUpload {
    this.#entries.set(entry.id, entry)
    if (this.#entries.size > MOST_OPEN) this.#evict()
    this.#timer ??= setInterval(() => { this.#closeUnused(Date.now() - IDLE).catch(ignore) }, IDLE / 2).unref()
    return entry
  }

  async #settle (entry: OpenUpload, stat: Stats): Promise<void> {
    // A mark is only set on bytes that were synced before.
    if (this.#files.durability === 'fsync' && !entry.record.marked) await this.#makeDurable(entry)
    entry.durable = getEnd(entry.record, stat)
    entry.modifiedAt = stat.mtime
  }

  async #makeDurable (entry: OpenUpload): Promise<void> {
    await this.#descriptors.sync(entry)
    // Its name, too, and the record that counts these bytes.
    await this.#directory.sync()
    entry.isNamed = true
  }

  async #forget (id: string): Promise<null> {
    await this.drop(id)
    return null
  }

  #evict (): void {
    for (const [id, entry] of this.#entries) {
      if (!isUnused(entry)) continue
      this.drop(id)?.catch(ignore)
      return
    }
  }

  /** Closes the files that nobody has used since `limit`. What is known of the uploads stays. */
  async #closeUnused (limit: number): Promise<boolean> {
    const unused = [...this.#entries.values()].filter(({ file, users, usedAt }) => file !== null && users === 0 && usedAt < limit)
    await Promise.all(unused.map(entry => this.#descriptors.close(entry)))
    return unused.length > 0
  }
}

function isUnused ({ users, appending, cutAt }: OpenUpload): boolean {
  return users === 0 && !appending && cutAt === null
}

const MOST_OPEN = 256
/** How long an upload that nobody uses stays open, in ms. */
const IDLE = 20_000
