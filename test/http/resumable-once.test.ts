import Fastify, { type FastifyReply } from 'fastify'
import type { AddressInfo } from 'node:net'
import t, { type Test } from 'tap'
import { createMemoryStorage } from '../../adapters/memory/index.js'
import fastifyTus, { type Storage } from '../../lib/index.js'
import { sleep, until } from '../support/http-tus.js'
import { append, begin, open, PARTIAL, retrieve } from '../support/ietf.js'
import { untilLockAsked } from '../support/observed.js'
import { setUp } from '../support/s3/storages.js'

// The handler of a route runs once, also where its client has gone, and where another process has the upload.

interface Gate {
  /** How often the handler was asked. */
  calls: number
  answer: () => void
}

/** How a handler answers when the gate opens. */
const WAYS: Readonly<Record<string, (gate: Gate, reply: FastifyReply) => unknown>> = {
  'by a callback': (gate, reply) => { gate.answer = () => reply.send({ calls: gate.calls }) },
  'by a callback, and returns reply': async (gate, reply) => {
    gate.answer = () => reply.send({ calls: gate.calls })
    return reply
  },
  'by its promise': async gate => {
    await new Promise<void>(resolve => { gate.answer = resolve })
    return { calls: gate.calls }
  }
}

async function start (t: Test, storage: Storage, gate: Gate, way: (gate: Gate, reply: FastifyReply) => unknown): Promise<number> {
  const app = Fastify()
  t.teardown(() => app.close())
  await app.register(fastifyTus, { storage })
  app.post('/documents', app.tus.resumable((_request, reply) => {
    gate.calls++
    return way(gate, reply)
  }))
  await app.listen({ host: '127.0.0.1', port: 0 })
  return (app.server.address() as AddressInfo).port
}

/** Brings an upload to its end, and resolves to its path when the handler runs. */
async function complete (t: Test, port: number, gate: Gate, then: 'leave' | 'stay'): Promise<string> {
  const path = await begin(t, port, 'hello', {}, '/documents')
  const client = await open(t, port, 'PATCH', path, { ...PARTIAL, 'upload-offset': '5', 'upload-complete': '?1', 'content-length': '1' }, '!')
  await until('the handler runs', () => gate.calls === 1)
  if (then === 'leave') client.reset()
  return path
}

const ANSWER = { status: 200, body: '{"calls":1}', headers: { 'upload-complete': '?1' } }

for (const [how, way] of Object.entries(WAYS)) {
  t.test(`a handler that answers ${how}, long after its client has gone, runs once, and its answer is kept`, async t => {
    const gate: Gate = { calls: 0, answer: () => {} }
    const port = await start(t, createMemoryStorage(), gate, way)
    const path = await complete(t, port, gate, 'leave')
    const { result: again } = await untilLockAsked(path, () => append(t, port, path, 6, '', '?1'))
    await sleep(1500)
    gate.answer()
    t.match(await again, ANSWER)
    t.match(await append(t, port, path, 6, '', '?1'), ANSWER)
    t.equal(gate.calls, 1)
  })
}

for (const [how, way] of Object.entries(WAYS).slice(1)) {
  t.test(`two processes on one bucket: while the handler of one has yet to answer (${how}), the other waits for that`, async t => {
    const machines = await setUp(t)
    const gate: Gate = { calls: 0, answer: () => {} }
    const [a, b] = await Promise.all([1, 2].map(async () => start(t, (await machines.open()).storage, gate, way)))
    const path = await complete(t, a!, gate, 'leave')
    const { result: again } = await untilLockAsked(path, () => append(t, b!, path, 6, '', '?1'))
    const { result: asked } = await untilLockAsked(path, () => retrieve(t, b!, path))
    await sleep(500)
    t.equal(gate.calls, 1)
    gate.answer()
    t.match([await again, await asked], [ANSWER, { status: 204, headers: { 'upload-offset': '6', 'upload-complete': '?1' } }])
    t.equal(gate.calls, 1)
  })
}

t.test('a process that died while its handler ran keeps the others waiting for its lease, and no longer', async t => {
  const { storage } = await (await setUp(t)).open()
  const gate: Gate = { calls: 0, answer: () => {} }
  const port = await start(t, storage, gate, gate => ({ calls: gate.calls }))
  const path = await begin(t, port, 'hello!', {}, '/documents')
  const until = Date.now() + 700
  await storage.update(path.split('/').at(-1)!, ({ purpose }) => ({ purpose: { ...purpose!, answering: { by: 'another', until } } }))
  t.match(await append(t, port, path, 6, '', '?1'), ANSWER)
  t.ok(Date.now() >= until)
})

t.test('a handler that failed gives its turn back at once', async t => {
  const { storage } = await (await setUp(t)).open()
  const gate: Gate = { calls: 0, answer: () => {} }
  const port = await start(t, storage, gate, async gate => {
    if (gate.calls === 1) throw new Error('the database is away')
    return { calls: gate.calls }
  })
  const path = await begin(t, port, 'hello!', {}, '/documents')
  t.match(await append(t, port, path, 6, '', '?1'), { status: 500 })
  t.match(await append(t, port, path, 6, '', '?1'), { status: 200, body: '{"calls":2}' })
  t.match((await storage.find(path.split('/').at(-1)!))!.purpose, { answering: null, answer: { status: 200 } })
})

t.test('an async handler that returns nothing has answered with nothing', async t => {
  const gate: Gate = { calls: 0, answer: () => {} }
  const port = await start(t, createMemoryStorage(), gate, async () => {})
  const path = await begin(t, port, 'hello!', {}, '/documents')
  for (let round = 0; round < 2; round++) t.match(await append(t, port, path, 6, '', '?1'), { status: 200, body: '', headers: { 'upload-complete': '?1' } })
  t.equal(gate.calls, 1)
})

t.test('what is answered past Fastify is not kept, and holds nobody up', async t => {
  const gate: Gate = { calls: 0, answer: () => {} }
  const port = await start(t, createMemoryStorage(), gate, (gate, reply) => {
    reply.hijack()
    reply.raw.end(`${gate.calls}`)
  })
  const path = await begin(t, port, 'hello!', {}, '/documents')
  for (const body of ['1', '2']) t.match(await append(t, port, path, 6, '', '?1', { connection: 'close' }), { status: 200, body: new RegExp(body) })
})
