import Fastify from 'fastify'
import { once } from 'node:events'
import { constants, type ClientHttp2Session, type IncomingHttpHeaders } from 'node:http2'
import type { AddressInfo } from 'node:net'
import { text } from 'node:stream/consumers'
import t, { type Test } from 'tap'
import { createFsStorage } from '../../adapters/fs/index.js'
import fastifyTus, { type TusOptions } from '../../lib/index.js'
import { makeDirectory } from '../support/app.js'
import { ask, openSession, send } from '../support/http2.js'
import { untilReceived } from '../support/observed.js'
import { sleep } from '../support/waiting.js'

async function start (t: Test, options: TusOptions = {}): Promise<ClientHttp2Session> {
  const app = Fastify({ http2: true })
  t.teardown(() => app.close())
  await app.register(fastifyTus, { storage: createFsStorage({ directory: await makeDirectory(t) }), ...options })
  app.post('/documents', app.tus.resumable(async request => ({ said: await text(app.tus.createReadStream(request.upload!.id)) })))
  await app.listen({ host: '127.0.0.1', port: 0 })
  return openSession(t, (app.server.address() as AddressInfo).port)
}

const getPath = ({ location }: IncomingHttpHeaders) => new URL(location!).pathname
const V8 = { 'upload-draft-interop-version': '8' }
const patch = (offset: number, complete: string) => ({ ...V8, 'content-type': 'application/partial-upload', 'upload-offset': String(offset), 'upload-complete': complete })

t.test('CN-2, CN-4: an upload in one request, whose size only its end tells', async t => {
  const session = await start(t)
  for (const headers of [{}, { 'content-length': '11' }]) {
    const { status, headers: answered, interim } = await ask(session, 'POST', '/files', { ...V8, 'upload-complete': '?1', ...headers }, 'hello world')
    t.equal(status, 201)
    t.match(answered, { 'upload-complete': '?1', 'upload-offset': '11' })
    t.match(interim, [{ ':status': 104, location: answered.location, 'upload-draft-interop-version': '8' }])
    t.match(await ask(session, 'GET', getPath(answered), {}), { status: 200, body: 'hello world' })
  }
  t.match(await ask(session, 'POST', '/files', { 'upload-complete': '?1' }, 'hello'), { status: 201, interim: [] })
  t.match(await ask(session, 'POST', '/files', { ...V8, 'upload-complete': '?1' }), { status: 201, headers: { 'upload-offset': '0', 'upload-complete': '?1' } })
})

t.test('CN-10, CN-11: a stream that is reset, and goes on', async t => {
  const session = await start(t)
  for (const headers of [{}, { 'content-length': '11' }]) {
    const { stream, interim } = send(session, 'POST', '/files', { ...V8, 'upload-complete': '?1', ...headers })
    await once(stream, 'headers')
    const path = getPath(interim[0]!)
    stream.write('hello')
    await untilReceived(path, 5)
    stream.destroy(new Error('gone'))
    await new Promise(resolve => stream.once('close', resolve))
    const told = await ask(session, 'HEAD', path, V8)
    t.match(told, { status: 204, headers: { 'upload-complete': '?0', 'upload-offset': '5' } })
    t.match(await ask(session, 'PATCH', path, patch(5, '?1'), ' world'), { status: 201, headers: { 'upload-complete': '?1' } })
    t.match(await ask(session, 'GET', path, {}), { body: 'hello world' })
  }
})

t.test('AP-13: 104 with the progress', async t => {
  const session = await start(t, { progressInterval: 20 })
  const made = await ask(session, 'POST', '/files', { ...V8, 'upload-complete': '?0' })
  const { stream, interim, answer } = send(session, 'PATCH', getPath(made.headers), patch(0, '?1'))
  let sent = 0
  for (; interim.length === 0 && sent < 400; sent++) {
    stream.write('x')
    await sleep(30)
  }
  t.match(interim[0], { ':status': 104, 'upload-draft-interop-version': '8' })
  const offset = Number(interim[0]!['upload-offset'])
  t.ok(offset > 0 && offset <= sent)
  t.notOk('location' in interim[0]!)
  stream.end()
  t.match(await answer, { status: 201, headers: { 'upload-offset': String(sent), 'upload-complete': '?1' } })
})

t.test('CY-3, CA-2: HEAD, PATCH and DELETE end the stream that still sends; the connection stays', async t => {
  const session = await start(t)
  for (const method of ['HEAD', 'PATCH', 'DELETE']) {
    const { stream, interim, answer } = send(session, 'POST', '/files', { ...V8, 'upload-complete': '?1', 'content-length': '11' })
    await once(stream, 'headers')
    const path = getPath(interim[0]!)
    stream.write('hello')
    await untilReceived(path, 5)
    const { status } = await ask(session, method, path, method === 'PATCH' ? patch(5, '?1') : V8, method === 'PATCH' ? ' world' : '')
    t.ok(status < 300, `${method} ${status}`)
    t.match((await answer).headers, { 'upload-complete': '?0' })
    stream.destroy()
  }
  t.notOk(session.closed)
})

t.test('a route of the application', async t => {
  const session = await start(t)
  t.match(await ask(session, 'POST', '/documents', {}, 'hello'), { status: 200, body: '{"said":"hello"}' })
  const made = await ask(session, 'POST', '/documents', { ...V8, 'upload-complete': '?0' }, 'hello')
  for (let round = 0; round < 2; round++) {
    t.match(await ask(session, 'PATCH', getPath(made.headers), patch(5, '?1')), { status: 200, body: '{"said":"hello"}', headers: { 'upload-complete': '?1' } })
  }
})

t.test('a creation that was to bring everything, and that the server ends, is reset, and the session stays', async t => {
  const session = await start(t, { stallTimeout: 200 })
  const { stream, interim } = send(session, 'POST', '/files', { 'upload-draft-interop-version': '8', 'upload-complete': '?1', 'content-length': '11' })
  const announced = once(stream, 'headers')
  let answered = false
  stream.on('response', () => { answered = true })
  stream.write('hello')
  const closed = new Promise(resolve => stream.once('close', resolve))
  await announced
  await closed
  t.equal(stream.rstCode, constants.NGHTTP2_INTERNAL_ERROR)
  t.notOk(answered)
  const path = new URL(String(interim[0]!.location), 'http://localhost').pathname
  t.match(await send(session, 'HEAD', path, { 'upload-draft-interop-version': '8' }, true).answer, { status: 204, headers: { 'upload-offset': '5', 'upload-complete': '?0' } })
})
