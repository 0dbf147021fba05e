import Fastify, { type FastifyInstance } from 'fastify'
import { connect, constants } from 'node:http2'
import type { AddressInfo } from 'node:net'
import t, { type Test } from 'tap'
import { createMemoryStorage } from '../../adapters/memory/index.js'
import fastifyTus, { StorageUnavailable, type Storage, type TusOptions } from '../../lib/index.js'
import { PARTIAL, open, type Headers } from '../support/ietf.js'
import { untilReceived } from '../support/observed.js'

// What a client is told whose body the server ends early: in every version, for every reason, on every kind of route, over both versions of HTTP.

interface Spoken {
  readonly version: string | null
  /** Of a request that brings all of the upload. */
  readonly whole: Headers
}

const VERSIONS: readonly Spoken[] = [
  { version: '3', whole: { 'upload-incomplete': '?0' } },
  ...['5', '6', '8', '9', '10', null].map(version => ({ version, whole: { 'upload-complete': '?1' } }))
]
const TRANSPORTS = ['HTTP/1.1', 'HTTP/2'] as const
const ROUTES = { '/files': '/files/', '/documents': '/documents/~post/' } as const
const SIZE = 11
const BEGUN = 'hello'

type Transport = typeof TRANSPORTS[number]
type Route = keyof typeof ROUTES

interface Server {
  readonly app: FastifyInstance
  readonly port: number
  readonly storage: Storage
  /** Of its only upload. */
  readonly id: string
}

async function start (t: Test, transport: Transport, options: TusOptions): Promise<Server> {
  const storage = options.storage ?? createMemoryStorage()
  // Both are one application to this test.
  const app = (transport === 'HTTP/2' ? Fastify({ http2: true }) : Fastify()) as FastifyInstance
  t.teardown(() => app.close())
  // Observed by its id, so that no two of this test have one.
  const id = `upload-${++count}`
  await app.register(fastifyTus, { generateId: () => id, ...options, storage })
  app.post('/documents', app.tus.resumable(async () => ({ done: true })))
  await app.listen({ host: '127.0.0.1', port: 0 })
  return { app, storage, id, port: (app.server.address() as AddressInfo).port }
}

let count = 0

interface Told {
  /** `null`: the connection, or the stream, ended without a response. */
  readonly status: number | null
  readonly headers: Readonly<Record<string, unknown>>
  readonly announced: boolean
}

/** Begins a request, and resolves to a promise of what its client is told in the end. */
async function begin (t: Test, { port }: Server, transport: Transport, method: string, path: string, headers: Headers): Promise<() => Promise<Told>> {
  const sized = { ...headers, 'content-length': String(SIZE) }
  return transport === 'HTTP/2' ? beginStream(t, port, method, path, sized) : beginRequest(t, port, method, path, sized)
}

async function beginRequest (t: Test, port: number, method: string, path: string, headers: Headers): Promise<() => Promise<Told>> {
  const client = await open(t, port, method, path, headers, BEGUN)
  return async () => {
    const final = await client.receive(method)
    const announced = final?.interim.includes(104) ?? true
    client.socket.destroy()
    return { status: final?.status ?? null, headers: final?.headers ?? {}, announced }
  }
}

async function beginStream (t: Test, port: number, method: string, path: string, headers: Headers): Promise<() => Promise<Told>> {
  const session = connect(`http://127.0.0.1:${port}`)
  t.teardown(() => { session.destroy() })
  session.on('error', () => {})
  const stream = session.request({ ':method': method, ':path': path, ...headers })
  let told: Told = { status: null, headers: {}, announced: false }
  stream.on('headers', () => { told = { ...told, announced: true } })
  stream.on('response', headers => { told = { ...told, status: Number(headers[':status']), headers } })
  stream.on('error', () => {})
  stream.resume()
  stream.write(BEGUN)
  const ended = new Promise<void>(resolve => stream.on('response', () => resolve()).on('close', resolve))
  return async () => {
    await ended
    if (told.status === null) t.equal(stream.rstCode, constants.NGHTTP2_INTERNAL_ERROR, 'a stream that ends in order would look like a response')
    stream.destroy()
    session.destroy()
    return told
  }
}

const OUTAGE = 'an outage of the storage'

/** What ends a body, once its first bytes have arrived. */
const REASONS: Readonly<Record<string, { readonly options?: () => TusOptions, readonly end?: (server: Server, path: string) => Promise<unknown> }>> = {
  'a stall': { options: () => ({ stallTimeout: 300 }) },
  'a body that is too slow': { options: () => ({ minRate: { bytes: 1000, window: 300 } }) },
  'a takeover': { end: ({ app }, path) => app.inject({ method: 'HEAD', url: path, headers: { 'upload-draft-interop-version': '8' } }) },
  'a shutdown': { end: ({ app }) => app.close() },
  [OUTAGE]: { options: () => ({ storage: createFailing() }) }
}

function createFailing (): Storage {
  return Object.assign(createMemoryStorage(), {
    append: async (_id: string, { body }: Parameters<Storage['append']>[1]) => {
      await body.next()
      throw new StorageUnavailable('away')
    }
  })
}

/** What a client that knows its upload is not told, because it resumes after a dropped connection. */
const DROPPED = ['a stall', 'a body that is too slow', 'a shutdown']
const RETRY = /^\d+$/

interface Cut {
  readonly reason: string
  readonly transport: Transport
  readonly route: Route
  readonly headers: Headers
  readonly options?: TusOptions
  /** Appends to an upload that was created before. */
  readonly append?: boolean
}

async function cut (t: Test, { reason, transport, route, headers, options, append }: Cut): Promise<Told & { readonly offset: number | null }> {
  const { options: own, end } = REASONS[reason]!
  const server = await start(t, transport, { ...own?.(), ...options })
  const upload = `${ROUTES[route]}${server.id}`
  if (append) await server.app.inject({ method: 'POST', url: route, headers: { 'upload-complete': '?0' } })
  const answer = await begin(t, server, transport, append ? 'PATCH' : 'POST', append ? upload : route, headers)
  if (end) await untilReceived(server.id, BEGUN.length)
  const [told] = await Promise.all([answer(), end?.(server, upload)])
  const found = await server.storage.find(server.id)
  return { ...told, offset: found?.offset ?? null }
}

/** Each of them on an application of its own. */
const CASES = TRANSPORTS.flatMap(transport => (Object.keys(ROUTES) as Route[]).map(route => ({ transport, route })))

function say ({ version }: Spoken): Headers {
  return version === null ? {} : { 'upload-draft-interop-version': version }
}

for (const reason of Object.keys(REASONS)) {
  t.test(`a creation that was to bring everything, and that ${reason} ends, is never a success`, async t => {
    for (const spoken of VERSIONS) {
      for (const interimResponses of [true, false]) {
        await Promise.all(CASES.map(async ({ transport, route }) => {
          const name = `${transport}, ${route}, version ${spoken.version}${interimResponses ? '' : ', without interim responses'}`
          const told = await cut(t, { reason, transport, route, headers: { ...say(spoken), ...spoken.whole }, options: { interimResponses } })
          const isAnnounced = interimResponses && spoken.version !== null
          t.equal(told.announced, isAnnounced, `${name}: 104`)
          if (isAnnounced && DROPPED.includes(reason)) t.equal(told.status, null, `${name}: dropped`)
          else t.match(told, { status: 503, headers: { 'retry-after': RETRY } }, `${name}: 503`)
          if (reason === OUTAGE) return
          t.equal(told.offset, BEGUN.length, `${name}: what arrived is kept`)
          if (told.status !== null) t.match(told.headers, { location: new RegExp(`${ROUTES[route]}upload-\\d+$`), 'upload-offset': String(BEGUN.length) }, `${name}: where`)
        }))
      }
    }
  })

  t.test(`an append that was to bring the rest, and that ${reason} ends, is never a success`, async t => {
    for (const spoken of VERSIONS) {
      await Promise.all(CASES.map(async ({ transport, route }) => {
        const name = `${transport}, ${route}, version ${spoken.version}`
        const told = await cut(t, { reason, transport, route, append: true, headers: { ...say(spoken), ...spoken.whole, ...PARTIAL, 'upload-offset': '0' } })
        if (spoken.version !== null && DROPPED.includes(reason)) t.equal(told.status, null, `${name}: dropped`)
        else t.equal(told.status, reason === 'a takeover' ? 423 : 503, name)
        if (reason === OUTAGE) return
        t.equal(told.offset, BEGUN.length, `${name}: what arrived is kept`)
        if (told.status !== null) t.match(told.headers, { 'upload-offset': String(BEGUN.length) }, `${name}: how much`)
      }))
    }
  })

  t.test(`a plain request to a route that ${reason} ends is 503, and leaves nothing`, async t => {
    for (const transport of TRANSPORTS) {
      const told = await cut(t, { reason, transport, route: '/documents', headers: {} })
      t.match(told, { status: 503, headers: { 'retry-after': RETRY }, offset: null }, transport)
    }
  })
}
