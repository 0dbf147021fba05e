import type { FastifyError, FastifyInstance, FastifyReply, FastifyRequest } from 'fastify'
import { tracingChannel } from 'node:diagnostics_channel'
import { setTimeout as sleep } from 'node:timers/promises'
import t, { type Test } from 'tap'
import type { TusOptions } from '../../lib/index.js'
import { addOnSend } from '../support/answers.js'
import { BYTES, TUS, createGate, createUpload } from '../support/http-tus.js'
import { formatHead, openRaw } from '../support/raw-socket.js'
import { refuseAll, startSubject, type Subject, type Target } from '../support/refusals.js'

type ErrorHandler = (error: FastifyError, request: FastifyRequest, reply: FastifyReply) => unknown

const SAYS = 'handled by the application'
const HANDLED = { status: 418, says: SAYS }

function rethrow (): never {
  throw Object.assign(new Error(SAYS), { statusCode: 418 })
}

/** Every way in which an error handler may answer. */
const HANDLERS: Readonly<Record<string, ErrorHandler>> = {
  'calls send': (_error, _request, reply) => { reply.code(418).send({ say: SAYS }) },
  'returns the payload': (_error, _request, reply) => {
    reply.code(418)
    return SAYS
  },
  'calls send later': (_error, _request, reply) => { setTimeout(() => reply.code(418).send(SAYS), 3) },
  'returns the payload, async': async (_error, _request, reply) => {
    reply.code(418)
    return { say: SAYS }
  },
  'calls send and returns nothing, async': async (_error, _request, reply) => { reply.code(418).send({ say: SAYS }) },
  'calls send and returns reply, async': async (_error, _request, reply) => reply.code(418).send(SAYS),
  'waits, calls send and returns nothing, async': async (_error, _request, reply) => {
    await sleep(2)
    reply.code(418).send(SAYS)
  },
  'throws another error': rethrow,
  'throws another error, async': async () => rethrow()
}

/** Requests that the plugin itself refuses. */
const MISSING: readonly Target[] = [
  { method: 'POST', path: '/files', headers: TUS, status: 400 },
  { method: 'PATCH', path: '/files/missing', headers: { ...TUS, ...BYTES, 'upload-offset': '0' }, status: 404 },
  { method: 'DELETE', path: '/files/missing', headers: TUS, status: 404 },
  { method: 'HEAD', path: '/files/missing', headers: TUS, status: 404 },
  { method: 'GET', path: '/files/missing', headers: {}, status: 404 },
  { method: 'PATCH', path: '/documents/~post/missing', headers: { 'upload-draft-interop-version': '8', 'content-type': 'application/partial-upload', 'upload-offset': '0', 'upload-complete': '?0' }, status: 404 }
]

async function startMissing (t: Test, prepare: (app: FastifyInstance) => TusOptions): Promise<Subject> {
  return { ...await startSubject(t, prepare), targets: MISSING }
}

for (const [name, handler] of Object.entries(HANDLERS)) {
  t.test(`an error handler that ${name} decides what the client gets`, async t => {
    for (const onSend of ['none', 'asynchronous'] as const) {
      for (const place of ['setErrorHandler', 'routeOptions.errorHandler'] as const) {
        for (const onError of [undefined, async () => { await sleep(1) }]) {
          const subject = await startMissing(t, app => {
            addOnSend(app, onSend)
            if (onError) app.addHook('onError', onError)
            if (place === 'setErrorHandler') app.setErrorHandler(handler)
            return place === 'setErrorHandler' ? {} : { routeOptions: { errorHandler: handler as never } }
          })
          await t.test(`${place}, onSend hook: ${onSend}, onError hook: ${onError ? 'asynchronous' : 'none'}`, t => refuseAll(t, subject, HANDLED))
        }
      }
    }
  })
}

const FAILING: Readonly<Record<string, (app: FastifyInstance) => unknown>> = {
  throws: app => app.addHook('onSend', (request, _reply, payload, done) => {
    if (request.headers['x-refuse']) rethrow()
    done(null, payload)
  }),
  'calls done with an error': app => app.addHook('onSend', (request, _reply, payload, done) => {
    if (request.headers['x-refuse']) done(Object.assign(new Error(SAYS), { statusCode: 418 }) as never, payload)
    else done(null, payload)
  }),
  'throws, async': app => app.addHook('onSend', async (request, _reply, payload) => {
    if (request.headers['x-refuse']) rethrow()
    return payload
  })
}

for (const [name, addFailing] of Object.entries(FAILING)) {
  t.test(`an onSend hook that ${name} gives the client that error`, async t => {
    const subject = await startMissing(t, app => {
      addFailing(app)
      return {}
    })
    // Fastify keeps the status of an error that came before.
    await refuseAll(t, subject, { says: SAYS })
  })
}

/** Resolves when `count` requests that reached the plugin have been handled. */
function waitForHandlers (t: Test, count: number): Promise<void> {
  const channel = tracingChannel('fastify-tus:request')
  return new Promise(resolve => {
    const handlers = { start () {}, end () {}, asyncStart () {}, error () {}, asyncEnd () { if (--count === 0) resolve() } }
    channel.subscribe(handlers)
    t.teardown(() => channel.unsubscribe(handlers))
  })
}

t.test('a request that took longer than handlerTimeout changes nothing afterwards', async t => {
  for (const place of ['the route', 'the server'] as const) {
    await t.test(`as an option of ${place}`, async t => {
      const gate = createGate()
      const subject = await startSubject(t, () => place === 'the route' ? { routeOptions: { handlerTimeout: 1000 } } : {}, place === 'the server' ? { handlerTimeout: 1000 } : {})
      const wait = async ({ headers }: FastifyRequest) => { if (headers['x-refuse']) await gate.passed }
      subject.app.tus.addHook('preAccess', wait)
      subject.app.tus.addHook('preCreate', wait)
      subject.app.tus.addHook('preTerminate', async request => { if (request?.headers['x-refuse']) await gate.passed })
      const bodies = ['no body', 'one byte', 'a body in one piece', 'a body that is still arriving', 'a chunked body', 'Expect: 100-continue']
      const targets = subject.targets.filter(({ method, path }) => ['POST', 'PATCH', 'DELETE'].includes(method) && path !== '/documents')
      const handled = waitForHandlers(t, targets.length * bodies.length)
      await refuseAll(t, { ...subject, targets }, { status: 503, says: 'timed out' }, bodies, async () => {
        gate.open()
        await handled
      })
    })
  }
})

t.test('a body that takes longer than handlerTimeout keeps the bytes that arrived, and the upload resumes', async t => {
  const { app, port } = await startSubject(t, () => ({ routeOptions: { handlerTimeout: 1000 } }))
  const path = await createUpload(app, { 'upload-length': '10' })
  const client = openRaw(t, port)
  const handled = waitForHandlers(t, 1)
  await client.send(formatHead('PATCH', path, { ...TUS, ...BYTES, 'upload-offset': '0', 'content-length': '10' }) + 'hello')
  t.match(await client.receive('PATCH'), { status: 503, headers: { connection: 'close' } })
  await handled
  await client.send('world')
  client.socket.destroy()
  t.equal((await app.inject({ method: 'HEAD', url: path, headers: TUS })).headers['upload-offset'], '5')
  t.match(await app.inject({ method: 'PATCH', url: path, headers: { ...TUS, ...BYTES, 'upload-offset': '5' }, payload: 'world' }), { statusCode: 204 })
  t.equal((await app.inject(path)).body, 'helloworld')
})
