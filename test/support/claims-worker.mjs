// A worker process of its own: claims uploads of a directory, notes what it does, and never ends by itself.
//
//   node claims-worker.mjs DIRECTORY LOG
import Fastify from 'fastify'
import { appendFileSync } from 'node:fs'
import { createFsStorage } from '../../dist/adapters/fs/index.js'
import fastifyTus from '../../dist/lib/index.js'

const [directory, log] = process.argv.slice(2)
const note = (what, id) => appendFileSync(log, `${what} ${id} ${process.pid}\n`)

const app = Fastify()
await app.register(fastifyTus, { storage: createFsStorage({ directory }) })
await app.ready()
process.stdout.write('ready\n')

for await (const claim of app.tus.claims({ lease: 5000 })) {
  note('claimed', claim.upload.id)
  // Some work, so that a kill hits in the middle of it.
  await new Promise(resolve => setTimeout(resolve, 5))
  note('doing', claim.upload.id)
  await claim.done()
  note('done', claim.upload.id)
}
