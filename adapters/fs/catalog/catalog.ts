import { setImmediate } from 'node:timers/promises'
import type { ListHint } from '../../../lib/storage.js'
import type { Upload } from '../../../lib/upload.js'
import { list as listFiles } from '../read.js'
import type { BareStore } from '../store.js'
import { Database, isBroken, isSqlite } from './database.js'
import { Ingest } from './ingest.js'
import { getNewsPath } from './news.js'
import { Looker } from './look.js'
import { scan } from './scan.js'
import { readRows, selectNumbers } from './select.js'
import { Times } from './times.js'

/**
 * An index of the uploads in a directory, which tells which of them are worth a look. The files decide what an upload is; the index may be removed
 * at any time, and is made anew.
 */
export class Catalog {
  readonly #store: BareStore
  readonly #database: Database
  readonly #ingest: Ingest
  readonly #times: Times
  readonly #openedAt = Date.now()
  #preparing: Promise<void> | null = null
  #warned = false

  /** @param directory where the index is kept */
  constructor (store: BareStore, directory: string) {
    this.#store = store
    this.#database = new Database(directory)
    this.#ingest = new Ingest(this.#database, getNewsPath(directory))
    this.#times = new Times(this.#database)
  }

  /**
   * What `list` of the contract promises. Where there can't be an index, because the device is full or read-only, or where it can't be told the news
   * of this process, from the files alone.
   */
  async * list (hint?: ListHint): AsyncGenerator<Upload> {
    const numbers = await this.#store.news?.flush() === false ? this.#warn(new Error('what is new can not be written')) : await this.#select(hint)
    if (numbers === null) return yield * listFiles(this.#store)
    const looker = new Looker(this.#store, this.#database)
    const failures: unknown[] = []
    try {
      for (let start = 0; start < numbers.length; start += AT_ONCE) {
        for (const row of readRows(this.#database, numbers.slice(start, start + AT_ONCE))) {
          const upload = await looker.look(row).catch(error => { rethrowSqlite(error, failures) })
          if (upload) yield upload
        }
        await setImmediate()
      }
      await looker.flush()
    } catch (error) {
      // The next list begins anew, with another file where this one is broken.
      if (isBroken(error)) this.#database.reset()
      throw error
    }
    if (failures.length > 0) throw new AggregateError(failures, `${failures.length} uploads can not be read`)
  }

  /** Whether nobody has looked for remains for an hour. Who asks is to do it. */
  async takeTidying (): Promise<boolean> {
    try {
      return await this.#times.take('tidy', HOUR)
    } catch {
      return true
    }
  }

  close (): void {
    this.#database.close()
  }

  /** `null` where there can't be an index. */
  async #select (hint: ListHint | undefined): Promise<number[] | null> {
    try {
      await this.#prepare()
      return await selectNumbers(this.#database, hint)
    } catch (error) {
      return isBroken(error) ? this.#selectAnew(hint) : this.#warn(error)
    }
  }

  async #selectAnew (hint: ListHint | undefined): Promise<number[] | null> {
    try {
      this.#database.reset()
      await this.#prepare()
      return await selectNumbers(this.#database, hint)
    } catch (error) {
      return this.#warn(error)
    }
  }

  #warn (error: unknown): null {
    const text = `The index of ${this.#store.paths.directory} can not be used: ${(error as Error).message}`
    if (!this.#warned) process.emitWarning(text, { code: 'TUS_WARN_INDEX' })
    this.#warned = true
    this.#database.close()
    return null
  }

  /** Brings the index up to date. Who comes while another does that has to take in what was noted since. */
  async #prepare (): Promise<void> {
    await this.#database.open()
    this.#preparing ??= this.#compare().finally(() => { this.#preparing = null })
    await this.#preparing
    await this.#ingest.run()
  }

  async #compare (): Promise<void> {
    if (this.#times.get('created') === null) {
      await this.#ingest.skip()
      await this.#times.set('created', Date.now())
    }
    await this.#ingest.run()
    const scannedAt = this.#times.get('scan')
    if (!this.#isScanDue(scannedAt, Date.now())) return
    const startedAt = Date.now()
    await this.#ingest.rotate()
    await scan(this.#store, this.#database, scannedAt)
    await this.#times.set('scan', startedAt)
  }

  /** At the first use in this process, for what happened before; then now and then; and behind a new beginning, which others may not have noticed at once. */
  #isScanDue (scannedAt: number | null, now: number): boolean {
    if (scannedAt === null || scannedAt < this.#openedAt || scannedAt > now || now - scannedAt > HOUR) return true
    const settledAt = this.#times.get('created')! + SETTLING
    return scannedAt < settledAt && now >= settledAt
  }
}

/** What is wrong with an upload keeps nobody from the others; what is wrong with the index does. */
function rethrowSqlite (error: unknown, failures: unknown[]): null {
  if (isSqlite(error)) throw error
  failures.push(error)
  return null
}

/** Rows before other requests get their turn. */
const AT_ONCE = 128
const HOUR = 3_600_000
/** How long others may write to a journal that was removed, in ms, with a margin. */
const SETTLING = 3_000
