import bearerAuth from '@fastify/bearer-auth'
import compress from '@fastify/compress'
import cors from '@fastify/cors'
import helmet from '@fastify/helmet'
import jwt from '@fastify/jwt'
import middie from '@fastify/middie'
import multipart from '@fastify/multipart'
import rateLimit from '@fastify/rate-limit'
import underPressure from '@fastify/under-pressure'
import type { FastifyInstance } from 'fastify'
import { gzipSync } from 'node:zlib'
import t, { type Test } from 'tap'
import { BYTES, TUS, createComplete, createUpload, makeBytes, patch, until } from '../support/http-tus.js'
import { refuseAll, refuseAllOverHttp2, startSubject, type Expected, type Subject } from '../support/refusals.js'

interface Setup {
  /** As the page of the plugin shows it. */
  readonly add: (app: FastifyInstance) => unknown
  readonly expected: Expected
}

/** Plugins that refuse, each for requests with the header `x-refuse`. */
const REFUSING: Readonly<Record<string, Setup>> = {
  '@fastify/jwt, as its page shows it': {
    async add (app) {
      await app.register(jwt, { secret: 'not so secret' })
      app.addHook('onRequest', async (request, reply) => {
        if (!request.headers['x-refuse']) return
        try {
          await request.jwtVerify()
        } catch (error) {
          reply.send(error)
        }
      })
    },
    expected: { status: 401, says: 'No Authorization was found' }
  },
  '@fastify/bearer-auth': {
    async add (app) {
      await app.register(bearerAuth, { keys: new Set(['key']), addHook: false })
      app.addHook('onRequest', (request, reply, done) => {
        if (request.headers['x-refuse']) app.verifyBearerAuth!(request, reply, done)
        else done()
      })
    },
    expected: { status: 401, says: 'missing authorization header' }
  },
  '@fastify/rate-limit': {
    add: app => app.register(rateLimit, { max: 0, allowList: request => !request.headers['x-refuse'] }),
    expected: { status: 429, says: 'Rate limit exceeded' }
  },
  '@fastify/middie, by a middleware': {
    async add (app) {
      await app.register(middie)
      app.use((request, response, next) => {
        if (!request.headers['x-refuse']) return next()
        response.statusCode = 401
        response.end('not you')
      })
    },
    expected: { status: 401, says: 'not you' }
  }
}

async function addOthers (app: FastifyInstance): Promise<void> {
  await app.register(helmet)
  await app.register(compress)
  await app.register(multipart)
  await app.register(cors, { origin: true })
}

/** The hooks of @fastify/rate-limit are those of routes, and run after @fastify/cors of the scope has answered OPTIONS. */
function leaveOutPreflights (subject: Subject, name: string): Subject {
  return name === '@fastify/rate-limit' ? { ...subject, targets: subject.targets.filter(({ method }) => method !== 'OPTIONS') } : subject
}

for (const [name, { add, expected }] of Object.entries(REFUSING)) {
  t.test(`what ${name} refuses stays refused, beside the others`, async t => {
    await t.test('over HTTP/1.1', async t => {
      const subject = await startSubject(t, async app => {
        await add(app)
        await addOthers(app)
        return {}
      })
      await refuseAll(t, leaveOutPreflights(subject, name), expected)
    })

    await t.test('over HTTP/2', async t => {
      const subject = await startSubject(t, async app => {
        await add(app)
        await addOthers(app)
        return {}
      }, { http2: true })
      await refuseAllOverHttp2(t, leaveOutPreflights(subject, name), expected)
    })
  })
}

t.test('what @fastify/under-pressure refuses stays refused', async t => {
  const subject = await startSubject(t, async app => {
    await app.register(underPressure, {
      maxRssBytes: 1,
      sampleInterval: 5,
      pressureHandler: (request, reply) => { if (request.headers['x-refuse']) reply.code(503).send('too much') }
    })
    return {}
  })
  const isRefused = async () => (await subject.app.inject({ url: '/files/none', headers: { 'x-refuse': 'yes' } })).statusCode === 503
  await until('a sample was taken', isRefused)
  await refuseAll(t, subject, { status: 503, says: 'too much', isOwn: true })
})

/** An application with all of them. */
async function startAll (t: Test): Promise<FastifyInstance> {
  const { app } = await startSubject(t, async app => {
    await addOthers(app)
    await app.register(jwt, { secret: 'not so secret' })
    await app.register(bearerAuth, { keys: new Set(['key']), addHook: false })
    await app.register(rateLimit, { max: 1000 })
    await app.register(underPressure, { maxEventLoopDelay: 0 })
    await app.register(middie)
    app.use((_request, _response, next) => next())
    return {}
  })
  return app
}

t.test('an upload works beside nine plugins', async t => {
  const app = await startAll(t)
  const content = makeBytes(300_000)
  const url = await createUpload(app, { 'upload-length': String(content.length) })
  t.match(await patch(app, url, 0, content.subarray(0, 1000)), { statusCode: 204, headers: { 'upload-offset': '1000', 'x-ratelimit-limit': '1000', 'x-frame-options': 'SAMEORIGIN' } })
  t.match(await app.inject({ method: 'HEAD', url, headers: TUS }), { statusCode: 200, headers: { 'upload-offset': '1000' } })
  t.match(await patch(app, url, 1000, content.subarray(1000)), { statusCode: 204 })
  const got = await app.inject({ url, headers: { 'accept-encoding': 'gzip' } })
  t.ok(got.rawPayload.equals(content))
  t.equal((await app.inject({ method: 'POST', url: '/documents', payload: 'hello', headers: { 'content-type': 'text/plain' } })).body, 'handled')
})

t.test('@fastify/compress leaves a file as it is, so that a download resumes by ranges', async t => {
  const app = await startAll(t)
  const text = 'the same line again\n'.repeat(5000)
  const url = await createComplete(app, text, { filename: 'a.txt', filetype: 'text/plain' })
  const plain = await app.inject({ url })
  const packed = await app.inject({ url, headers: { 'accept-encoding': 'gzip' } })
  t.equal(plain.body, text)
  t.match(packed, { body: text, headers: { etag: plain.headers.etag, 'content-length': String(text.length), 'accept-ranges': 'bytes' } })
  t.notOk(packed.headers['content-encoding'])
  const part = await app.inject({ url, headers: { 'accept-encoding': 'gzip', range: 'bytes=4-7' } })
  t.match(part, { statusCode: 206, body: text.slice(4, 8) })
})

t.test('@fastify/compress leaves a body that is encoded to us, and we refuse it', async t => {
  const app = await startAll(t)
  const url = await createUpload(app)
  t.equal((await patch(app, url, 0, gzipSync('hello'), { 'content-encoding': 'gzip' })).statusCode, 415)
  t.match(await app.inject({ method: 'HEAD', url, headers: TUS }), { headers: { 'upload-offset': '0' } })
})

t.test('bodies of our type are ours alone', async t => {
  const app = await startAll(t)
  t.equal((await app.inject({ method: 'POST', url: '/elsewhere', payload: 'x', headers: BYTES })).statusCode, 404)
  t.equal((await app.inject({ method: 'POST', url: '/files', payload: 'x', headers: { ...TUS, 'upload-length': '1', 'content-type': 'multipart/form-data; boundary=x' } })).statusCode, 415)
})
