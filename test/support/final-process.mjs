// A server that notes what its finish hooks do, and hangs at a step of a final upload if it is told to.
//
//   node final-process.mjs DIRECTORY LOG [STEP TO HANG AT [before|after]]
import Fastify from 'fastify'
import { appendFileSync } from 'node:fs'
import { createFsStorage } from '../../dist/adapters/fs/index.js'
import fastifyTus from '../../dist/lib/index.js'

const [directory, log, step, when] = process.argv.slice(2)
const storage = createFsStorage({ directory })
const app = Fastify({ return503OnClosing: false })
await app.register(fastifyTus, {
  storage: step === undefined ? storage : { ...storage, [step]: hang(storage[step]) },
  concatTimeout: Number(process.env.CONCAT_TIMEOUT ?? 20_000),
  removeParts: process.env.REMOVE_PARTS === 'yes',
  expiration: { sweepInterval: null }
})
for (const hook of ['preFinish', 'postFinish']) {
  app.tus.addHook(hook, async (_request, { id }) => { appendFileSync(log, `${hook} ${id}\n`) })
}
app.get('/sweep', () => app.tus.sweep())
process.on('SIGTERM', () => app.close())
process.stdout.write(`ready ${await app.listen({ port: 0, host: '127.0.0.1' })}\n`)

/** Only a step of a final upload: parts are made before, by another process. */
function hang (method) {
  return async (...args) => {
    if (when === 'after') await method(...args)
    process.stdout.write('hangs\n')
    await new Promise(() => {})
  }
}
