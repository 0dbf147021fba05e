import Fastify from 'fastify'
import tus, { TusError, errorCodes, fastifyTus } from 'fastify-tus'
import { runStorageContract } from 'fastify-tus/contract'
import { createFsStorage } from 'fastify-tus/fs'
import { createMemoryStorage } from 'fastify-tus/memory'
import { test } from 'node:test'
import { upload } from './upload.mjs'

test('the plugin takes a file', async () => {
  if (tus !== fastifyTus || tus.TusError !== TusError || errorCodes.length === 0) throw new Error('something is not exported')
  const app = Fastify()
  await app.register(tus, { storage: createFsStorage({ directory: './uploads' }) })
  await app.listen({ port: 0 })
  await upload(`http://127.0.0.1:${app.server.address().port}/files`)
  await app.close()
})

runStorageContract({ test, createStorage: () => createMemoryStorage() })
