import Fastify, { type FastifyInstance, type FastifyServerOptions } from 'fastify'
import { once } from 'node:events'
import http2 from 'node:http2'
import type { AddressInfo } from 'node:net'
import type { Test } from 'tap'
import { createMemoryStorage } from '../../adapters/memory/index.js'
import fastifyTus, { type TusOptions } from '../../lib/index.js'
import { BYTES, TUS, createComplete, createUpload } from './http-tus.js'
import { formatChunk, formatHead, openRaw, type RawResponse } from './raw-socket.js'

type Headers = Readonly<Record<string, string>>

/** How a request brings its body: its headers, what is sent at once, and what follows when the answer is there. */
export const BODIES: Readonly<Record<string, { readonly headers: Headers, readonly first: string, readonly rest: string }>> = {
  'no body': { headers: {}, first: '', rest: '' },
  'one byte': { headers: { 'content-length': '1' }, first: 'x', rest: '' },
  'a body in one piece': { headers: { 'content-length': '5' }, first: 'hello', rest: '' },
  'a body that is still arriving': { headers: { 'content-length': '5' }, first: 'he', rest: 'llo' },
  'a long body that is still arriving': { headers: { 'content-length': '900000' }, first: 'x'.repeat(1000), rest: 'x'.repeat(899_000) },
  'a chunked body': { headers: { 'transfer-encoding': 'chunked' }, first: `${formatChunk('hello')}0\r\n\r\n`, rest: '' },
  'a chunked body that is still arriving': { headers: { 'transfer-encoding': 'chunked' }, first: formatChunk('he'), rest: '0\r\n\r\n' },
  'Expect: 100-continue': { headers: { 'content-length': '5', expect: '100-continue' }, first: '', rest: 'hello' }
}

/** What a client gets: a status, by default the one with which the plugin refuses the target, and words in its body or `location`. */
export interface Expected {
  readonly status?: number
  readonly says: string
  /** Whether a hook has sent it, and thrown nothing. */
  readonly isOwn?: boolean
}

type Answered = Pick<RawResponse, 'status' | 'headers' | 'body'>

export interface Target {
  readonly method: string
  readonly path: string
  readonly headers: Headers
  /** With which the plugin itself refuses it. */
  readonly status?: number
}

export interface Subject {
  readonly app: FastifyInstance
  readonly port: number
  readonly targets: readonly Target[]
  /** What a request without permission must not change. */
  readonly look: () => Promise<string>
}

/** An application with the plugin and one resumable route; every request with `x-refuse` is to be answered by it. */
export async function startSubject (t: Test, prepare: (app: FastifyInstance) => TusOptions | Promise<TusOptions>, server: FastifyServerOptions & { http2?: boolean } = {}): Promise<Subject> {
  const app = Fastify(server as FastifyServerOptions) as FastifyInstance
  t.teardown(() => app.close())
  app.setNotFoundHandler((_request, reply) => { reply.code(404).send('nothing here') })
  let handled = 0
  const options = await prepare(app)
  await app.register(fastifyTus, { storage: createMemoryStorage(), ...options })
  app.post('/documents', { ...options.routeOptions }, app.tus.resumable(async () => {
    handled++
    return 'handled'
  }))
  await app.listen({ host: '127.0.0.1', port: 0 })
  const empty = await createUpload(app)
  const complete = await createComplete(app, 'hello')
  const offset = { ...TUS, ...BYTES, 'upload-offset': '0' }
  return {
    app,
    port: (app.server.address() as AddressInfo).port,
    targets: [
      { method: 'POST', path: '/files', headers: { ...TUS, ...BYTES, 'upload-length': '5' } },
      { method: 'PATCH', path: empty, headers: offset },
      { method: 'DELETE', path: empty, headers: TUS },
      { method: 'HEAD', path: empty, headers: TUS },
      { method: 'GET', path: complete, headers: {} },
      { method: 'OPTIONS', path: '/files', headers: {} },
      { method: 'POST', path: '/documents', headers: { 'content-type': 'text/plain' } },
      { method: 'POST', path: '/documents', headers: { 'upload-draft-interop-version': '8', 'upload-complete': '?0' } }
    ],
    async look () {
      const uploads = []
      for await (const { id, offset, complete } of app.tus.list()) uploads.push(`${id} ${offset} ${complete}`)
      return `${uploads.sort().join(', ')}; handled ${handled}`
    }
  }
}

/** Sends one request that is to be refused, and gives its answer; the connection serves another request afterwards, or says that it does not. */
export async function refuse (t: Test, port: number, { method, path, headers }: Target, body: keyof typeof BODIES): Promise<RawResponse | null> {
  const { headers: framing, first, rest } = BODIES[body]!
  const client = openRaw(t, port)
  await client.send(formatHead(method, path, { 'x-refuse': 'yes', ...headers, ...framing }) + first)
  const response = await client.receive(method)
  if (response !== null && response.headers.connection !== 'close' && response.headers.connection !== 'Close') {
    await client.send(rest + formatHead('HEAD', '/files/none', TUS))
    t.not(await client.receive('HEAD'), null, 'the connection serves another request')
  }
  client.socket.destroy()
  return response
}

export function expectAnswer (t: Test, method: string, response: Answered | null, { status, says, isOwn = false }: Expected, what: string): void {
  const said = `${response?.body} ${response?.headers.location}`
  // A client of tus would begin again after any other answer to HEAD that may pass: errors become one that it asks again after.
  const isLater = method === 'HEAD' && !isOwn && status !== undefined && (status >= 500 || status === 429)
  if (response?.status !== (isLater ? 423 : status) || (method !== 'HEAD' && !said.includes(says))) t.fail(`${what}: ${JSON.stringify(response)}`)
}

/**
 * All methods with all kinds of body, on one application.
 *
 * @param settle what is waited for before the look at what changed
 */
export async function refuseAll (t: Test, { port, targets, look }: Subject, expected: Expected, bodies = Object.keys(BODIES), settle = async () => {}): Promise<void> {
  const before = await look()
  const tries = targets.flatMap(target => bodies.map(body => ({ target, body })))
  await Promise.all(tries.map(async ({ target, body }) => {
    const response = await refuse(t, port, target, body)
    expectAnswer(t, target.method, response, { ...target, ...expected }, `${target.method} ${target.path} with ${body}`)
  }))
  await settle()
  t.equal(await look(), before, `${tries.length} requests changed nothing`)
}

/** The same over HTTP/2, on one session, which serves another request afterwards. */
export async function refuseAllOverHttp2 (t: Test, { port, targets, look }: Subject, expected: Expected): Promise<void> {
  const before = await look()
  const session = http2.connect(`http://127.0.0.1:${port}`)
  t.teardown(() => { session.destroy() })
  const tries = targets.flatMap(target => STREAMS.map(body => ({ target, body })))
  await Promise.all(tries.map(async ({ target: { method, path, headers }, body }) => {
    const response = await exchange(session, { ':method': method, ':path': path, 'x-refuse': 'yes', ...headers }, body)
    expectAnswer(t, method, response, expected, `${method} ${path} with ${body}`)
  }))
  t.match(await exchange(session, { ':method': 'HEAD', ':path': '/files/none', ...TUS }, 'no body'), { status: 404 }, 'the session serves another request')
  t.equal(await look(), before, `${tries.length} requests changed nothing`)
}

const STREAMS = ['no body', 'one byte', 'a body that is still arriving'] as const

/** Resolves when the response is there, and the stream is closed. */
async function exchange (session: http2.ClientHttp2Session, headers: http2.OutgoingHttpHeaders, body: typeof STREAMS[number]): Promise<Answered> {
  const stream = session.request(headers, { endStream: body === 'no body' })
  const closed = once(stream, 'close')
  // A server may reset a stream whose body it does not want.
  stream.on('error', () => {})
  if (body === 'one byte') stream.end('x')
  if (body === 'a body that is still arriving') stream.write('he')
  const [answered] = await once(stream, 'response') as [http2.IncomingHttpHeaders]
  let said = ''
  stream.setEncoding('latin1').on('data', chunk => { said += chunk })
  if (body === 'a body that is still arriving') stream.end('llo')
  await closed
  return { status: Number(answered[':status']), headers: answered as Record<string, string>, body: said }
}
