// Works on complete uploads in a process of its own, beside any number of servers and other workers on the same directory.
//
//   UPLOADS=./uploads FOLDER=./complete node example/worker.mjs
import Fastify from 'fastify'
import tus from 'fastify-tus'
import { createFsStorage } from 'fastify-tus/fs'
import { mkdir } from 'node:fs/promises'
import { join } from 'node:path'

const { UPLOADS = './uploads', FOLDER = './complete' } = process.env
await mkdir(FOLDER, { recursive: true })

const app = Fastify({ logger: true })
// The servers sweep: a worker need not.
await app.register(tus, { storage: createFsStorage({ directory: UPLOADS }), expiration: { sweepInterval: null } })
await app.ready()

const stop = new AbortController()
for (const signal of ['SIGTERM', 'SIGINT']) process.once(signal, () => stop.abort())
app.log.info('waiting for files')

for await (const claim of app.tus.claims({ signal: stop.signal })) {
  const { id } = claim.upload
  try {
    await claim.saveTo(join(FOLDER, id))
    await claim.done({ remove: true })
    app.log.info({ id }, 'a file is in its place')
  } catch (error) {
    // A claim that is not done is given back, and comes again in a second: to this worker or another one.
    app.log.error({ err: error, id }, 'a file could not be worked on')
  }
}
await app.close()
