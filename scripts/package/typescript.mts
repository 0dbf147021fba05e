import Fastify, { type FastifyInstance } from 'fastify'
import tus, { StopUpload, TusError, type Storage, type TusOptions, type Upload } from 'fastify-tus'
import { runStorageContract } from 'fastify-tus/contract'
import { createFsStorage } from 'fastify-tus/fs'
import { createMemoryStorage } from 'fastify-tus/memory'
import { createS3Storage } from 'fastify-tus/s3'
import type { AddressInfo } from 'node:net'
import { test } from 'node:test'
// @ts-expect-error a file without types
import { upload } from './upload.mjs'

const storages: Storage[] = [createFsStorage({ directory: './uploads' }), createMemoryStorage()]
export const createBucketStorage: (...options: Parameters<typeof createS3Storage>) => Storage = createS3Storage

test('the plugin takes a file', async () => {
  for (const storage of storages) {
    const app: FastifyInstance = Fastify()
    const options: TusOptions = { storage, maxSize: request => request.headers['x-big'] ? null : 5e6 }
    await app.register(tus, options)
    const finished: Upload[] = []
    app.tus.addHook('postReceive', (_request, { offset }) => { if (offset > 5e6) throw new StopUpload('enough') })
    app.tus.addHook('postFinish', (_request, upload) => { finished.push(upload) })
    app.addHook('onResponse', async request => { if (request.upload !== null) request.log.info(request.upload.id) })
    await app.listen({ port: 0 })
    await upload(`http://127.0.0.1:${(app.server.address() as AddressInfo).port}/files`)
    if (finished.length !== 1) throw new TusError('TEST', 500, 'the hook did not run', {})
    await app.close()
  }
})

runStorageContract({ test, createStorage: () => createMemoryStorage() })
