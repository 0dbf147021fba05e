import { mkdir } from 'node:fs/promises'
import { createMemoryLocker } from '../../lib/locker.js'
import type { Log } from '../../lib/log.js'
import type { Storage } from '../../lib/storage.js'
import { append } from './append.js'
import type { Catalog } from './catalog/catalog.js'
import { getNewsPath, News } from './catalog/news.js'
import { complete, setLength, update } from './change.js'
import { claim } from './claim.js'
import { concatenate } from './concatenate.js'
import { create } from './create.js'
import { Directory } from './directory.js'
import { Files } from './files.js'
import { openJournal } from './journal/open.js'
import { LastingLocker } from './locks/lasting-locker.js'
import { measureSync } from './measure-sync.js'
import { OpenUploads } from './open-uploads.js'
import { resolveFsOptions, type FsStorageOptions, type ResolvedFsOptions } from './options.js'
import { warnOfOthers } from './others.js'
import { Pace } from './pace.js'
import { createPaths } from './paths.js'
import { find, list, read } from './read.js'
import { remove } from './remove.js'
import { saveTo } from './save.js'
import type { BareStore, Store } from './store.js'
import { tidy } from './tidy.js'
import { Turn } from './turn.js'
import { addWaiting, findWaiting } from './waiting.js'

export type { FsStorageOptions, JournalOptions } from './options.js'

/**
 * Keeps uploads as files: `<id>` holds the bytes, `<id>.json` the record.
 *
 * The length of `<id>` is the offset. With `fsync` that needs a file system that writes data before the length that
 * counts it: ext4 (not with `data=writeback`), XFS, Btrfs, ZFS, APFS.
 *
 * Any number of processes of one machine may work on a directory. On a network file system it can be one.
 *
 * @throws TypeError (`TUS_ERR_OPTION_UNKNOWN`, `TUS_ERR_OPTION_INVALID`) for options that it can't work with
 * @throws IndexUnsupported (`TUS_ERR_INDEX_UNSUPPORTED`) if an index is asked for, and this Node has no `node:sqlite`
 */
export function createFsStorage (options: FsStorageOptions): Storage {
  const settings = resolveFsOptions(options)
  let store: Store | null = null
  let opening: Promise<Store> | null = null

  const open = async (log?: Log): Promise<Store> => {
    if (store) return store
    opening ??= openStore(settings, log).finally(() => { opening = null })
    store = await opening
    return store
  }

  /** Without an `async` of its own, which every operation would pay for. */
  const run = <Result>(work: (store: Store) => Promise<Result>): Promise<Result> => store ? work(store) : open().then(work)

  return {
    open: async log => { await open(log) },
    create: upload => run(store => create(store, upload)),
    find: (id, hint) => run(store => find(store, id, hint)),
    append: (id, addition) => run(store => append(store, id, addition)),
    setLength: (id, length, createdAt) => run(store => setLength(store, id, length, createdAt)),
    complete: (id, createdAt) => run(store => complete(store, id, createdAt)),
    remove: (id, createdAt) => run(store => remove(store, id, createdAt)),
    update: (id, change) => run(store => update(store, id, change)),
    read: (id, range, createdAt) => run(store => read(store, id, range, createdAt)),
    concatenate: (id, parts, created, signal) => run(store => concatenate(store, id, parts, created, signal)),
    addWaiting: (partial, final) => run(store => addWaiting(store, partial, final)),
    findWaiting: partial => run(store => findWaiting(store, partial)),
    claim: (id, duration) => run(store => claim(store, id, duration)),
    saveTo: (id, path, createdAt) => run(store => saveTo(store, id, path, createdAt)),
    locker: {
      withLock: (id, timeout, work) => run(store => store.locker.withLock(id, timeout, work))
    },
    tidy: (before, onRemoved) => run(async store => {
      return store.catalog === null || await store.catalog.takeTidying() ? tidy(store, before, onRemoved) : 0
    }),
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

/** Loaded where it is asked for only. */
async function openCatalog (store: BareStore, directory: string): Promise<Catalog> {
  const { Catalog } = await import('./catalog/catalog.js')
  return new Catalog(store, directory)
}

async function openStore (options: ResolvedFsOptions, log?: Log): Promise<Store> {
  const { durability, fileMode } = options
  await mkdir(options.directory, { recursive: true, mode: options.directoryMode })
  const adaptive = options.metadataCalls === 'adaptive'
  const paths = createPaths(options.directory)
  const syncPace = new Pace(0.5, adaptive && measureSync(paths.temporary('sync')))
  const files = new Files(durability, new Pace(2, adaptive), syncPace, fileMode)
  await warnOfOthers({ paths, files }, log)
  const turn = new Turn()
  const directory = new Directory(options.directory, files, turn)
  const opened: Closable[] = []
  const keep = <Opened extends Closable>(one: Opened): Opened => {
    opened.push(one)
    return one
  }
  try {
    await directory.open()
    keep(directory)
    const locker: Store['locker'] = options.locks === 'directory' ? await LastingLocker.open(options.directory, directory, files, turn) : createMemoryLocker()
    keep(locker)
    const journal = await openJournal(options.journal, { files, paths, directory, locker }, turn)
    if (journal !== null) keep(journal)
    const news = options.index === null ? null : keep(new News(files, getNewsPath(options.index)))
    const uploads = new OpenUploads(files, paths, directory, turn)
    const store = { paths, files, directory, locker, journal, news, uploads, creating: new Set<string>() }
    return { ...store, catalog: options.index === null ? null : await openCatalog(store, options.index) }
  } catch (error) {
    for (const one of opened.reverse()) await one.close?.()
    throw error
  }
}

interface Closable {
  close?(): Promise<void>
}
