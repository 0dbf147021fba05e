import type { FastifyReply, FastifyRequest } from 'fastify'
import { constants } from 'node:http2'
import t from 'tap'
import { TUS } from '../support/http-tus.js'
import { ask, openSession, send } from '../support/http2.js'
import { startSubject } from '../support/refusals.js'

// Over HTTP/1, an application that destroys a request breaks its connection. Over HTTP/2, Node leaves the stream as it is.

interface Way {
  readonly run: (request: FastifyRequest, reply: FastifyReply) => unknown
  /** `null` where the client gets no response. */
  readonly status: number | null
}

const WAYS: Readonly<Record<string, Way>> = {
  'destroys the request and throws': {
    run (request) {
      request.raw.destroy()
      throw Object.assign(new Error('no'), { statusCode: 401 })
    },
    status: 401
  },
  'destroys the request and answers': {
    run (request, reply) {
      request.raw.destroy()
      return reply.code(401).send('no')
    },
    status: 401
  },
  'answers and destroys the request': {
    run (request, reply) {
      reply.code(401).send('no')
      request.raw.destroy()
      return reply
    },
    status: 401
  },
  'destroys the request and returns': { run: request => { request.raw.destroy() }, status: null },
  'destroys the response and returns': { run: (_request, reply) => { reply.raw.destroy() }, status: null },
  'destroys the response and returns reply': {
    run (_request, reply) {
      reply.raw.destroy()
      return reply
    },
    status: null
  }
}

for (const stage of ['onRequest', 'preHandler'] as const) {
  for (const [what, { run, status }] of Object.entries(WAYS)) {
    t.test(`a hook in ${stage} that ${what} changes nothing, and the stream closes`, async t => {
      const { port, targets, look } = await startSubject(t, app => {
        app.addHook(stage, async (request, reply) => request.headers['x-refuse'] === undefined ? undefined : run(request, reply))
        return {}
      }, { http2: true })
      const before = await look()
      const session = openSession(t, port)
      for (const { method, path, headers } of targets) {
        for (const body of ['no body', 'one byte', 'a body that is still arriving']) {
          const { stream, answer } = send(session, method, path, { ...headers, 'x-refuse': 'yes' }, body === 'no body')
          const closed = new Promise(resolve => stream.once('close', resolve))
          if (body === 'one byte') stream.end('x')
          if (body === 'a body that is still arriving') stream.write('x')
          if (status !== null) t.equal((await answer).status, status, `${method} ${path} with ${body}`)
          if (status !== null && stream.writable) stream.end('y')
          await closed
          if (what.includes('request and returns')) t.equal(stream.rstCode, constants.NGHTTP2_INTERNAL_ERROR)
        }
      }
      t.match(await ask(session, 'HEAD', '/files/none', TUS), { status: 404 }, 'the session serves another request')
      t.equal(await look(), before)
    })
  }
}

t.test('a lifecycle hook that destroys the request ends its body, and the stream closes', async t => {
  const { app, port, targets } = await startSubject(t, () => ({}), { http2: true })
  const { path, headers } = targets.find(({ method }) => method === 'PATCH')!
  app.tus.addHook('preAccess', ({ raw }) => { raw.destroy() })
  const { stream, answer } = send(openSession(t, port), 'PATCH', path, { ...headers })
  const closed = new Promise(resolve => stream.once('close', resolve))
  stream.write('he')
  t.equal((await answer).status, 400)
  stream.end()
  await closed
  t.match(await app.tus.find(path.split('/').at(-1)!), { offset: 0 })
})
