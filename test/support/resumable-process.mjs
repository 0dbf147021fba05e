// A server whose route takes documents, notes what its handler does, and hangs in it or behind it if it is told to.
//
//   node resumable-process.mjs DIRECTORY LOG [handler|answer]
import Fastify from 'fastify'
import { appendFileSync } from 'node:fs'
import { text } from 'node:stream/consumers'
import { createFsStorage } from '../../dist/adapters/fs/index.js'
import fastifyTus from '../../dist/lib/index.js'

const [directory, log, hanging] = process.argv.slice(2)
const hang = where => where === hanging && new Promise(() => {})
const storage = createFsStorage({ directory })
const update = storage.update
// The answer is durable, and has not left.
storage.update = async (id, change) => {
  const upload = await update(id, change)
  if (upload?.purpose?.answer) await hang('answer')
  return upload
}
const app = Fastify()
await app.register(fastifyTus, { storage })
app.post('/documents', app.tus.resumable(async request => {
  const size = (await text(app.tus.createReadStream(request.upload.id))).length
  appendFileSync(log, `handled ${size}\n`)
  await hang('handler')
  return { size, by: process.pid }
}))
process.stdout.write(`ready ${await app.listen({ port: 0, host: '127.0.0.1' })}\n`)
