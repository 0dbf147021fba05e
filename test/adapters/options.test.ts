import type { S3Client } from '@aws-sdk/client-s3'
import type { ContainerClient } from '@azure/storage-blob'
import { readdir } from 'node:fs/promises'
import { join } from 'node:path'
import t from 'tap'
import { createAzureStorage } from '../../adapters/azure/index.js'
import { resolveAzureOptions } from '../../adapters/azure/options.js'
import { createFsStorage } from '../../adapters/fs/index.js'
import { createMemoryStorage } from '../../adapters/memory/index.js'
import { createS3Storage } from '../../adapters/s3/index.js'
import { resolveS3Options, type ObjectOptions } from '../../adapters/s3/options.js'
import { createMemoryLocker } from '../../lib/index.js'
import { findSimilar } from '../../lib/similar-name.js'
import { makeDirectory } from '../support/app.js'
import { makeUpload } from '../support/uploads.js'

interface Factory {
  readonly create: (options: unknown) => unknown
  /** What it can't do without. */
  readonly needs: Readonly<Record<string, unknown>>
  /** By option, `a.b` for one inside of another: what it can't be. */
  readonly wrong: Readonly<Record<string, readonly unknown[]>>
  readonly right: ReadonlyArray<Readonly<Record<string, unknown>>>
  /** What somebody may write, the option that is unknown then, and the one that is meant. */
  readonly unknown: ReadonlyArray<readonly [options: Readonly<Record<string, unknown>>, option: string, similar: string | null]>
}

const MIB = 1024 * 1024
const client = { send: () => { throw new Error('nothing is asked') } } as unknown as S3Client
const container = { getBlockBlobClient: () => { throw new Error('nothing is asked') } } as unknown as ContainerClient

const FACTORIES: Readonly<Record<string, Factory>> = {
  createFsStorage: {
    create: options => createFsStorage(options as never),
    needs: { directory: 'never-made' },
    wrong: {
      directory: [undefined, null, '', 7, {}],
      durability: [null, 'flush', true],
      metadataCalls: [null, 'sync', true],
      locks: [null, 'redis', false],
      index: [null, 'yes', 1, []],
      'index.directory': [undefined, null, '', 7, 'never-made', 'never-made/.index', './never-made/a/../b'],
      fileMode: [null, 0o440, 0o1640, 640, '0640', -1, 0o600 + 0.5],
      directoryMode: [null, 0o600, 0o1750, 750, '0750'],
      journal: [null, 'yes', 1, []],
      'journal.interval': [null, 999, 600_001, '5000', 1000.5, NaN, Infinity],
      'journal.size': [null, 4 * MIB - 1, 1024 * MIB + 1, '64MiB', 5e6 + 0.5]
    },
    right: [
      {}, { durability: undefined, metadataCalls: undefined, locks: undefined, index: undefined, journal: undefined }, { journal: { interval: undefined, size: undefined } },
      { durability: 'none', metadataCalls: 'async', locks: 'process', index: false, journal: { interval: 1000, size: 4 * MIB }, fileMode: 0o600, directoryMode: 0o777 }
    ],
    unknown: [
      [{ dir: 'x' }, 'dir', 'directory'], [{ Durability: 'none' }, 'Durability', 'durability'], [{ lock: 'process' }, 'lock', 'locks'], [{ path: 'x' }, 'path', null],
      [{ journal: { intervall: 5000 } }, 'journal.intervall', 'interval'], [{ index: { directory: 'x', dir: 'y' } }, 'index.dir', 'directory'], [{ fsync: undefined }, 'fsync', null],
      [JSON.parse('{"__proto__":1}'), '__proto__', null], [{ toString: 'x' }, 'toString', null]
    ]
  },
  createS3Storage: {
    create: options => createS3Storage(options as never),
    needs: { client, bucket: 'b' },
    wrong: {
      client: [undefined, null, {}, 'http://localhost'],
      bucket: [undefined, null, '', 7],
      prefix: [null, '/', '/x', '/x/', 'x', 'up/x', 7],
      partSize: [null, 5 * MIB - 1, 5 * 1024 * MIB + 1, '8MiB', 5 * MIB + 0.5],
      memoryBudget: [null, 15 * MIB, '256MiB', Infinity],
      concurrency: [null, 0, 101, 1.5, '4'],
      commitInterval: [null, 0, -1, '60s', Infinity],
      key: [null, 'x', {}],
      objectOptions: [null, 'x', 7, []],
      'objectOptions.StorageClass': [null, 7, {}],
      'objectOptions.BucketKeyEnabled': ['true', 1],
      'objectOptions.Metadata': ['x', [], { a: 1 }],
      conditionalWrites: [null, 'maybe', true]
    },
    right: [
      {}, Object.fromEntries(['prefix', 'partSize', 'memoryBudget', 'concurrency', 'commitInterval', 'key', 'objectOptions', 'conditionalWrites'].map(name => [name, undefined])),
      { objectOptions: { ContentType: undefined, StorageClass: 'GLACIER_IR', BucketKeyEnabled: true, Metadata: { a: 'b' } } }, { objectOptions: () => ({}) }
    ],
    unknown: [
      [{ partsize: 8 * MIB }, 'partsize', 'partSize'], [{ Bucket: 'b' }, 'Bucket', 'bucket'], [{ region: 'eu' }, 'region', null], [{ keyPrefix: 'x' }, 'keyPrefix', 'prefix'],
      [{ objectOptions: { Tags: 'a=b' } }, 'objectOptions.Tags', null], [{ objectOptions: { Key: 'x' } }, 'objectOptions.Key', null], [{ objectOptions: { contentType: 'x' } }, 'objectOptions.contentType', 'ContentType']
    ]
  },
  createAzureStorage: {
    create: options => createAzureStorage(options as never),
    needs: { container },
    wrong: {
      container: [undefined, null, {}, 'uploads'],
      prefix: [null, '/', '/x', '/x/', 'x', 'up/x', 7],
      blockSize: [null, 65535, 4000 * MIB + 1, '8MiB'],
      memoryBudget: [null, 15 * MIB, '256MiB'],
      concurrency: [null, 0, 101, '4'],
      commitInterval: [null, 0, '60s'],
      requestTimeout: [null, 0, '60s', Infinity],
      blobOptions: [null, 'x', []],
      'blobOptions.blobHTTPHeaders': [null, 'x', []],
      'blobOptions.blobHTTPHeaders.blobContentType': [null, 7],
      'blobOptions.blobHTTPHeaders.blobContentMD5': ['x'],
      'blobOptions.metadata': [null, 'x', { a: 1 }],
      'blobOptions.tags': [null, [], { a: 1 }]
    },
    right: [
      {}, Object.fromEntries(['prefix', 'blockSize', 'memoryBudget', 'concurrency', 'commitInterval', 'requestTimeout', 'blobOptions'].map(name => [name, undefined])),
      { blobOptions: { blobHTTPHeaders: { blobContentType: undefined, blobContentMD5: new Uint8Array(16) }, metadata: { a: 'b' }, tags: { a: 'b' } } }, { blobOptions: () => ({}) }
    ],
    unknown: [
      [{ blocksize: 8 * MIB }, 'blocksize', 'blockSize'], [{ connectionString: 'x' }, 'connectionString', null], [{ blobOptions: { tag: {} } }, 'blobOptions.tag', 'tags'],
      [{ blobOptions: { blobHTTPHeaders: { contentType: 'x' } } }, 'blobOptions.blobHTTPHeaders.contentType', 'blobContentType']
    ]
  },
  createMemoryStorage: {
    create: options => createMemoryStorage(options as never),
    needs: {},
    wrong: {},
    right: [{}],
    unknown: [[{ directory: 'x' }, 'directory', null]]
  },
  createMemoryLocker: {
    create: options => createMemoryLocker(options as never),
    needs: {},
    wrong: { maxWaiting: [null, 0, -1, 1.5, NaN, Infinity, '2'] },
    right: [{}, { maxWaiting: undefined }, { maxWaiting: 1 }],
    unknown: [[{ maxwaiting: 5 }, 'maxwaiting', 'maxWaiting'], [{ max: 5 }, 'max', 'maxWaiting']]
  }
}

/** `{ a: { b: value } }` of `a.b`. */
function nest (option: string, value: unknown): Record<string, unknown> {
  return option.split('.').reduceRight<unknown>((inner, name) => ({ [name]: inner }), value) as Record<string, unknown>
}

for (const [name, { create, needs, wrong, right, unknown }] of Object.entries(FACTORIES)) {
  t.test(`${name} refuses a wrong option at once, by name and code, and touches nothing`, async t => {
    const directory = await makeDirectory(t)
    const before = process.cwd()
    process.chdir(directory)
    t.teardown(() => process.chdir(before))
    for (const [option, values] of Object.entries(wrong)) {
      for (const value of values) {
        const expected = { name: 'TypeError', code: 'TUS_ERR_OPTION_INVALID', option, message: new RegExp(`^${name}: '${option}' must be .`) }
        t.throws(() => create({ ...needs, ...nest(option, value) }), expected, `${option}: ${String(value)}`)
      }
    }
    for (const [options, option, similar] of unknown) {
      const message = `${name}: there is no option '${option}'${similar === null ? '' : `: did you mean '${similar}'?`}`
      t.throws(() => create({ ...needs, ...options, ...Object.hasOwn(options, '__proto__') && options }), { name: 'TypeError', code: 'TUS_ERR_OPTION_UNKNOWN', option, message }, option)
    }
    for (const options of [null, 'x', 7, []]) t.throws(() => create(options), { code: 'TUS_ERR_OPTION_INVALID', message: `${name}: 'options' must be an object` })
    for (const options of right) t.ok(create({ ...needs, ...options }))
    t.same(await readdir(join(directory)), [])
  })
}

t.test('what a function of the application says of an object is checked in the same way', async t => {
  const say = (said: unknown) => resolveS3Options({ client, bucket: 'b', objectOptions: () => said as ObjectOptions }).objectOptions(makeUpload('a'))
  t.throws(() => say({ Key: 'elsewhere' }), { code: 'TUS_ERR_OPTION_UNKNOWN', option: 'objectOptions.Key' })
  t.throws(() => say({ ContentType: 7 }), { code: 'TUS_ERR_OPTION_INVALID', option: 'objectOptions.ContentType' })
  t.match(say({ StorageClass: 'GLACIER_IR' }), { StorageClass: 'GLACIER_IR' })
  const { blobOptions } = resolveAzureOptions({ container, blobOptions: () => ({ tag: {} }) as never })
  t.throws(() => blobOptions(makeUpload('a')), { code: 'TUS_ERR_OPTION_UNKNOWN', option: 'blobOptions.tag' })
})

t.test('a name that is a little off has one that is meant, others have none', async t => {
  const known = ['prefix', 'storage', 'maxSize', 'maxAppendSize', 'cors']
  const cases: ReadonlyArray<readonly [name: string, similar: string | null]> = [
    ['maxsize', 'maxSize'], ['maxSze', 'maxSize'], ['max_size', 'maxSize'], ['pref', 'prefix'], ['prefixes', 'prefix'], ['store', 'storage'], ['crs', 'cors'], ['path', null], ['x', null], ['', null], ['limits', null]
  ]
  for (const [name, similar] of cases) t.equal(findSimilar(name, known), similar, name)
})
