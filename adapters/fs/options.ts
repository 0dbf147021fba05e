import { isAbsolute, join, relative, resolve, sep } from 'node:path'
import { FactoryOptions, isObject, isWithin } from '../../lib/factory-options.js'
import { loadSqlite } from './catalog/support.js'
import type { JournalBounds } from './journal/open.js'

export interface FsStorageOptions {
  /**
   * Where the uploads are; created where it is missing. It should be theirs alone: files of others stay untouched, but an upload can't have the name of
   * one of them.
   */
  readonly directory: string
  /**
   * Permissions of the files, as in `0o640`; the owner reads and writes. The umask of the process takes bits away. Default `0o640`: other users
   * of the machine see nothing.
   */
  readonly fileMode?: number
  /**
   * Permissions of the directories that are made, as in `0o750`; the owner may do everything. `.locks`, `.processes` and `.journal` are for the owner
   * alone, always. Default `0o750`.
   */
  readonly directoryMode?: number
  /**
   * `fsync`: what was acknowledged survives a power failure. `none`: it survives the death of the process, not of the machine.
   * Default `fsync`.
   */
  readonly durability?: 'fsync' | 'none'
  /**
   * How small operations (open, stat, rename) are called. `adaptive`: synchronously while the device answers within microseconds,
   * through the thread pool while it does not. `async`: always through the thread pool, for a device that may
   * hang, such as a network filesystem. Default `adaptive`.
   */
  readonly metadataCalls?: 'adaptive' | 'async'
  /**
   * `directory`: all processes of this machine that work on the directory exclude each other. `process`: there is one process, and nobody
   * checks that. Default `directory`.
   */
  readonly locks?: 'directory' | 'process'
  /**
   * Keeps an index, so that lists, sweeps and claims open only the uploads that they are about. `directory` is where it is kept, on a local disk; `true`
   * is `.index` in the directory of the uploads. It may be removed at any time, and is made anew. All processes of a directory need the same
   * setting. Needs `node:sqlite`: Node 22.13. Default false.
   */
  readonly index?: boolean | { readonly directory: string }
  /**
   * Whether small uploads that arrive together share a sync, by a journal in the folder `.journal`. `true` stands for the defaults of
   * {@link JournalOptions}. Needs a local file system of Linux, and the program `sync` of coreutils or busybox: `open` of the storage rejects
   * without. Of no effect with `durability: 'none'`. Default `false`.
   */
  readonly journal?: boolean | JournalOptions
}

/** The bounds of a journal. */
export interface JournalOptions {
  /** How long uploads may be durable by the journal alone, in ms: 1000 to 600 000. Default 30 000. */
  readonly interval?: number
  /**
   * Bytes that the journal of one process may take: 4 MiB to 1 GiB. Is it full before it is settled, each file is synced by itself. All
   * journals are read into memory when a process starts behind a failure. Default 64 MiB.
   */
  readonly size?: number
}

export interface ResolvedFsOptions {
  readonly directory: string
  readonly fileMode: number
  readonly directoryMode: number
  readonly durability: 'fsync' | 'none'
  readonly metadataCalls: 'adaptive' | 'async'
  readonly locks: 'directory' | 'process'
  /** `null` for none. */
  readonly journal: JournalBounds | null
  /** Where the index is; `null`: nowhere. */
  readonly index: string | null
}

/** @throws FactoryOptionError, IndexUnsupported */
export function resolveFsOptions (options: FsStorageOptions): ResolvedFsOptions {
  factory.checkNames(options, NAMES)
  const { directory, fileMode = 0o640, directoryMode = 0o750, durability = 'fsync', metadataCalls = 'adaptive', locks = 'directory' } = options
  factory.check('directory', 'a path', typeof directory === 'string' && directory !== '')
  factory.check('fileMode', 'permissions from 0o600 to 0o777, with 0o600 among them', isMode(fileMode, 0o600))
  factory.check('directoryMode', 'permissions from 0o700 to 0o777', isMode(directoryMode, 0o700))
  factory.check('durability', "'fsync' or 'none'", durability === 'fsync' || durability === 'none')
  factory.check('metadataCalls', "'adaptive' or 'async'", metadataCalls === 'adaptive' || metadataCalls === 'async')
  factory.check('locks', "'directory' or 'process'", locks === 'directory' || locks === 'process')
  const journal = resolveJournal(options)
  return {
    directory: resolve(directory),
    fileMode,
    directoryMode,
    durability,
    metadataCalls,
    locks,
    journal: durability === 'none' ? null : journal,
    index: resolveIndex(options)
  }
}

function isMode (mode: unknown, least: number): boolean {
  return isWithin(mode, least, 0o777) && ((mode as number) & least) === least
}

function resolveIndex ({ directory, index = false }: FsStorageOptions): string | null {
  factory.check('index', "true, false, or an object with a 'directory'", typeof index === 'boolean' || isObject(index))
  if (index === false) return null
  if (index !== true) factory.checkNames(index, INDEX_NAMES, 'index')
  const place = index === true ? join(directory, '.index') : index.directory
  factory.check('index.directory', 'a path', typeof place === 'string' && place !== '')
  factory.check('index.directory', "neither inside of 'directory' nor around it (`true` keeps the index in the folder '.index' there)", index === true || !(isInside(place, directory) || isInside(directory, place)))
  loadSqlite()
  return resolve(place)
}

/** Whether one path is another, or below it. */
function isInside (path: string, directory: string): boolean {
  const way = relative(directory, path)
  return way === '' || (way !== '..' && !way.startsWith(`..${sep}`) && !isAbsolute(way))
}

function resolveJournal ({ journal = false }: FsStorageOptions): JournalBounds | null {
  factory.check('journal', 'true, false, or an object', typeof journal === 'boolean' || isObject(journal))
  if (journal === false) return null
  if (journal !== true) factory.checkNames(journal, JOURNAL_NAMES, 'journal')
  const { interval = 30_000, size = 64 * MIB } = journal === true ? {} : journal
  factory.check('journal.interval', 'a number of milliseconds from 1000 to 600000', isWithin(interval, 1000, 600_000))
  factory.check('journal.size', 'a number of bytes from 4 MiB to 1 GiB', isWithin(size, 4 * MIB, 1024 * MIB))
  return { interval, most: size }
}

const factory = new FactoryOptions('createFsStorage')
const NAMES: Readonly<Record<keyof FsStorageOptions, true>> = {
  directory: true,
  fileMode: true,
  directoryMode: true,
  durability: true,
  metadataCalls: true,
  locks: true,
  index: true,
  journal: true
}
const INDEX_NAMES = { directory: true }
const JOURNAL_NAMES: Readonly<Record<keyof JournalOptions, true>> = { interval: true, size: true }
const MIB = 1024 * 1024
