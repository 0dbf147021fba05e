// A server that speaks both protocols, has a route of its own that takes resumable uploads, and tells what its handler got.
//
//   node application.mjs DIRECTORY DURABILITY
import Fastify from 'fastify'
import { createHash } from 'node:crypto'
import { createFsStorage } from '../../../dist/adapters/fs/index.js'
import fastifyTus from '../../../dist/lib/index.js'

const [directory, durability] = process.argv.slice(2)
const app = Fastify({ logger: { level: 'error', stream: process.stderr } })
await app.register(fastifyTus, { prefix: '/files', storage: createFsStorage({ directory, durability }) })
app.post('/documents', app.tus.resumable(async (request, reply) => {
  const hash = createHash('sha256')
  let size = 0
  for await (const chunk of await app.tus.createReadStream(request.upload.id)) {
    size += chunk.length
    hash.update(chunk)
  }
  reply.header('x-document', request.upload.id)
  return { size, sha256: hash.digest('hex') }
}))
process.once('SIGTERM', () => app.close().then(() => process.exit(0)))
await app.listen({ port: 0, host: '127.0.0.1' })
process.stdout.write(`fastify-tus listening on http://127.0.0.1:${app.server.address().port}/files\n`)
