import type { FastifyReply } from 'fastify'
import { Readable } from 'node:stream'
import { setImmediate as turn } from 'node:timers/promises'
import t from 'tap'
import { startRoutes } from '../support/app.js'
import { append, ask, begin, open, retrieve } from '../support/ietf.js'
import { formatHead } from '../support/raw-socket.js'
import { until } from '../support/waiting.js'

// What handlers of `app.tus.resumable` say, and what becomes of it.

t.test('an async handler that returns nothing answers with nothing, as it does without us', async t => {
  const { port } = await startRoutes(t, app => {
    app.post('/nothing', app.tus.resumable(async () => {}))
    app.post('/status', app.tus.resumable(async (_request, reply) => { reply.code(204) }))
  })
  for (const [route, status] of [['/nothing', 200], ['/status', 204]] as const) {
    t.match(await ask(t, port, 'POST', route, {}, 'hello'), { status, body: '' })
    const path = await begin(t, port, 'hello', {}, route)
    for (let round = 0; round < 2; round++) t.match(await append(t, port, path, 5, '', '?1'), { status, body: '', headers: { 'upload-complete': '?1' } })
  }
})

/** Error handlers that give a response, in the ways that Fastify has for it. */
const ERROR_HANDLERS: Readonly<Record<string, (reply: FastifyReply) => unknown>> = {
  'calls send': reply => { reply.code(422).send({ say: 'no' }) },
  'calls send and returns nothing, async': async reply => { reply.code(422).send({ say: 'no' }) },
  'waits, calls send and returns nothing, async': async reply => {
    await turn()
    reply.code(422).send({ say: 'no' })
  },
  'calls send and returns reply, async': async reply => reply.code(422).send({ say: 'no' }),
  'returns the payload, async': async reply => {
    reply.code(422)
    return { say: 'no' }
  }
}

for (const [name, handleError] of Object.entries(ERROR_HANDLERS)) {
  t.test(`an error of the handler is answered by an error handler that ${name}`, async t => {
    for (const isSlow of [false, true]) {
      const { port } = await startRoutes(t, app => {
        if (isSlow) app.addHook('onSend', async () => { await turn() })
        app.setErrorHandler((_error, _request, reply) => handleError(reply))
        app.post('/documents', app.tus.resumable(async () => { throw new Error('no') }))
      })
      const expected = { status: 422, body: '{"say":"no"}' }
      const client = await open(t, port, 'POST', '/documents', { 'content-length': '5' }, 'hello')
      t.match(await client.receive('POST'), expected)
      await client.send(`${formatHead('POST', '/documents', { 'content-length': '5' })}hello`)
      t.match(await client.receive('POST'), expected, 'the connection serves another request')
      const path = await begin(t, port, 'hello', {}, '/documents')
      for (let round = 0; round < 2; round++) t.match(await append(t, port, path, 5, '', '?1'), expected, `${isSlow} ${round}`)
    }
  })
}

t.test('what a handler answers as a stream of the web, or as a Response, is kept as any other', async t => {
  const { port } = await startRoutes(t, app => {
    app.post('/response', app.tus.resumable(async () => new Response('text', { status: 202, headers: { 'content-type': 'text/x' } })))
    app.post('/stream', app.tus.resumable(async (_request, reply) => reply.code(202).type('text/x').send(new Response('text').body)))
  })
  t.match(await ask(t, port, 'POST', '/response', {}, 'hello'), { status: 202, headers: { 'content-type': 'text/x' } })
  for (const route of ['/response', '/stream']) {
    const path = await begin(t, port, 'hello', {}, route)
    for (let round = 0; round < 2; round++) {
      t.match(await append(t, port, path, 5, '', '?1'), { status: 202, body: 'text', headers: { 'content-type': 'text/x', 'upload-complete': '?1' } }, `${route} ${round}`)
    }
  }
})

/** A stream without end, which notes that somebody has closed it. */
function openEndless (closed: string[], name: string): Readable {
  return new Readable({
    read () { this.push(Buffer.alloc(16 * 1024)) },
    destroy (error, done) {
      closed.push(name)
      done(error)
    }
  })
}

t.test('HEAD that makes up for the handler leaves what hooks said, says nothing of what the handler said, and closes its stream', async t => {
  const closed: string[] = []
  let calls = 0
  const { port } = await startRoutes(t, app => {
    const onRequest = async (_request: unknown, reply: FastifyReply) => { reply.header('access-control-allow-origin', '*').header('vary', 'origin') }
    app.post('/documents', { onRequest }, app.tus.resumable(async (_request, reply) => {
      if (calls++ === 0) throw new Error('the database is away')
      return reply.code(202).header('set-cookie', 'a=b').header('vary', 'accept').header('x-mine', 'x').send(openEndless(closed, 'head'))
    }))
  })
  const path = await begin(t, port, 'hello', {}, '/documents')
  t.equal((await append(t, port, path, 5, '', '?1')).status, 500)
  const { status, headers } = await retrieve(t, port, path)
  t.match({ status, headers }, { status: 204, headers: { 'upload-complete': '?1', 'upload-offset': '5', 'access-control-allow-origin': '*', vary: 'origin' } })
  for (const name of ['set-cookie', 'x-mine', 'content-type']) t.notOk(name in headers, name)
  t.same(closed, ['head'])
})

t.test('a client that leaves in the middle of a long answer closes the stream that it comes from', async t => {
  const closed: string[] = []
  const { port } = await startRoutes(t, app => {
    app.post('/documents', app.tus.resumable(async (_request, reply) => reply.type('text/plain').send(openEndless(closed, 'body'))))
  })
  const client = await open(t, port, 'POST', '/documents', { 'content-length': '5' }, 'hello')
  client.socket.once('data', () => client.reset())
  await until('it is closed', () => closed.length > 0)
  t.same(closed, ['body'])
})

t.test('what belongs to one response alone is not kept: cookies, its length, its date', async t => {
  const { port } = await startRoutes(t, app => {
    app.post('/documents', app.tus.resumable(async (_request, reply) => reply.header('set-cookie', 'a=b').header('date', 'then').header('x-mine', 'x').send('text')))
  })
  const path = await begin(t, port, 'hello', {}, '/documents')
  t.match((await append(t, port, path, 5, '', '?1')).headers, { 'set-cookie': 'a=b', 'x-mine': 'x', date: 'then' })
  const { headers, body } = await append(t, port, path, 5, '', '?1')
  t.match({ headers, body }, { headers: { 'x-mine': 'x', 'content-length': '4' }, body: 'text' })
  t.notOk('set-cookie' in headers)
  t.not(headers.date, 'then')
})

t.test('whatever a handler throws reaches the error handler as it is', async t => {
  for (const thrown of [null, undefined, 'text', 7, { statusCode: 422, message: 'no' }, Object.freeze(Object.assign(new Error('no'), { statusCode: 422 }))]) {
    const caught: unknown[] = []
    const { port } = await startRoutes(t, app => {
      app.setErrorHandler((error, _request, reply) => {
        caught.push(error)
        reply.code((error as { statusCode?: number } | null)?.statusCode ?? 500).send('caught')
      })
      app.post('/sync', app.tus.resumable(() => { throw thrown }))
      app.post('/async', app.tus.resumable(async () => { throw thrown }))
    })
    const status = typeof thrown === 'object' && thrown !== null ? 422 : 500
    for (const route of ['/sync', '/async']) t.match(await ask(t, port, 'POST', route, {}, 'hello'), { status, body: 'caught' }, `${route} ${String(thrown)}`)
    t.equal(caught.length, 2)
    for (const error of caught) t.equal(error, thrown)
  }
})

t.test('of two responses of a handler, the first counts', async t => {
  const { port } = await startRoutes(t, app => {
    app.post('/documents', app.tus.resumable(async (_request, reply) => {
      reply.send('first')
      reply.send('second')
    }))
  })
  t.match(await ask(t, port, 'POST', '/documents', {}, 'hello'), { status: 200, body: 'first' })
  const path = await begin(t, port, 'hello', {}, '/documents')
  for (let round = 0; round < 2; round++) t.match(await append(t, port, path, 5, '', '?1'), { status: 200, body: 'first' })
})

t.test('an answer without a body and a type is given again without a type', async t => {
  const { port } = await startRoutes(t, app => {
    app.post('/documents', app.tus.resumable(async (_request, reply) => reply.redirect('/elsewhere')))
  })
  const path = await begin(t, port, 'hello', {}, '/documents')
  for (let round = 0; round < 2; round++) {
    const { status, headers, body } = await append(t, port, path, 5, '', '?1')
    t.match({ status, headers, body }, { status: 302, headers: { location: '/elsewhere', 'content-length': '0' }, body: '' })
    t.notOk('content-type' in headers)
  }
})

t.test('an answer that Fastify can not send is a 500, and is not kept', async t => {
  let calls = 0
  const { port } = await startRoutes(t, app => {
    app.post('/documents', app.tus.resumable(async (_request, reply) => reply.type('text/plain').send(calls++ === 0 ? 7 : 'seven')))
  })
  const path = await begin(t, port, 'hello', {}, '/documents')
  t.match(await append(t, port, path, 5, '', '?1'), { status: 500 })
  for (let round = 0; round < 2; round++) t.match(await append(t, port, path, 5, '', '?1'), { status: 200, body: 'seven' })
  t.equal(calls, 2)
})
