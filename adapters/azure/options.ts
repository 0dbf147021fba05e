import type { BlobHTTPHeaders, ContainerClient, Tags } from '@azure/storage-blob'
import type { NewUpload } from '../../lib/upload.js'

/** What can be said of the blob that an upload becomes. The names of metadata are those of C# identifiers, and the value of `fastifytus` is the storage's own. */
export interface BlobOptions {
  readonly blobHTTPHeaders?: BlobHTTPHeaders
  readonly metadata?: Readonly<Record<string, string>>
  readonly tags?: Tags
}

export interface AzureStorageOptions {
  /** Of `@azure/storage-blob`, version 12, with the right to read, write, delete and list. The container has to be there. */
  readonly container: ContainerClient
  /** What every name of this storage begins with, such as `uploads/`. Nothing else may write there. Default: nothing. */
  readonly prefix?: string
  /** The size of a block, in bytes, from 64 KiB to 4000 MiB; larger for uploads that would have more than 20 000 of them. Default 8 MiB. */
  readonly blockSize?: number
  /**
   * How much memory the bytes of all uploads of this storage may take, in bytes. When it runs out, buffered bytes are sent earlier.
   * At least twice the block size. Default 256 MiB.
   */
  readonly memoryBudget?: number
  /** How many blocks of one upload are sent at the same time. Default 4. */
  readonly concurrency?: number
  /** How long received bytes of a slow body may stay uncommitted, in ms. Default 60 000. */
  readonly commitInterval?: number
  /** How long Azure may take for a request, all tries of the SDK included, in ms; 10 s more for each MB that goes along. Default 60 000. */
  readonly requestTimeout?: number
  /** Headers, metadata and tags of that blob. Default: the content type, if `metadata.filetype` is one. */
  readonly blobOptions?: BlobOptions | ((upload: NewUpload) => BlobOptions)
}

export interface ResolvedAzureOptions {
  readonly container: ContainerClient
  readonly prefix: string
  readonly blockSize: number
  readonly memoryBudget: number
  readonly concurrency: number
  readonly commitInterval: number
  readonly requestTimeout: number
  readonly blobOptions: (upload: NewUpload) => BlobOptions
}

/** @throws TypeError for options that it can't work with */
export function resolveAzureOptions (options: AzureStorageOptions): ResolvedAzureOptions {
  const { container, prefix = '', blockSize = 8 * MIB, concurrency = 4, commitInterval = 60_000, requestTimeout = 60_000, blobOptions = guessOptions } = options
  const { memoryBudget = Math.max(256 * MIB, 2 * blockSize) } = options
  check('container', "a ContainerClient of '@azure/storage-blob'", typeof container?.getBlockBlobClient === 'function')
  check('prefix', "a string that does not begin with '/'", typeof prefix === 'string' && !prefix.startsWith('/'))
  check('blockSize', 'a number of bytes from 64 KiB to 4000 MiB', isWhole(blockSize) && blockSize >= 65536 && blockSize <= LARGEST_BLOCK)
  check('memoryBudget', 'a number of bytes, at least twice the block size', isWhole(memoryBudget) && memoryBudget >= 2 * blockSize)
  check('concurrency', 'a number from 1 to 100', isWhole(concurrency) && concurrency >= 1 && concurrency <= 100)
  check('commitInterval', 'a number of milliseconds from 1', isWhole(commitInterval) && commitInterval >= 1)
  check('requestTimeout', 'a number of milliseconds from 1', isWhole(requestTimeout) && requestTimeout >= 1)
  check('blobOptions', 'an object or a function', typeof blobOptions === 'function' || (typeof blobOptions === 'object' && blobOptions !== null))
  return {
    container,
    prefix,
    blockSize,
    memoryBudget,
    concurrency,
    commitInterval,
    requestTimeout,
    blobOptions: typeof blobOptions === 'function' ? blobOptions : () => blobOptions
  }
}

function check (option: string, expected: string, holds: boolean): void {
  if (!holds) throw new TypeError(`createAzureStorage: '${option}' must be ${expected}`)
}

function isWhole (value: unknown): value is number {
  return Number.isSafeInteger(value)
}

/** Clients that follow the custom of tus-js-client and Uppy tell the type of the file. */
function guessOptions ({ metadata }: NewUpload): BlobOptions {
  const { filetype = '' } = metadata
  return TYPE.test(filetype) ? { blobHTTPHeaders: { blobContentType: filetype } } : {}
}

const TYPE = /^[\w!#$&^.+-]+\/[\w!#$&^.+-]+(?:; ?[\w-]+=[\w.+-]+)*$/
const MIB = 1024 * 1024
/** Azure's own bound. */
export const LARGEST_BLOCK = 4000 * MIB
