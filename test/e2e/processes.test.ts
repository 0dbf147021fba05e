import Fastify, { type FastifyInstance } from 'fastify'
import { stat, utimes } from 'node:fs/promises'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import t, { type Test } from 'tap'
import { createFsStorage } from '../../adapters/fs/index.js'
import fastifyTus, { type TusOptions } from '../../lib/index.js'
import { makeDirectory } from '../support/app.js'
import { getPath, patch, post } from '../support/http-tus.js'

// Two applications on one directory. Each has a storage of its own, so they know of each other what two processes know.

async function makeApps (t: Test, options: TusOptions): Promise<[FastifyInstance, FastifyInstance, string]> {
  const directory = await makeDirectory(t)
  return [await openApp(t, directory, options), await openApp(t, directory, options), directory]
}

async function openApp (t: Test, directory: string, options: TusOptions): Promise<FastifyInstance> {
  const app = Fastify()
  t.teardown(() => app.close())
  await app.register(fastifyTus, { storage: createFsStorage({ directory, durability: 'none' }), ...options })
  return app
}

/** Of an upload that gets no bytes, in ms. */
const LIFETIME = 60_000

t.test('EX-5: a sweep in one process never takes an upload that is resumed in another', async t => {
  const expiration = { incomplete: LIFETIME, sweepInterval: null }
  const [creator, first, directory] = await makeApps(t, { expiration })
  const second = await openApp(t, directory, { expiration })
  const outcomes: Record<string, number> = {}
  for (let round = 0; round < 150; round++) {
    const url = getPath(await post(creator, { 'upload-length': '10' }))
    const path = join(directory, url.split('/').at(-1)!)
    await patch(creator, url, 0, 'x')
    // It expires now, a little earlier or a little later.
    const modifiedAt = new Date(Date.now() - LIFETIME - 4 + round % 10)
    await utimes(path, modifiedAt, modifiedAt)
    const sweeping = second.tus.sweep()
    const { statusCode } = await patch(first, url, 1, 'hello')
    await sweeping
    const size = await stat(path).then(({ size }) => size, () => null)
    if (statusCode === 204) t.equal(size, 6, 'who was told that the bytes are kept has them')
    else t.match([statusCode, size ?? 0], [/404|410/, 0])
    outcomes[statusCode] = (outcomes[statusCode] ?? 0) + 1
  }
  t.comment(JSON.stringify(outcomes))
})

t.test('two processes that sweep at once finish an upload once', async t => {
  const [first, second, directory] = await makeApps(t, { expiration: { sweepInterval: null } })
  const finished: string[] = []
  for (const app of [first, second]) {
    app.tus.addHook('preFinish', async () => { if (refusing) throw new Error('not yet') })
    app.tus.addHook('postFinish', async (_request, { id }) => {
      await sleep(2)
      finished.push(id)
    })
  }
  let refusing = true
  const ids: string[] = []
  for (let index = 0; index < 20; index++) {
    const url = getPath(await post(first, { 'upload-length': '5' }))
    await patch(first, url, 0, 'hello')
    ids.push(url.split('/').at(-1)!)
  }
  t.same(finished, [])
  refusing = false
  const counts = await Promise.all([first.tus.sweep(), second.tus.sweep(), first.tus.sweep()])
  t.same(finished.sort(), ids.sort(), 'each once')
  t.same(counts.map(({ failed }) => failed), [0, 0, 0])
  for (const id of ids) await utimes(join(directory, id), 0, 0)
  await second.tus.sweep()
  for (const id of ids) t.equal((await second.tus.find(id))?.finished, true, 'complete uploads stay')
})

t.test('an id that two processes choose at once is created once', async t => {
  const [first, second] = await makeApps(t, { generateId: (_request, { filename }) => filename! })
  for (let round = 0; round < 50; round++) {
    const headers = { 'upload-length': '5', 'upload-metadata': `filename ${Buffer.from(`file-${round}`).toString('base64')}` }
    const responses = await Promise.all([first, second, first, second].map(app => post(app, headers)))
    t.same(responses.map(({ statusCode }) => statusCode).sort(), [201, 409, 409, 409])
  }
})
