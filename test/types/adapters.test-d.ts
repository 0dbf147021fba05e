// What must compile of adapters, routes and documents, and, behind `@ts-expect-error`, what must not. `npm run typecheck` and public.test.ts compile it; nothing runs it.
import { S3Client } from '@aws-sdk/client-s3'
import type { FastifyInstance } from 'fastify'
import { test } from 'node:test'
import { createFsStorage, type FsStorageOptions } from '../../adapters/fs/index.js'
import { createMemoryStorage } from '../../adapters/memory/index.js'
import { createS3Storage, type S3StorageOptions } from '../../adapters/s3/index.js'
import { runStorageContract } from '../../lib/contract.js'
import tus, { type Locker, type OpenApiOptions, type Storage, type Upload } from '../../lib/index.js'

const client = new S3Client({})

export const storages: Storage[] = [
  createMemoryStorage(),
  createFsStorage({ directory: '.' }),
  createFsStorage({ directory: '.', durability: 'fsync', metadataCalls: 'async', locks: 'process' }) satisfies Storage,
  createS3Storage({ client, bucket: 'b' }),
  createS3Storage({ client, bucket: 'b', prefix: 'p/', partSize: 5, memoryBudget: 10, concurrency: 1, commitInterval: 1, conditionalWrites: 'off' }),
  createS3Storage({ client, bucket: 'b', key: upload => `${String(upload.serverMetadata.owner)}/${upload.id}`, objectOptions: { StorageClass: 'GLACIER_IR', Tagging: 'a=b' } }),
  createS3Storage({ client, bucket: 'b', objectOptions: upload => ({ ContentType: upload.metadata.filetype, CacheControl: 'no-store' }) })
]
export const options: [FsStorageOptions, S3StorageOptions] = [{ directory: '.' }, { client, bucket: 'b' }]

export function mistakes (): void {
  // @ts-expect-error there is no such durability
  createFsStorage({ directory: '.', durability: 'flush' })
  // @ts-expect-error there are no such locks
  createFsStorage({ directory: '.', locks: 'redis' })
  // @ts-expect-error a bucket has a name
  createS3Storage({ client })
  // @ts-expect-error a client is not an address
  createS3Storage({ client: 'http://localhost', bucket: 'b' })
  // @ts-expect-error a size is a number
  createS3Storage({ client, bucket: 'b', partSize: '8MiB' })
  // @ts-expect-error PutObject has no such word
  createS3Storage({ client, bucket: 'b', objectOptions: { Tags: 'a=b' } })
  // @ts-expect-error a key is a string, at once
  createS3Storage({ client, bucket: 'b', key: async () => 'x' })
  // @ts-expect-error memory has nothing to choose
  createMemoryStorage({ directory: '.' })
}

export function contract (): void {
  runStorageContract({ test, createStorage: () => createMemoryStorage() })
  runStorageContract({ test: (name, run) => test(name, run), createStorage: async () => createMemoryStorage(), reopen: storage => storage })
  // @ts-expect-error something has to be tested
  runStorageContract({ test })
  // @ts-expect-error a storage, and not its options
  runStorageContract({ test, createStorage: () => ({ directory: '.' }) })
}

export function routes (app: FastifyInstance): void {
  app.post('/documents', app.tus.resumable(async (request, reply) => {
    const upload: Upload = request.upload!
    return reply.code(201).send({ id: upload.id })
  }))
  app.put<{ Params: { project: string } }>('/projects/:project', app.tus.resumable(async request => request.params.project))
  app.post('/named', app.tus.resumable(function (request) { return this.tus.find(request.upload!.id) }))

  // @ts-expect-error a handler is a function
  app.tus.resumable('x')
  // @ts-expect-error there may be none, as far as TypeScript knows
  app.post('/documents', app.tus.resumable(async request => request.upload.id))
}

export async function documents (app: FastifyInstance): Promise<void> {
  const openapi: OpenApiOptions = { tags: ['files'], security: [{ bearer: [] }] }
  await app.register(tus, { openapi })
  await app.register(tus, { openapi: false })
  // @ts-expect-error true is no description
  await app.register(tus, { openapi: true })
  // @ts-expect-error a list
  await app.register(tus, { openapi: { tags: 'files' } })
}

export async function lockers (app: FastifyInstance): Promise<void> {
  const locker: Locker = { withLock: async (_id, _timeout, run) => run({ onWanted: () => {} } as never) }
  await app.register(tus, { locker })
  // @ts-expect-error it has to lock
  await app.register(tus, { locker: {} })
}
