import Fastify, { type FastifyInstance, type FastifyReply, type FastifyRequest, type RouteShorthandOptions } from 'fastify'
import type { AddressInfo } from 'node:net'
import t, { type Test } from 'tap'
import { createMemoryStorage } from '../../adapters/memory/index.js'
import fastifyTus from '../../lib/index.js'
import { startRoutes } from '../support/app.js'
import { ask, getPath, type Headers } from '../support/ietf.js'

// Whoever may not use a route of app.tus.resumable() may not use its uploads, nor hear what its handler said to another.

const OCTETS = { 'tus-resumable': '1.0.0', 'content-type': 'application/offset+octet-stream' }
const SECRET = 'said to a alone'

function refuseOthers (request: FastifyRequest): void {
  if (request.headers.user !== 'a') throw Object.assign(new Error('not yours'), { statusCode: 403 })
}

const byPromise = async (request: FastifyRequest) => refuseOthers(request)
const byReply = async (request: FastifyRequest, reply: FastifyReply) => request.headers.user === 'a' ? undefined : reply.code(403).send('no')
const byCallback = (request: FastifyRequest, _reply: FastifyReply, done: (error?: Error) => void) => {
  try {
    refuseOthers(request)
    done()
  } catch (error) {
    done(error as Error)
  }
}
const parsing = async (request: FastifyRequest, _reply: FastifyReply, payload: unknown) => {
  refuseOthers(request)
  return payload
}

/** How an application may guard a route: with options of the route, or in another way. */
interface Guard {
  readonly route?: RouteShorthandOptions
  readonly prepare?: (app: FastifyInstance) => unknown
  /** Once the route is there. */
  readonly finish?: (app: FastifyInstance) => unknown
  /** What a stranger is answered; 403 if it is not said. */
  readonly status?: number
  /** How the URL of a stranger differs, where it is the URL that is looked at. */
  readonly differ?: (path: string) => string
}

const GUARDS: Readonly<Record<string, Guard>> = {
  ...Object.fromEntries((['onRequest', 'preValidation', 'preHandler'] as const).flatMap((name): Array<[string, Guard]> => [
    [`${name} of the route`, { route: { [name]: byPromise } }],
    [`${name} of the route, in a list, by a reply`, { route: { [name]: [async () => {}, byReply] } }],
    [`${name} of the route, by a callback`, { route: { [name]: byCallback } }],
    [`${name} of the scope`, { prepare: app => app.addHook(name as 'onRequest', byPromise) }],
    [`${name} of the scope, added behind the route`, { finish: app => app.addHook(name as 'onRequest', byReply) }]
  ])),
  'preParsing of the route': { route: { preParsing: parsing as never } },
  'preParsing of the route, in a list': { route: { preParsing: [parsing as never] } },
  'preParsing of the scope': { prepare: app => app.addHook('preParsing', parsing as never) },
  'a schema of the query': { route: { schema: { querystring: { type: 'object', required: ['key'], properties: { key: { const: 'a' } } } } }, status: 400, differ: path => path.replace('key=a', 'key=b') },
  'a schema of the parameters': { route: { schema: { params: { type: 'object', required: ['name'], properties: { name: { const: 'of-a' } }, additionalProperties: false } } }, status: 400, differ: path => path.replace('of-a', 'of-b') },
  'onRoute of the scope': { prepare: app => app.addHook('onRoute', route => { route.onRequest = [...[route.onRequest ?? []].flat(), byPromise] }) },
  'onRoute by the config of the route': {
    route: { config: { guarded: true } as never },
    prepare: app => app.addHook('onRoute', route => { if ((route.config as { guarded?: boolean } | undefined)?.guarded) route.preHandler = byReply })
  },
  'onRoute by the method and the URL of the route': {
    prepare: app => app.addHook('onRoute', route => { if (route.method === 'POST' && route.url === '/documents/:name') route.onRequest = byCallback })
  },
  'onRoute by the method, in the place of what the route has': {
    route: { preHandler: async () => {} },
    prepare: app => app.addHook('onRoute', route => { if (route.method === 'POST') route.preHandler = [byReply] })
  },
  preAccess: { prepare: app => app.tus.addHook('preAccess', refuseOthers) }
}

/** What a stranger may try on the upload of another, wherever that is. */
const ATTEMPTS: ReadonlyArray<readonly [method: string, headers: Headers, body?: string]> = [
  ['PATCH', { ...OCTETS, 'upload-offset': '5' }, ''],
  ['PATCH', { ...OCTETS, 'upload-offset': '3' }, 'lo'],
  ['PATCH', { 'content-type': 'application/partial-upload', 'upload-offset': '5', 'upload-complete': '?1' }, ''],
  ['PATCH', { 'content-type': 'application/partial-upload', 'upload-offset': '3', 'upload-complete': '?1', 'upload-draft-interop-version': '6' }, 'lo'],
  ['POST', { ...OCTETS, 'upload-offset': '5', 'x-http-method-override': 'PATCH' }, ''],
  ['HEAD', { 'tus-resumable': '1.0.0' }],
  ['HEAD', {}],
  ['GET', {}],
  ['GET', { 'upload-draft-interop-version': '8' }],
  ['DELETE', { 'tus-resumable': '1.0.0' }],
  ['DELETE', {}]
]

for (const [name, guard] of Object.entries(GUARDS)) {
  t.test(`${name} guards the uploads of a route as it guards the route`, async t => {
    let asked = 0
    const { app, port } = await startRoutes(t, app => app.register(async scope => {
      await guard.prepare?.(scope)
      scope.post('/documents/:name', guard.route ?? {}, scope.tus.resumable(async () => {
        asked++
        return SECRET
      }))
      await guard.finish?.(scope)
    }))
    const target = '/documents/of-a?key=a'
    const begin = async (length: string, body: string) => ask(t, port, 'POST', target, { ...OCTETS, user: 'a', 'upload-length': length }, body)
    const incomplete = getPath(await begin('5', 'hel'))
    const answered = await begin('5', 'hello')
    t.match(answered, { status: 200, body: SECRET })
    const unsaid = await ask(t, port, 'POST', target, { 'upload-complete': '?0', user: 'a' }, 'hello')
    for (const path of [incomplete, getPath(answered), getPath(unsaid)]) await tryAll(t, port, path, guard)
    t.equal(asked, 1, 'the handler has not run for another')
    t.match(await ask(t, port, 'PATCH', getPath(answered), { ...OCTETS, user: 'a', 'upload-offset': '5' }, ''), { status: 200, body: SECRET })
    t.match(await ask(t, port, 'PATCH', incomplete, { ...OCTETS, user: 'a', 'upload-offset': '3' }, 'lo'), { status: 200, body: SECRET })
    await app.close()
  })
}

/** As one who is not `a`, by each of the ways in which a client may ask. */
async function tryAll (t: Test, port: number, path: string, { status = 403, differ = path => path }: Guard): Promise<void> {
  for (const [method, headers, body = null] of ATTEMPTS) {
    const response = await ask(t, port, method, differ(path), { ...headers, user: 'b' }, body)
    t.equal(response.status, status, `${method} ${JSON.stringify(headers)}`)
    t.notMatch(response.body + JSON.stringify(response.headers), SECRET)
  }
}

t.test('a route whose handler was wrapped before, as @fastify/websocket and tracers do, takes uploads, and what guards it guards them', async t => {
  const wrapped: string[] = []
  const app = Fastify()
  t.teardown(() => app.close())
  app.addHook('onRoute', route => {
    const { handler } = route
    route.handler = function (request, reply) {
      wrapped.push(`${request.method} ${route.url}`)
      return handler.call(this, request, reply)
    }
  })
  await app.register(fastifyTus, { storage: createMemoryStorage() })
  app.addHook('onRoute', route => { if (route.method === 'POST' && route.url === '/documents') route.onRequest = byCallback })
  app.post('/documents', app.tus.resumable(async ({ upload }) => `${SECRET}: ${upload?.length}`))
  await app.listen({ host: '127.0.0.1', port: 0 })
  const { port } = app.server.address() as AddressInfo
  t.match(await ask(t, port, 'POST', '/documents', { user: 'a' }, 'hello'), { status: 200, body: `${SECRET}: 5` })
  const path = getPath(await ask(t, port, 'POST', '/documents', { 'upload-complete': '?0', user: 'a' }, 'hello'))
  t.same(wrapped, ['POST /documents', 'POST /documents'])
  await tryAll(t, port, path, {})
  t.match(await ask(t, port, 'PATCH', path, { 'content-type': 'application/partial-upload', 'upload-offset': '5', 'upload-complete': '?1', user: 'a' }, ''), { status: 200, body: `${SECRET}: 5` })
  t.same(wrapped.slice(2), ['PATCH /documents/~post/*'])
})
