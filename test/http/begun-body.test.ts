import middie from '@fastify/middie'
import bodyParser from 'body-parser'
import type { FastifyInstance, FastifyRequest } from 'fastify'
import rawBody from 'fastify-raw-body'
import { once } from 'node:events'
import { PassThrough } from 'node:stream'
import { setTimeout as sleep } from 'node:timers/promises'
import t, { type Test } from 'tap'
import Fastify from 'fastify'
import type { AddressInfo } from 'node:net'
import { createFsStorage } from '../../adapters/fs/index.js'
import fastifyTus from '../../lib/index.js'
import { makeDirectory } from '../support/app.js'
import { BYTES, TUS, makeBytes } from '../support/http-tus.js'

/** Bodies of one packet and of many. */
const CONTENTS = [Buffer.from('hello'), makeBytes(3 * 1024 * 1024 + 7)]

/** The plugin behind an application that looks at bodies; its `GET` routes tell what is stored. */
async function start (t: Test, prepare: (app: FastifyInstance) => unknown): Promise<{ app: FastifyInstance, url: string }> {
  const app = Fastify()
  t.teardown(() => app.close())
  await prepare(app)
  await app.register(fastifyTus, { storage: createFsStorage({ directory: await makeDirectory(t), durability: 'none' }) })
  await app.listen({ host: '127.0.0.1', port: 0 })
  return { app, url: `http://127.0.0.1:${(app.server.address() as AddressInfo).port}/files` }
}

/** A body as the client frames it. */
function frame (content: Buffer, framing: string): RequestInit & { duplex?: 'half' } {
  return framing === 'chunked' ? { body: new Blob([content]).stream(), duplex: 'half' } : { body: content }
}

async function create (url: string, length: number): Promise<string> {
  const { headers } = await fetch(url, { method: 'POST', headers: { ...TUS, 'upload-length': String(length) } })
  return headers.get('location')!
}

async function count (app: FastifyInstance): Promise<number> {
  let count = 0
  for await (const { id } of app.tus.list()) if (id) count++
  return count
}

function isUpload ({ method }: FastifyRequest): boolean {
  return method === 'PATCH' || method === 'POST'
}

/** What takes bytes away before the upload route reads. */
const TAKERS: Readonly<Record<string, (app: FastifyInstance) => unknown>> = {
  'body-parser of Express, by @fastify/middie': async app => {
    await app.register(middie)
    app.use(bodyParser.raw({ type: () => true, limit: '10mb' }))
  },
  'a hook that reads the whole body': app => app.addHook('preParsing', async (request, _reply, payload) => {
    if (isUpload(request)) for await (const chunk of payload) request.log.trace(chunk)
  }),
  'a hook that reads the first chunk': app => app.addHook('onRequest', async request => {
    if (isUpload(request) && request.headers['content-length'] !== '0') await once(request.raw, 'data')
  }),
  'a listener whose hook waits while the body flows': app => app.addHook('onRequest', async request => {
    if (!isUpload(request)) return
    request.raw.on('data', () => {})
    if (request.headers['content-length'] !== '0') await once(request.raw, 'data')
    await sleep(5)
  }),
  'a hook that makes text of it': app => app.addHook('onRequest', async request => { request.raw.setEncoding('utf8') })
}

for (const [name, prepare] of Object.entries(TAKERS)) {
  t.test(`a body that ${name} has begun to read is refused before anything is stored`, async t => {
    const { app, url } = await start(t, prepare)
    for (const content of CONTENTS) {
      for (const framing of ['plain', 'chunked']) {
        const upload = await create(url, content.length)
        const refused = await fetch(upload, { method: 'PATCH', headers: { ...TUS, ...BYTES, 'upload-offset': '0' }, ...frame(content, framing) })
        t.match(await refused.json(), { statusCode: 500, code: 'TUS_ERR_BODY_CONSUMED' }, `${content.length} bytes, ${framing}`)
        t.equal((await fetch(upload, { method: 'HEAD', headers: TUS })).headers.get('upload-offset'), '0')
        const before = await count(app)
        const created = await fetch(url, { method: 'POST', headers: { ...TUS, ...BYTES, 'upload-length': String(content.length) }, ...frame(content, framing) })
        t.match(await created.json(), { statusCode: 500, code: 'TUS_ERR_BODY_CONSUMED' })
        t.equal(await count(app), before)
      }
    }
  })
}

/** What reads along. Each calls `seen` with what it got, as it kept it. */
const LISTENERS: Readonly<Record<string, (app: FastifyInstance, seen: (chunk: Buffer) => void) => unknown>> = {
  'a listener of an onRequest hook': (app, seen) => app.addHook('onRequest', (request, _reply, done) => {
    request.raw.on('data', seen)
    done()
  }),
  'a listener of a preParsing hook': (app, seen) => app.addHook('preParsing', (_request, _reply, payload, done) => {
    payload.on('data', seen)
    done(null, payload)
  }),
  'a listener of a middleware, by @fastify/middie': async (app, seen) => {
    await app.register(middie)
    app.use((request, _response, next) => {
      request.on('data', seen)
      next()
    })
  },
  'fastify-raw-body for all routes': async app => { await app.register(rawBody, { global: true, runFirst: true }) },
  'a pipe': (app, seen) => app.addHook('preHandler', (request, _reply, done) => {
    request.raw.pipe(new PassThrough({ highWaterMark: 1024 })).on('data', seen)
    done()
  })
}

for (const [name, prepare] of Object.entries(LISTENERS)) {
  t.test(`${name} gets every byte, and so does the upload`, async t => {
    let kept: Buffer[] = []
    const { url } = await start(t, app => prepare(app, chunk => { kept.push(chunk) }))
    for (const content of CONTENTS) {
      for (const framing of ['plain', 'chunked']) {
        const upload = await create(url, content.length)
        kept = []
        const answer = await fetch(upload, { method: 'PATCH', headers: { ...TUS, ...BYTES, 'upload-offset': '0' }, ...frame(content, framing) })
        t.equal(answer.status, 204, `${content.length} bytes, ${framing}`)
        if (!name.startsWith('fastify')) t.ok(Buffer.concat(kept).equals(content), 'the listener has them still')
        t.ok(Buffer.from(await (await fetch(upload)).arrayBuffer()).equals(content), 'the file is what was sent')
      }
    }
  })
}

/** What may or may not be too early. */
const RACERS: typeof LISTENERS = {
  'a listener of an asynchronous preHandler hook': (app, seen) => app.addHook('preHandler', async request => { request.raw.on('data', seen) }),
  'a reader that waits for readable': (app, seen) => app.addHook('preHandler', (request, _reply, done) => {
    request.raw.on('readable', () => { for (let chunk; (chunk = request.raw.read()) !== null;) seen(chunk) })
    done()
  }),
  'a pipe that stands in for the body': (app, seen) => app.addHook('preParsing', async (_request, _reply, payload) => {
    return payload.pipe(new PassThrough().on('data', seen))
  })
}

for (const [name, prepare] of Object.entries(RACERS)) {
  t.test(`${name} never makes an upload of a part of the body`, async t => {
    const { url } = await start(t, app => prepare(app, () => {}))
    for (const content of CONTENTS) {
      for (const framing of ['plain', 'chunked']) {
        const upload = await create(url, content.length)
        const answer = await fetch(upload, { method: 'PATCH', headers: { ...TUS, ...BYTES, 'upload-offset': '0' }, ...frame(content, framing) })
        if (answer.status !== 204) t.match(await answer.json(), { statusCode: 500, code: 'TUS_ERR_BODY_CONSUMED' })
        const offset = (await fetch(upload, { method: 'HEAD', headers: TUS })).headers.get('upload-offset')
        t.equal(offset, answer.status === 204 ? String(content.length) : '0')
        if (answer.status === 204) t.ok(Buffer.from(await (await fetch(upload)).arrayBuffer()).equals(content))
      }
    }
  })
}

t.test('a listener that keeps one chunk, and leaves, keeps it whole', async t => {
  const content = CONTENTS[1]!
  for (const early of [true, false]) {
    let kept: Buffer | undefined
    const { url } = await start(t, app => app.addHook('preHandler', (request, _reply, done) => {
      const sample = () => { request.raw.once('data', chunk => { kept = chunk }) }
      if (early) sample()
      else request.raw.once('resume', () => setImmediate(sample))
      done()
    }))
    const upload = await create(url, content.length)
    kept = undefined
    t.equal((await fetch(upload, { method: 'PATCH', headers: { ...TUS, ...BYTES, 'upload-offset': '0' }, body: content })).status, 204)
    t.ok(kept === undefined ? !early : content.includes(kept!), early ? 'from the start' : 'from the middle')
    t.ok(Buffer.from(await (await fetch(upload)).arrayBuffer()).equals(content))
  }
})

t.test('requests without a body do not care who listens', async t => {
  const { url } = await start(t, app => app.addHook('onRequest', async request => {
    request.raw.on('data', () => {})
    await sleep(1)
  }))
  const upload = await create(url, 0)
  t.equal((await fetch(upload, { method: 'HEAD', headers: TUS })).status, 200)
  t.equal((await fetch(upload, { method: 'DELETE', headers: TUS })).status, 204)
})
