import type { PutObjectCommandInput, S3Client } from '@aws-sdk/client-s3'
import { FactoryOptions, isObject, isPrefix, isWithin } from '../../lib/factory-options.js'
import { describeAttachment } from '../../lib/file-description.js'
import type { NewUpload } from '../../lib/upload.js'

/** What can be said of the object that an upload becomes, in the words of S3's `PutObject`. */
export type ObjectOptions = Partial<Pick<PutObjectCommandInput,
  'ACL' | 'BucketKeyEnabled' | 'CacheControl' | 'ContentDisposition' | 'ContentEncoding' | 'ContentLanguage' | 'ContentType' |
  'Metadata' | 'SSEKMSEncryptionContext' | 'SSEKMSKeyId' | 'ServerSideEncryption' | 'StorageClass' | 'Tagging'>>

export interface S3StorageOptions {
  /** Of `@aws-sdk/client-s3`, version 3. The storage does not destroy it. */
  readonly client: S3Client
  readonly bucket: string
  /** What every key of this storage begins with: empty, or a path that ends with `/`, such as `uploads/`. Nothing else may write there. Default: nothing. */
  readonly prefix?: string
  /** The size of a part, in bytes, from 5 MiB to 5 GiB; larger for uploads that would have more than 10 000 of them. Default 8 MiB. */
  readonly partSize?: number
  /**
   * How much memory the bytes of all uploads of this storage may take, in bytes. When it runs out, buffered bytes are put into S3 earlier.
   * At least twice the part size. Default 256 MiB.
   */
  readonly memoryBudget?: number
  /** How many parts of one upload are sent at the same time. Default 4. */
  readonly concurrency?: number
  /** How long received bytes of a slow body may stay in memory alone, in ms. Default 60 000. */
  readonly commitInterval?: number
  /** The key of the object that an upload becomes. Unique for each upload. Default: the prefix and the id. */
  readonly key?: (upload: NewUpload) => string
  /**
   * Storage class, encryption, tags, content type, metadata … of that object. By default, `ContentType` is that of a download (`application/octet-stream`
   * for what a browser would run), and `ContentDisposition` is `attachment` with the name of the file; `undefined` leaves either out.
   */
  readonly objectOptions?: ObjectOptions | ((upload: NewUpload) => ObjectOptions)
  /**
   * `off`: for servers that ignore `If-Match` or `If-None-Match`. Nothing then keeps two processes from damaging an upload: safe for a
   * single process only. Default `on`, which refuses to start on such a server.
   */
  readonly conditionalWrites?: 'on' | 'off'
}

export interface ResolvedS3Options {
  readonly client: S3Client
  readonly bucket: string
  readonly prefix: string
  readonly partSize: number
  readonly memoryBudget: number
  readonly concurrency: number
  readonly commitInterval: number
  readonly key: ((upload: NewUpload) => string) | undefined
  readonly objectOptions: (upload: NewUpload) => ObjectOptions
  readonly conditionalWrites: 'on' | 'off'
}

/** @throws FactoryOptionError */
export function resolveS3Options (options: S3StorageOptions): ResolvedS3Options {
  factory.checkNames(options, NAMES)
  const { client, bucket, prefix = '', partSize = 8 * MIB, concurrency = 4, commitInterval = 60_000, conditionalWrites = 'on', objectOptions = {} } = options
  const { memoryBudget = Math.max(256 * MIB, 2 * partSize) } = options
  factory.check('client', "an S3Client of '@aws-sdk/client-s3'", typeof client?.send === 'function')
  factory.check('bucket', 'the name of a bucket', typeof bucket === 'string' && bucket !== '')
  factory.check('prefix', "empty, or a path that ends with '/' and does not begin with it", isPrefix(prefix))
  factory.check('partSize', 'a number of bytes from 5 MiB to 5 GiB', isWithin(partSize, 5 * MIB, 5 * 1024 * MIB))
  factory.check('memoryBudget', 'a number of bytes, at least twice the part size', isWithin(memoryBudget, 2 * partSize, Infinity))
  factory.check('concurrency', 'a number from 1 to 100', isWithin(concurrency, 1, 100))
  factory.check('commitInterval', 'a number of milliseconds from 1', isWithin(commitInterval, 1, Infinity))
  factory.check('key', 'a function', options.key === undefined || typeof options.key === 'function')
  factory.check('objectOptions', 'an object or a function', typeof objectOptions === 'function' || isObject(objectOptions))
  factory.check('conditionalWrites', "'on' or 'off'", conditionalWrites === 'on' || conditionalWrites === 'off')
  if (typeof objectOptions !== 'function') checkObjectOptions(objectOptions)
  const getObjectOptions = (upload: NewUpload) => typeof objectOptions === 'function' ? checkObjectOptions(objectOptions(upload)) : objectOptions
  return {
    client,
    bucket,
    prefix,
    partSize,
    memoryBudget,
    concurrency,
    commitInterval,
    key: options.key,
    objectOptions: upload => ({ ...describe(upload), ...getObjectOptions(upload) }),
    conditionalWrites
  }
}

/** @throws FactoryOptionError */
function checkObjectOptions (options: ObjectOptions): ObjectOptions {
  factory.checkNames(options, OBJECT_NAMES, 'objectOptions')
  for (const [name, value] of Object.entries(options)) {
    const [expected, holds] = OBJECT_NAMES[name as keyof ObjectOptions]
    factory.check(`objectOptions.${name}`, expected, value === undefined || holds(value))
  }
  return options
}

/** Only the application knows who reads the object, and on which origin. */
function describe ({ metadata }: NewUpload): ObjectOptions {
  const { type, disposition } = describeAttachment(metadata)
  return { ContentType: type, ContentDisposition: disposition }
}

const MIB = 1024 * 1024
const factory = new FactoryOptions('createS3Storage')
const NAMES: Readonly<Record<keyof S3StorageOptions, true>> = {
  client: true, bucket: true, prefix: true, partSize: true, memoryBudget: true, concurrency: true, commitInterval: true, key: true, objectOptions: true, conditionalWrites: true
}
const STRING = ['a string', (value: unknown) => typeof value === 'string'] as const
const OBJECT_NAMES: Readonly<Record<keyof ObjectOptions, readonly [expected: string, holds: (value: unknown) => boolean]>> = {
  ACL: STRING,
  BucketKeyEnabled: ['true or false', value => typeof value === 'boolean'],
  CacheControl: STRING,
  ContentDisposition: STRING,
  ContentEncoding: STRING,
  ContentLanguage: STRING,
  ContentType: STRING,
  Metadata: ['an object of strings', value => isObject(value) && Object.values(value).every(one => typeof one === 'string')],
  SSEKMSEncryptionContext: STRING,
  SSEKMSKeyId: STRING,
  ServerSideEncryption: STRING,
  StorageClass: STRING,
  Tagging: STRING
}
