import { mkdir } from 'node:fs/promises'
import { resolve } from 'node:path'
import { createMemoryLocker } from '../../lib/locker.js'
import type { Storage } from '../../lib/storage.js'
import { append } from './append.js'
import { complete, setLength, update } from './change.js'
import { claim } from './claim.js'
import { concatenate } from './concatenate.js'
import { create } from './create.js'
import { Directory } from './directory.js'
import { Files, measureSync } from './files.js'
import { LastingLocker } from './locks/lasting-locker.js'
import { OpenUploads } from './open-uploads.js'
import { Pace } from './pace.js'
import { createPaths } from './paths.js'
import { list, read } from './read.js'
import { remove } from './remove.js'
import { saveTo } from './save.js'
import type { Store } from './store.js'
import { tidy } from './tidy.js'
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
 */
export function createFsStorage (options: FsStorageOptions): Storage {
  const { directory, durability = 'fsync', metadataCalls = 'adaptive', locks = 'directory' } = options
  if (typeof directory !== 'string' || directory === '') throw new TypeError("createFsStorage: 'directory' must be a path")
  if (durability !== 'fsync' && durability !== 'none') throw new TypeError("createFsStorage: 'durability' must be 'fsync' or 'none'")
  if (metadataCalls !== 'adaptive' && metadataCalls !== 'async') throw new TypeError("createFsStorage: 'metadataCalls' must be 'adaptive' or 'async'")
  if (locks !== 'directory' && locks !== 'process') throw new TypeError("createFsStorage: 'locks' must be 'directory' or 'process'")
  const settings = { directory: resolve(directory), durability, metadataCalls, locks }
  let store: Store | null = null
  let opening: Promise<Store> | null = null

  const open = async (): Promise<Store> => {
    if (store) return store
    opening ??= openStore(settings).finally(() => { opening = null })
    store = await opening
    return store
  }

  return {
    open: async () => { await open() },
    create: async upload => create(store ?? await open(), upload),
    find: async id => (store ?? await open()).uploads.find(id),
    append: async (id, addition) => append(store ?? await open(), id, addition),
    setLength: async (id, length) => setLength(store ?? await open(), id, length),
    complete: async id => complete(store ?? await open(), id),
    remove: async id => remove(store ?? await open(), id),
    update: async (id, change) => update(store ?? await open(), id, change),
    read: async (id, range) => read(store ?? await open(), id, range),
    concatenate: async (id, parts) => concatenate(store ?? await open(), id, parts),
    addWaiting: async (partial, final) => addWaiting(store ?? await open(), partial, final),
    findWaiting: async partial => findWaiting(store ?? await open(), partial),
    claim: async (id, duration) => claim(store ?? await open(), id, duration),
    saveTo: async (id, path) => saveTo(store ?? await open(), id, path),
    locker: {
      withLock: async (id, timeout, work) => (store ?? await open()).locker.withLock(id, timeout, work)
    },
    tidy: async before => tidy(store ?? await open(), before),
    async * list () { yield * list(store ?? await open()) },
    async close () {
      await opening
      const closing = store
      store = null
      await closing?.locker.close?.()
      await closing?.uploads.close()
      await closing?.directory.close()
    }
  }
}

async function openStore (options: Required<FsStorageOptions>): Promise<Store> {
  const { durability } = options
  await mkdir(options.directory, { recursive: true })
  const adaptive = options.metadataCalls === 'adaptive'
  const paths = createPaths(options.directory)
  const files = new Files(durability, new Pace(2, adaptive), new Pace(0.5, adaptive && measureSync(paths.temporary('sync'))))
  const directory = new Directory(options.directory, files)
  await directory.open()
  const locker = options.locks === 'directory' ? await LastingLocker.open(options.directory, directory, files) : createMemoryLocker()
  return { paths, files, directory, locker, uploads: new OpenUploads(files, paths, directory), creating: new Set() }
}
