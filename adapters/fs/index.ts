import { mkdir } from 'node:fs/promises'
import { join, resolve } from 'node:path'
import { createMemoryLocker } from '../../lib/locker.js'
import type { Storage } from '../../lib/storage.js'
import { append } from './append.js'
import type { Catalog } from './catalog/catalog.js'
import { getNewsPath, News } from './catalog/news.js'
import { loadSqlite } from './catalog/support.js'
import { complete, setLength, update } from './change.js'
import { claim } from './claim.js'
import { concatenate } from './concatenate.js'
import { create } from './create.js'
import { Directory } from './directory.js'
import { Files } from './files.js'
import { openJournal, type JournalBounds } from './journal/open.js'
import { LastingLocker } from './locks/lasting-locker.js'
import { measureSync } from './measure-sync.js'
import { OpenUploads } from './open-uploads.js'
import { Pace } from './pace.js'
import { createPaths } from './paths.js'
import { find, list, read } from './read.js'
import { remove } from './remove.js'
import { saveTo } from './save.js'
import type { BareStore, Store } from './store.js'
import { tidy } from './tidy.js'
import { Turn } from './turn.js'
import { addWaiting, findWaiting } from './waiting.js'

export interface FsStorageOptions {
  /** Where the uploads are; created where it is missing. Nothing else may write there. */
  readonly directory: string
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
   * {@link JournalOptions}. Needs a local file system of Linux, and the program `sync` of coreutils or busybox: {@link Storage.open} rejects
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

/**
 * Keeps uploads as files: `<id>` holds the bytes, `<id>.json` the record.
 *
 * The length of `<id>` is the offset. With `fsync` that needs a file system that writes data before the length that
 * counts it: ext4 (not with `data=writeback`), XFS, Btrfs, ZFS, APFS.
 *
 * Any number of processes of one machine may work on a directory. On a network file system it can be one.
 *
 * @throws TypeError for options that it can't work with
 * @throws IndexUnsupported (`TUS_ERR_INDEX_UNSUPPORTED`) if an index is asked for, and this Node has no `node:sqlite`
 */
export function createFsStorage (options: FsStorageOptions): Storage {
  const { directory, durability = 'fsync', metadataCalls = 'adaptive', locks = 'directory', index = false } = options
  if (typeof directory !== 'string' || directory === '') throw new TypeError("createFsStorage: 'directory' must be a path")
  if (durability !== 'fsync' && durability !== 'none') throw new TypeError("createFsStorage: 'durability' must be 'fsync' or 'none'")
  if (metadataCalls !== 'adaptive' && metadataCalls !== 'async') throw new TypeError("createFsStorage: 'metadataCalls' must be 'adaptive' or 'async'")
  if (locks !== 'directory' && locks !== 'process') throw new TypeError("createFsStorage: 'locks' must be 'directory' or 'process'")
  const settings = { directory: resolve(directory), durability, metadataCalls, locks, journal: readJournal(options), index: resolveIndex(directory, index) }
  let store: Store | null = null
  let opening: Promise<Store> | null = null

  const open = async (): Promise<Store> => {
    if (store) return store
    opening ??= openStore(settings).finally(() => { opening = null })
    store = await opening
    return store
  }

  /** Without an `async` of its own, which every operation would pay for. */
  const run = <Result>(work: (store: Store) => Promise<Result>): Promise<Result> => store ? work(store) : open().then(work)

  return {
    open: async () => { await open() },
    create: upload => run(store => create(store, upload)),
    find: (id, hint) => run(store => find(store, id, hint)),
    append: (id, addition) => run(store => append(store, id, addition)),
    setLength: (id, length) => run(store => setLength(store, id, length)),
    complete: id => run(store => complete(store, id)),
    remove: id => run(store => remove(store, id)),
    update: (id, change) => run(store => update(store, id, change)),
    read: (id, range) => run(store => read(store, id, range)),
    concatenate: (id, parts) => run(store => concatenate(store, id, parts)),
    addWaiting: (partial, final) => run(store => addWaiting(store, partial, final)),
    findWaiting: partial => run(store => findWaiting(store, partial)),
    claim: (id, duration) => run(store => claim(store, id, duration)),
    saveTo: (id, path) => run(store => saveTo(store, id, path)),
    locker: {
      withLock: (id, timeout, work) => run(store => store.locker.withLock(id, timeout, work))
    },
    tidy: before => run(async store => store.catalog === null || await store.catalog.takeTidying() ? tidy(store, before) : 0),
    async * list (hint) {
      const opened = store ?? await open()
      yield * opened.catalog === null ? list(opened) : opened.catalog.list(hint)
    },
    async close () {
      await opening
      const closing = store
      store = null
      closing?.catalog?.close()
      await closing?.news?.close()
      await closing?.journal?.close()
      await closing?.locker.close?.()
      await closing?.uploads.close()
      await closing?.directory.close()
    }
  }
}

interface Settings extends Required<Omit<FsStorageOptions, 'index' | 'journal'>> {
  readonly journal: JournalBounds | null
  /** Where the index is; `null`: nowhere. */
  readonly index: string | null
}

/** @throws TypeError, IndexUnsupported */
function resolveIndex (directory: string, index: FsStorageOptions['index']): string | null {
  if (index === undefined || index === false) return null
  const place = index === true ? join(directory, '.index') : index?.directory
  if (typeof place !== 'string' || place === '') throw new TypeError("createFsStorage: 'index' must be true, false, or an object with a 'directory'")
  loadSqlite()
  return resolve(place)
}

/** Loaded where it is asked for only. */
async function openCatalog (store: BareStore, directory: string): Promise<Catalog> {
  const { Catalog } = await import('./catalog/catalog.js')
  return new Catalog(store, directory)
}

/** `null` for none. */
function readJournal ({ journal = false, durability }: FsStorageOptions): JournalBounds | null {
  if (typeof journal !== 'boolean' && (typeof journal !== 'object' || journal === null)) throw new TypeError("createFsStorage: 'journal' must be true, false, or an object")
  const { interval = 30_000, size = 64 * MIB } = typeof journal === 'object' ? journal : {}
  if (!(interval >= 1000 && interval <= 600_000)) throw new TypeError("createFsStorage: 'journal.interval' must be 1000 to 600000 (ms)")
  if (!(size >= 4 * MIB && size <= 1024 * MIB)) throw new TypeError("createFsStorage: 'journal.size' must be 4 MiB to 1 GiB, in bytes")
  return journal === false || durability === 'none' ? null : { interval, most: size }
}

const MIB = 1024 * 1024

async function openStore (options: Settings): Promise<Store> {
  const { durability } = options
  await mkdir(options.directory, { recursive: true })
  const adaptive = options.metadataCalls === 'adaptive'
  const paths = createPaths(options.directory)
  const files = new Files(durability, new Pace(2, adaptive), new Pace(0.5, adaptive && measureSync(paths.temporary('sync'))))
  const turn = new Turn()
  const directory = new Directory(options.directory, files, turn)
  await directory.open()
  const locker: Store['locker'] = options.locks === 'directory' ? await LastingLocker.open(options.directory, directory, files, turn) : createMemoryLocker()
  try {
    const journal = await openJournal(options.journal, { files, paths, directory, locker }, turn)
    const news = options.index === null ? null : new News(files, getNewsPath(options.index))
    const store = { paths, files, directory, locker, journal, news, uploads: new OpenUploads(files, paths, directory, turn), creating: new Set<string>() }
    return { ...store, catalog: options.index === null ? null : await openCatalog(store, options.index) }
  } catch (error) {
    await locker.close?.()
    await directory.close()
    throw error
  }
}
