import type { BlobHTTPHeaders, ContainerClient, Tags } from '@azure/storage-blob'
import { FactoryOptions, isObject, isPrefix, isWithin } from '../../lib/factory-options.js'
import { describeAttachment } from '../../lib/file-description.js'
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
  /** What every name of this storage begins with: empty, or a path that ends with `/`, such as `uploads/`. Nothing else may write there. Default: nothing. */
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
  /**
   * Headers, metadata and tags of that blob. By default, `blobContentType` is that of a download (`application/octet-stream` for what a browser would
   * run), and `blobContentDisposition` is `attachment` with the name of the file; `undefined` leaves either out.
   */
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

/** @throws FactoryOptionError */
export function resolveAzureOptions (options: AzureStorageOptions): ResolvedAzureOptions {
  factory.checkNames(options, NAMES)
  const { container, prefix = '', blockSize = 8 * MIB, concurrency = 4, commitInterval = 60_000, requestTimeout = 60_000, blobOptions = {} } = options
  const { memoryBudget = Math.max(256 * MIB, 2 * blockSize) } = options
  factory.check('container', "a ContainerClient of '@azure/storage-blob'", typeof container?.getBlockBlobClient === 'function')
  factory.check('prefix', "empty, or a path that ends with '/' and does not begin with it", isPrefix(prefix))
  factory.check('blockSize', 'a number of bytes from 64 KiB to 4000 MiB', isWithin(blockSize, 65536, LARGEST_BLOCK))
  factory.check('memoryBudget', 'a number of bytes, at least twice the block size', isWithin(memoryBudget, 2 * blockSize, Infinity))
  factory.check('concurrency', 'a number from 1 to 100', isWithin(concurrency, 1, 100))
  factory.check('commitInterval', 'a number of milliseconds from 1', isWithin(commitInterval, 1, Infinity))
  factory.check('requestTimeout', 'a number of milliseconds from 1', isWithin(requestTimeout, 1, Infinity))
  factory.check('blobOptions', 'an object or a function', typeof blobOptions === 'function' || isObject(blobOptions))
  if (typeof blobOptions !== 'function') checkBlobOptions(blobOptions)
  return {
    container,
    prefix,
    blockSize,
    memoryBudget,
    concurrency,
    commitInterval,
    requestTimeout,
    blobOptions: upload => {
      const options = typeof blobOptions === 'function' ? checkBlobOptions(blobOptions(upload)) : blobOptions
      return { ...options, blobHTTPHeaders: { ...describe(upload), ...options.blobHTTPHeaders } }
    }
  }
}

/** @throws FactoryOptionError */
function checkBlobOptions (options: BlobOptions): BlobOptions {
  factory.checkNames(options, BLOB_NAMES, 'blobOptions')
  const { blobHTTPHeaders = {}, metadata = {}, tags = {} } = options
  factory.checkNames(blobHTTPHeaders, HEADER_NAMES, 'blobOptions.blobHTTPHeaders')
  factory.check('blobOptions.metadata', 'an object of strings', areStrings(metadata))
  factory.check('blobOptions.tags', 'an object of strings', areStrings(tags))
  for (const [name, value] of Object.entries(blobHTTPHeaders)) {
    const holds = value === undefined || (name === 'blobContentMD5' ? value instanceof Uint8Array : typeof value === 'string')
    factory.check(`blobOptions.blobHTTPHeaders.${name}`, name === 'blobContentMD5' ? 'a Uint8Array' : 'a string', holds)
  }
  return options
}

function areStrings (value: unknown): boolean {
  return isObject(value) && Object.values(value).every(one => typeof one === 'string')
}

/** Only the application knows who reads the blob, and on which origin. */
function describe ({ metadata }: NewUpload): BlobHTTPHeaders {
  const { type, disposition } = describeAttachment(metadata)
  return { blobContentType: type, blobContentDisposition: disposition }
}

const MIB = 1024 * 1024
/** Azure's own bound. */
export const LARGEST_BLOCK = 4000 * MIB
const factory = new FactoryOptions('createAzureStorage')
const NAMES: Readonly<Record<keyof AzureStorageOptions, true>> = {
  container: true, prefix: true, blockSize: true, memoryBudget: true, concurrency: true, commitInterval: true, requestTimeout: true, blobOptions: true
}
const BLOB_NAMES: Readonly<Record<keyof BlobOptions, true>> = { blobHTTPHeaders: true, metadata: true, tags: true }
const HEADER_NAMES: Readonly<Record<keyof BlobHTTPHeaders, true>> = {
  blobCacheControl: true, blobContentType: true, blobContentMD5: true, blobContentEncoding: true, blobContentLanguage: true, blobContentDisposition: true
}
