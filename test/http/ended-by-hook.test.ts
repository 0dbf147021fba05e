import Fastify, { type FastifyReply, type FastifyRequest } from 'fastify'
import { once } from 'node:events'
import http2, { constants, type Http2ServerResponse } from 'node:http2'
import type { AddressInfo } from 'node:net'
import t from 'tap'
import fastifyTus from '../../lib/index.js'
import { createMemoryStorage } from '../../adapters/memory/index.js'
import { startApp } from '../support/app.js'
import { BYTES, TUS, createUpload, getOffset } from '../support/http-tus.js'
import { formatHead, openRaw } from '../support/raw-socket.js'

type Hook = (request: FastifyRequest, reply: FastifyReply, done: () => void) => void

/** Hooks that refuse by ending the connection, and let Fastify continue. */
const ENDINGS: Readonly<Record<string, Hook>> = {
  'request.raw': (request, _reply, done) => {
    request.raw.destroy()
    done()
  },
  'reply.raw': (_request, reply, done) => {
    reply.raw.destroy()
    done()
  },
  'request.socket': (request, _reply, done) => {
    request.socket.destroy()
    done()
  }
}

for (const [name, onRequest] of Object.entries(ENDINGS)) {
  t.test(`a hook that destroys ${name} refuses: nothing is created, filled or removed`, async t => {
    for (const isSlow of [false, true]) {
      const hook: Hook = isSlow ? (request, reply, done) => onRequest(request, reply, () => { setImmediate(done) }) : onRequest
      const refuse: Hook = (request, reply, done) => request.headers['x-refuse'] ? hook(request, reply, done) : done()
      const { app, port } = await startApp(t, { routeOptions: { onRequest: refuse } })
      const reached: string[] = []
      const reach = (request: FastifyRequest) => { if (request.headers['x-refuse']) reached.push(request.method) }
      app.tus.addHook('preAccess', reach)
      app.tus.addHook('preCreate', reach)
      const path = await createUpload(app)
      for (const [method, target, headers, body] of [
        ['POST', '/files', { 'upload-length': '5' }, ''], ['DELETE', path, {}, ''], ['PATCH', path, { ...BYTES, 'upload-offset': '0' }, 'hello']
      ] as const) {
        const client = openRaw(t, port)
        await client.send(formatHead(method, target, { ...TUS, ...headers, 'x-refuse': 'yes', 'content-length': String(body.length) }) + body)
        t.equal(await client.receive(method), null, `${method} has no answer`)
      }
      t.equal(await getOffset(app, path), '0')
      t.same(reached, [])
    }
  })
}

/** The same over HTTP/2, where a connection has many requests. */
const STREAM_ENDINGS: Readonly<Record<string, (reply: FastifyReply) => void>> = {
  'destroys reply.raw': ({ raw }) => { raw.destroy() },
  'destroys its stream': ({ raw }) => { (raw as unknown as Http2ServerResponse).stream.destroy() },
  'closes its stream': ({ raw }) => { (raw as unknown as Http2ServerResponse).stream.close(constants.NGHTTP2_CANCEL) }
}

for (const [name, end] of Object.entries(STREAM_ENDINGS)) {
  t.test(`over HTTP/2, a hook that ${name} refuses`, async t => {
    const app = Fastify({ http2: true })
    t.teardown(() => app.close())
    const onRequest: Hook = (request, reply, done) => {
      if (request.headers['x-refuse']) end(reply as unknown as FastifyReply)
      done()
    }
    await app.register(fastifyTus, { storage: createMemoryStorage(), routeOptions: { onRequest } })
    const reached: string[] = []
    app.tus.addHook('preCreate', request => { reached.push(String(request.headers['x-refuse'])) })
    await app.listen({ port: 0, host: '127.0.0.1' })
    const session = http2.connect(`http://127.0.0.1:${(app.server.address() as AddressInfo).port}`)
    t.teardown(() => session.destroy())
    for (const refuse of [{ 'x-refuse': 'yes' }, {}]) {
      const stream = session.request({ ':method': 'POST', ':path': '/files', ...TUS, 'upload-length': '5', ...refuse })
      stream.on('error', () => {}).resume().end()
      await once(stream, 'close')
    }
    t.same(reached, ['undefined'])
  })
}
