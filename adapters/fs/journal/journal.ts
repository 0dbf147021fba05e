import { Directory } from '../directory.js'
import { ignore } from '../failure.js'
import type { Turn } from '../turn.js'
import type { Entry } from './entries.js'
import { JournalDoubtful } from './journal-doubtful.js'
import { Log } from './log.js'
import type { Place } from './place.js'
import { settle, withJournal } from './settle.js'

/**
 * One sync for all that small uploads wait for at the same time.
 *
 * Records and small bodies are written to their files as ever, so that every process sees them at once; instead of syncing each file, an entry
 * with the same content is appended to a log, and one sync makes durable what gathered meanwhile. From time to time one sync of the whole file
 * system makes the files durable themselves, behind the requests, and the log is removed: see `settle`. Only a failure of the machine needs the log:
 * `replay` then writes again what the files have lost.
 */
export class Journal {
  readonly #place: Place
  readonly #directory: Directory
  readonly #settings: JournalSettings
  #queue: Waiting[] = []
  #writing: Promise<void> | null = null
  #log: Log | null = null
  /** Nothing is added to these any more; they could not be settled yet. */
  #ended: Log[] = []
  /** It may tell what was never acknowledged. */
  #doubtful: Log | null = null
  #cutting: Promise<void> | null = null
  /** To be done while nothing is being appended. */
  #pauses: Array<() => void> = []
  #timer: NodeJS.Timeout | null = null
  #settling: Promise<void> | null = null
  #restsUntil = 0

  /** The folder is there. */
  constructor (place: Place, turn: Turn, settings: JournalSettings) {
    this.#place = place
    this.#settings = settings
    this.#directory = new Directory(place.paths.journal, place.files, turn)
  }

  open (): Promise<void> {
    return this.#directory.open()
  }

  /**
   * Makes an entry durable, whose content is in its file already. Resolves to false if the file is to be synced itself behind {@link check}: the
   * log has failed, or is full and can't be settled.
   *
   * @throws JournalDoubtful
   */
  commit (entry: Entry): Promise<boolean> {
    return new Promise((resolve, reject) => {
      this.#queue.push({ entry, resolve, reject })
      this.#writing ??= this.#write().finally(() => { this.#writing = null })
    })
  }

  /**
   * To be called before anything is acknowledged that no entry tells of: a log must not tell other bytes after a power failure.
   *
   * @throws JournalDoubtful
   */
  async check (): Promise<void> {
    if (this.#doubtful === null) return
    // One at a time: behind the first one the log may be closed.
    this.#cutting ??= this.#cut(this.#doubtful).finally(() => { this.#cutting = null })
    return this.#cutting
  }

  async #cut (log: Log): Promise<void> {
    await cut(log)
    this.#doubtful = null
    this.#end(log)
  }

  /** Ends all logs of this process: what they tell is durable in the files then. One call serves everybody who comes meanwhile. */
  settle (): Promise<void> {
    this.#settling ??= this.#settle().finally(() => { this.#settling = null })
    return this.#settling
  }

  /** What can't be settled is told by its logs to whoever opens the directory next. */
  async close (): Promise<void> {
    await this.#settling?.catch(ignore)
    await this.settle().catch(ignore)
    if (this.#timer !== null) clearTimeout(this.#timer)
    for (const log of [...this.#ended, this.#doubtful]) await log?.close()
    await this.#directory.close()
    this.#settings.owner.release()
  }

  async #write (): Promise<void> {
    // Whoever comes in the same turn of the event loop comes along.
    await new Promise(resolve => { setImmediate(resolve) })
    while (this.#queue.length > 0) {
      await this.#writeTogether(this.#queue.splice(0, MOST_TOGETHER))
      for (const work of this.#pauses.splice(0)) work()
    }
  }

  /** Resolves while nothing is being appended, with what `work` returns then. */
  #pause<Result> (work: () => Result): Promise<Result> {
    return new Promise(resolve => {
      if (this.#writing === null) resolve(work())
      else this.#pauses.push(() => { resolve(work()) })
    })
  }

  async #writeTogether (waiting: readonly Waiting[]): Promise<void> {
    try {
      const durable = await this.#append(waiting.map(({ entry }) => entry))
      for (const { resolve } of waiting) resolve(durable)
    } catch (error) {
      for (const { reject } of waiting) reject(error)
    }
  }

  async #append (entries: readonly Entry[]): Promise<boolean> {
    if (this.#doubtful !== null || performance.now() < this.#restsUntil || this.#isFull()) return false
    let log: Log | null = null
    try {
      log = await this.#getLog()
      await log.append(entries)
      return true
    } catch {
      this.#restsUntil = performance.now() + this.#settings.rest
      if (log !== null) await this.#giveUp(log)
      return false
    }
  }

  #isFull (): boolean {
    const size = [...this.#ended, this.#log].reduce((sum, log) => sum + (log?.size ?? 0), 0)
    if (this.#log !== null && this.#log.size >= this.#settings.most / 2) this.settle().catch(ignore)
    return size >= this.#settings.most
  }

  async #getLog (): Promise<Log> {
    // Under another name than that of this process, others take it for the log of one that has ended.
    if (this.#log !== null && this.#log.owner === this.#settings.owner.getName() && await this.#log.isThere()) return this.#log
    // Somebody removed the folder, perhaps with all that the log tells of, or the name.
    if (this.#log !== null) this.#endCurrent()
    await this.#place.directory.check()
    await this.#settings.makeFolders()
    await this.#directory.check()
    this.#log = await Log.begin(this.#place.files, this.#place.paths.journal, this.#directory, this.#settings.owner.getName())
    this.#settleLater()
    return this.#log
  }

  /** After a failed sync nobody knows what the log tells. It must not tell of bytes that are sent again, and may be others then. */
  async #giveUp (log: Log): Promise<void> {
    if (this.#log === log) this.#log = null
    this.#doubtful = log
    await this.check()
  }

  #endCurrent (): void {
    if (this.#log !== null) this.#end(this.#log)
    this.#log = null
  }

  #end (log: Log): void {
    this.#ended.push(log)
    this.#settleLater()
  }

  #settleLater (): void {
    this.#timer ??= setTimeout(() => {
      this.#timer = null
      this.settle().catch(ignore)
    }, this.#settings.interval).unref()
  }

  async #settle (): Promise<void> {
    await this.check()
    const logs = await this.#pause(() => {
      this.#endCurrent()
      return [...this.#ended]
    })
    if (logs.length === 0) return
    await withJournal(this.#place, () => settle(this.#place, logs[0]!.fd, async () => {
      for (const log of logs) await this.#remove(log)
    })).finally(() => { if (this.#ended.length > 0) this.#settleLater() })
  }

  async #remove (log: Log): Promise<void> {
    await log.end()
    this.#ended = this.#ended.filter(other => other !== log)
  }
}

/** @throws JournalDoubtful */
async function cut (log: Log): Promise<void> {
  try {
    await log.cut()
  } catch (cause) {
    throw new JournalDoubtful('The journal can not be written', { cause })
  }
}

/** Who writes logs. */
export interface Owner {
  /** The name under which this process is registered. */
  getName(): string
  /** From here on what is left is that of the dead. */
  release(): void
}

export interface JournalSettings {
  readonly owner: Owner
  /** Makes the folders of the journal where they are missing. */
  readonly makeFolders: () => Promise<void>
  /** How long files may be durable by the logs alone, in ms. */
  readonly interval: number
  /** Bytes of all logs of a process together. */
  readonly most: number
  /** How long to do without logs after a failure, in ms. */
  readonly rest: number
}

interface Waiting {
  readonly entry: Entry
  readonly resolve: (durable: boolean) => void
  readonly reject: (error: unknown) => void
}

/** Entries per sync. */
const MOST_TOGETHER = 256
