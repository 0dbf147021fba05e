// A server that notes what its finish hooks do, and hangs in one of them if it is told to.
//
//   node hooks-process.mjs DIRECTORY LOG [HOOK TO HANG IN]
import Fastify from 'fastify'
import { appendFileSync } from 'node:fs'
import { createFsStorage } from '../../dist/adapters/fs/index.js'
import fastifyTus from '../../dist/lib/index.js'

const [directory, log, hanging] = process.argv.slice(2)
const app = Fastify()
await app.register(fastifyTus, { storage: createFsStorage({ directory }) })
for (const hook of ['preFinish', 'postFinish']) {
  app.tus.addHook(hook, async (request, upload) => {
    appendFileSync(log, `${hook} ${upload.offset} ${request?.method ?? 'nobody'}\n`)
    if (hook === hanging) await new Promise(() => {})
  })
}
app.get('/sweep', () => app.tus.sweep())
process.stdout.write(`ready ${await app.listen({ port: 0, host: '127.0.0.1' })}\n`)
