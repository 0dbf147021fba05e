import { resolve } from 'node:path'
import type { Storage } from '../../lib/storage.js'
import { append } from './append.js'
import { complete, setLength, update } from './change.js'
import { create } from './create.js'
import { Directory } from './directory.js'
import { Files, measureSync } from './files.js'
import { OpenUploads } from './open-uploads.js'
import { Pace } from './pace.js'
import { createPaths } from './paths.js'
import { list, read } from './read.js'
import { remove } from './remove.js'
import type { Store } from './store.js'

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
}

/**
 * Keeps uploads as files: `<id>` holds the bytes, `<id>.json` the record.
 *
 * The length of `<id>` is the offset. With `fsync` that needs a file system that writes data before the length that
 * counts it: ext4 (not with `data=writeback`), XFS, Btrfs, ZFS, APFS.
 *
 * @throws TypeError for options that it can't work with
 */
export function createFsStorage (options: FsStorageOptions): Storage {
  const { directory, durability = 'fsync', metadataCalls = 'adaptive' } = options
  if (typeof directory !== 'string' || directory === '') throw new TypeError("createFsStorage: 'directory' must be a path")
  if (durability !== 'fsync' && durability !== 'none') throw new TypeError("createFsStorage: 'durability' must be 'fsync' or 'none'")
  if (metadataCalls !== 'adaptive' && metadataCalls !== 'async') throw new TypeError("createFsStorage: 'metadataCalls' must be 'adaptive' or 'async'")
  const settings = { directory: resolve(directory), durability, metadataCalls }
  let opened: Promise<Store> | null = null

  const open = () => {
    opened ??= openStore(settings).catch(error => {
      opened = null
      throw error
    })
    return opened
  }

  return {
    open: async () => { await open() },
    create: async upload => create(await open(), upload),
    find: async id => (await open()).uploads.find(id),
    append: async (id, addition) => append(await open(), id, addition),
    setLength: async (id, length) => setLength(await open(), id, length),
    complete: async id => complete(await open(), id),
    remove: async id => remove(await open(), id),
    update: async (id, change) => update(await open(), id, change),
    read: async (id, range) => read(await open(), id, range),
    async * list () { yield * list(await open()) },
    async close () {
      const store = await opened
      opened = null
      await store?.uploads.close()
      await store?.directory.close()
    }
  }
}

async function openStore (options: Required<FsStorageOptions>): Promise<Store> {
  const { durability } = options
  const directory = new Directory(options.directory, durability)
  await directory.open()
  const adaptive = options.metadataCalls === 'adaptive'
  const files = new Files(durability, new Pace(2, adaptive), new Pace(0.5, adaptive && measureSync(options.directory)))
  const paths = createPaths(options.directory)
  return { paths, files, directory, uploads: new OpenUploads(files, paths) }
}
