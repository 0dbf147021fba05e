import Fastify, { type FastifyInstance, type FastifyRequest, type FastifyServerOptions, type LightMyRequestResponse } from 'fastify'
import { once } from 'node:events'
import { request as openRequest } from 'node:http'
import type { AddressInfo } from 'node:net'
import t, { type Test } from 'tap'
import { createMemoryStorage } from '../../adapters/memory/index.js'
import { makeUpload } from '../../lib/contract/uploads.js'
import fastifyTus, { type Storage, type TusOptions } from '../../lib/index.js'
import { BYTES, TUS, createGate, getPath, head, patch, terminate, until } from '../support/http-tus.js'

const HELLO = { ...TUS, ...BYTES, 'upload-length': '5' }
const PART = { ...HELLO, 'upload-concat': 'partial' }

/** An application with the plugin once per prefix, each registered in a scope of its own, all on one storage. */
async function start (t: Test, registrations: Readonly<Record<string, TusOptions>>, server: FastifyServerOptions = {}): Promise<{ app: FastifyInstance, storage: Storage, inside: FastifyInstance[] }> {
  const storage = createMemoryStorage()
  const app = Fastify(server)
  t.teardown(() => app.close())
  const inside: FastifyInstance[] = []
  for (const [prefix, options] of Object.entries(registrations)) {
    await app.register(async scope => {
      await scope.register(fastifyTus, { storage, ...options })
      inside.push(scope)
    }, { prefix })
  }
  await app.ready()
  return { app, storage, inside }
}

/** Creates a complete upload of `hello`, and gives its path. */
async function create (app: FastifyInstance, url: string, headers: Record<string, string> = {}): Promise<string> {
  const response = await app.inject({ method: 'POST', url, headers: { ...HELLO, ...headers }, payload: 'hello' })
  if (response.statusCode !== 201) throw new Error(`POST was answered with ${response.statusCode}: ${response.body}`)
  return getPath(response)
}

const getId = (path: string) => path.slice(path.lastIndexOf('/') + 1)

function strip ({ statusCode, headers: { date: _date, ...headers }, body }: LightMyRequestResponse): object {
  return { statusCode, headers, body }
}

/** Whether an upload is there at `collection`; every other request has to agree. */
async function isThere (t: Test, app: FastifyInstance, collection: string, id: string, more: Record<string, string> = {}): Promise<boolean> {
  const ask = (method: 'HEAD' | 'GET' | 'PATCH' | 'DELETE' | 'POST', id: string) => {
    const headers = { ...TUS, ...more, ...method === 'PATCH' && { ...BYTES, 'upload-offset': '0' }, ...method === 'POST' && { 'upload-concat': `final;${collection}/${id}` } }
    return app.inject({ method, url: method === 'POST' ? collection : `${collection}/${id}`, headers, ...method === 'PATCH' && { payload: 'x' } })
  }
  const there = (await ask('HEAD', id)).statusCode === 200
  const unknown = '0'.repeat(32)
  for (const method of there ? [] : ['HEAD', 'GET', 'PATCH', 'POST', 'DELETE'] as const) {
    t.same(strip(await ask(method, id)), strip(await ask(method, unknown)), `${method} at ${collection}`)
  }
  return there
}

t.test('the uploads of one tenant are not there for another', async t => {
  const { app } = await start(t, { '/t/:tenant': {} })
  const id = getId(await create(app, '/t/a/files'))
  t.ok(await isThere(t, app, '/t/a/files', id))
  t.notOk(await isThere(t, app, '/t/b/files', id))
  t.ok(await isThere(t, app, '/t/a/files', id), 'and nothing has become of it')
})

t.test('nor are they as a part: neither below the own prefix nor by the URL of the other tenant', async t => {
  const { app } = await start(t, { '/t/:tenant': {} })
  const own = await create(app, '/t/b/files', PART)
  const other = await create(app, '/t/a/files', PART)
  const finish = (...parts: string[]) => app.inject({ method: 'POST', url: '/t/b/files', headers: { ...TUS, 'upload-concat': `final;${parts.join(' ')}` } })
  const unknown = strip(await finish(own, `/t/b/files/${'0'.repeat(32)}`))
  t.match(unknown, { statusCode: 400, body: /TUS_ERR_CONCAT_PART_NOT_FOUND/ })
  for (const part of [other, other.replace('/a/', '/b/'), `http://localhost${other}`]) t.same(strip(await finish(own, part)), unknown, part)
  t.equal((await finish(own, own)).statusCode, 201)
})

t.test('the default scope is the prefix as it is resolved, however the client writes it', async t => {
  t.test('percent-encoded, with a query, behind a proxy, on another host', async t => {
    const { app, inside: [scope] } = await start(t, { '/t/:tenant': {} }, { trustProxy: true })
    const id = getId(await create(app, '/t/a/files'))
    t.equal((await scope!.tus.find(id))!.scope, '/t/a/files')
    for (const collection of ['/t/%61/files', '/t/a/f%69les', '/%74/a/files']) t.ok(await isThere(t, app, collection, id), collection)
    for (const headers of [{ host: 'other.example' }, { 'x-forwarded-prefix': '/api', 'x-forwarded-for': '10.0.0.1' }]) {
      t.ok(await isThere(t, app, '/t/a/files', id, headers), JSON.stringify(headers))
    }
    for (const collection of ['/t/A/files', '/t/a%20/files', '/t/a%2F/files', '/t/%2561/files']) t.notOk(await isThere(t, app, collection, id), collection)
    t.equal(getId(await create(app, '/t/a/files/')).length, 32)
  })

  t.test('values that look alike stay apart', async t => {
    const { app } = await start(t, { '/x/:a/:b': {} })
    const id = getId(await create(app, '/x/1%2F2/3/files'))
    t.ok(await isThere(t, app, '/x/1%2f2/3/files', id))
    for (const collection of ['/x/1/2%2F3/files', '/x/1%252F2/3/files']) t.notOk(await isThere(t, app, collection, id), collection)
  })

  t.test('of regular expressions, several parameters in a segment, colons, and prefixes around it', async t => {
    const { app, inside: [scope] } = await start(t, { '/a::b/:year(^\\d{4})-:name/v(1)/:kind(^(?:x|\\)y)$)/': { prefix: '/up' } })
    const id = getId(await create(app, '/a:b/2024-jo/v(1)/x/up'))
    t.equal((await scope!.tus.find(id))!.scope, '/a:b/2024-jo/v(1)/x/up')
    t.notOk(await isThere(t, app, '/a:b/2024-jim/v(1)/x/up', id))
    t.notOk(await isThere(t, app, '/a:b/2025-jo/v(1)/x/up', id))
    t.ok(await isThere(t, app, '/a:b/2024-jo/v(1)/x/up', id))
  })

  t.test('at the root, and with a router that knows no case', async t => {
    const root = await start(t, { '': { prefix: '/' } })
    const path = await create(root.app, '/')
    t.equal((await root.inside[0]!.tus.find(getId(path)))!.scope, '/')
    t.equal((await head(root.app, path)).statusCode, 200)
    const { app } = await start(t, { '/T/:tenant': { prefix: '/Files' } }, { routerOptions: { caseSensitive: false, ignoreTrailingSlash: true } })
    const id = getId(await create(app, '/t/a/files'))
    t.ok(await isThere(t, app, '/T/a/FILES', id))
    t.notOk(await isThere(t, app, '/T/A/FILES', id), 'a parameter is what the application sees of it')
  })

  t.test('and of rewritten URLs, what they are rewritten to', async t => {
    const { app } = await start(t, { '/t/:tenant': {} }, { rewriteUrl: ({ url = '', headers }) => headers.tenant === undefined ? url : `/t/${String(headers.tenant)}${url}` })
    const id = getId(await create(app, '/files', { tenant: 'a' }))
    t.equal((await app.inject({ method: 'HEAD', url: `/files/${id}`, headers: { ...TUS, tenant: 'a' } })).statusCode, 200)
    t.equal((await app.inject({ method: 'HEAD', url: `/files/${id}`, headers: { ...TUS, tenant: 'b' } })).statusCode, 404)
    t.equal((await head(app, `/t/a/files/${id}`)).statusCode, 200)
  })
})

t.test('two registrations on one storage', async t => {
  t.test("do not serve each other's uploads", async t => {
    const { app } = await start(t, { '/a': {}, '/b': {} })
    const id = getId(await create(app, '/a/files'))
    t.notOk(await isThere(t, app, '/b/files', id))
    t.ok(await isThere(t, app, '/a/files', id))
  })

  t.test('do so where both have the same scope', async t => {
    for (const [a, b] of [[{ scope: () => 'shared' }, { scope: async () => 'shared' }], [{}, { scope: () => '/a/files' }]]) {
      const { app } = await start(t, { '/a': a!, '/b': b! })
      const id = getId(await create(app, '/a/files'))
      t.ok(await isThere(t, app, '/b/files', id))
    }
  })

  t.test('what one left unfinished, the sweep of the other does not finish around its hooks', async t => {
    const { app, inside: [a, b] } = await start(t, { '/a/:tenant': {}, '/b': {} })
    let refusing = true
    a!.tus.addHook('preFinish', () => { if (refusing) throw Object.assign(new Error('infected'), { statusCode: 422 }) })
    const response = await app.inject({ method: 'POST', url: '/a/x/files', headers: HELLO, payload: 'hello' })
    t.match(response, { statusCode: 422, headers: { location: /./ } })
    t.match(await b!.tus.sweep(), { finished: 0, failed: 0 })
    t.equal((await app.inject(getPath(response))).statusCode, 404)
    refusing = false
    t.match(await a!.tus.sweep(), { finished: 1, failed: 0 })
    t.equal((await app.inject(getPath(response))).body, 'hello')
    const id = getId(getPath(response))
    t.equal((await b!.tus.find(id))?.scope, '/a/x/files', 'the application meets all of them')
    for await (const upload of b!.tus.list()) t.equal(upload.id, id)
    t.ok(await b!.tus.terminate(id))
  })

  t.test('one that is asked for in the wrong scope, or whose id another creation chooses, is not disturbed by that', async t => {
    const { app, inside: [scope] } = await start(t, { '/t/:tenant': { lockTimeout: 60_000 } })
    scope!.tus.addHook('preCreate', () => ({ id: 'chosen' }))
    await app.listen({ host: '127.0.0.1', port: 0 })
    const { port } = app.server.address() as AddressInfo
    const created = await app.inject({ method: 'POST', url: '/t/a/files', headers: { ...TUS, 'upload-length': '10' } })
    const path = getPath(created)
    const sender = openRequest({ host: '127.0.0.1', port, method: 'PATCH', path, headers: { ...TUS, ...BYTES, 'upload-offset': '0', 'content-length': '10' } })
    const answered = once(sender, 'response')
    const arrived = createGate()
    app.server.once('request', () => arrived.open())
    sender.write('hello')
    await arrived.passed
    for (const ask of [patch(app, path.replace('/a/', '/b/'), 5, 'x'), terminate(app, path.replace('/a/', '/b/')), head(app, path.replace('/a/', '/b/'))]) t.equal((await ask).statusCode, 404)
    for (const headers of [HELLO, { ...TUS, 'upload-length': '5' }]) {
      const taken = await app.inject({ method: 'POST', url: '/t/b/files', headers, ...headers === HELLO && { payload: 'hello' } })
      t.match(taken, { statusCode: 409, body: /TUS_ERR_UPLOAD_EXISTS/ })
    }
    sender.end('world')
    const [response] = await answered
    t.equal(response.statusCode, 204)
    response.resume()
    t.equal((await app.inject(path)).body, 'helloworld')
  })
})

t.test('a scope of its own', async t => {
  const scope = (request: FastifyRequest) => String(request.headers.user)

  t.test('keeps users apart who have one prefix, and may be async', async t => {
    for (const given of [scope, async (request: FastifyRequest) => scope(request)]) {
      const { app, inside: [inner] } = await start(t, { '': { scope: given } })
      const id = getId(await create(app, '/files', { user: 'a' }))
      t.equal((await inner!.tus.find(id))!.scope, 'a')
      t.notOk(await isThere(t, app, '/files', id, { user: 'b' }))
      t.ok(await isThere(t, app, '/files', id, { user: 'a' }))
    }
  })

  t.test('is asked once per request, after the hooks of Fastify, and not by OPTIONS', async t => {
    let asked = 0
    const preHandler = async (request: FastifyRequest) => { request.headers.user = 'a' }
    const { app, inside: [inner] } = await start(t, { '': { routeOptions: { preHandler }, scope: request => { asked++; return scope(request) } } })
    const path = await create(app, '/files')
    t.equal((await inner!.tus.find(getId(path)))!.scope, 'a')
    t.equal(asked, 1)
    t.equal((await app.inject({ method: 'OPTIONS', url: '/files' })).statusCode, 204)
    t.equal((await app.inject({ method: 'OPTIONS', url: path })).statusCode, 204)
    t.equal(asked, 1)
    for (const [method, headers] of [['HEAD', TUS], ['HEAD', {}], ['GET', {}], ['DELETE', {}], ['DELETE', TUS]] as const) {
      const before = asked
      await app.inject({ method, url: path, headers })
      t.equal(asked, before + 1, method)
    }
  })

  t.test('that fails refuses the request, and nothing is stored', async t => {
    const refuse = (error: unknown) => () => { throw error }
    const cases: ReadonlyArray<readonly [scope: unknown, status: number, code: string | undefined]> = [
      [refuse(Object.assign(new Error('Who are you?'), { statusCode: 401, headers: { 'www-authenticate': 'Bearer' } })), 401, undefined],
      [async () => refuse(Object.assign(new Error('Who are you?'), { statusCode: 403 }))(), 403, undefined],
      [refuse(new Error('secret')), 500, 'TUS_ERR_HOOK_FAILED'],
      [refuse('secret'), 500, 'TUS_ERR_HOOK_FAILED'],
      [() => undefined, 500, 'TUS_ERR_HOOK_RESULT'],
      [async () => 7, 500, 'TUS_ERR_HOOK_RESULT'],
      [() => ({ toString: () => 'x' }), 500, 'TUS_ERR_HOOK_RESULT']
    ]
    for (const [scope, status, code] of cases) {
      const { app, inside: [inner] } = await start(t, { '': { scope: scope as NonNullable<TusOptions['scope']> } })
      for (const [method, url] of [['POST', '/files'], ['HEAD', `/files/${'0'.repeat(32)}`], ['GET', `/files/${'0'.repeat(32)}`]] as const) {
        const response = await app.inject({ method, url, headers: method === 'POST' ? HELLO : {}, ...method === 'POST' && { payload: 'hello' } })
        // A failure is no reason for a client to forget its upload.
        t.equal(response.statusCode, method === 'HEAD' && status === 500 ? 423 : status, `${method} ${code}`)
        if (method !== 'HEAD') t.equal(response.json().code, code)
        t.notMatch(response.body, /secret/)
        if (status === 401) t.equal(response.headers['www-authenticate'], 'Bearer')
      }
      for await (const upload of inner!.tus.list()) t.fail(`${upload.id} was stored`)
    }
  })

  t.test('counts on routes of app.tus.resumable, too', async t => {
    const app = Fastify()
    t.teardown(() => app.close())
    await app.register(fastifyTus, { storage: createMemoryStorage(), scope })
    app.post('/documents', app.tus.resumable(async () => 'kept'))
    const made = await app.inject({ method: 'POST', url: '/documents', headers: { ...HELLO, user: 'a' }, payload: 'hello' })
    const path = getPath(made)
    t.match(made, { statusCode: 200, body: 'kept' })
    const repeat = (user: string, url = path) => app.inject({ method: 'PATCH', url, headers: { ...TUS, ...BYTES, 'upload-offset': '5', user } })
    t.match(await repeat('a'), { statusCode: 200, body: 'kept' })
    t.same(strip(await repeat('b')), strip(await repeat('a', path.replace(/.{32}$/, '0'.repeat(32)))))
  })
})

t.test('an upload without a scope, of an older version or another server, is there for every request', async t => {
  const { app, storage } = await start(t, { '/t/:tenant': {}, '/x': { scope: () => 'mine' } })
  const { id } = makeUpload({ length: 5 })
  await storage.create(makeUpload({ id, length: 5 }))
  for (const collection of ['/t/a/files', '/t/b/files', '/x/files']) t.ok(await isThere(t, app, collection, id), collection)
})

t.test('a final upload is completed by its last part, also where that has no scope', async t => {
  const { app, storage } = await start(t, { '/t/:tenant': {} })
  const own = await create(app, '/t/a/files', PART)
  const { id } = makeUpload()
  await storage.create(makeUpload({ id, length: 5, partial: true }))
  const made = await app.inject({ method: 'POST', url: '/t/a/files', headers: { ...TUS, 'upload-concat': `final;${own} /t/a/files/${id}` } })
  t.equal(made.statusCode, 201)
  t.equal((await patch(app, `/t/b/files/${id}`, 0, 'world')).statusCode, 204)
  await until('it is complete', async () => (await storage.find(getId(getPath(made))))!.complete)
  t.equal((await app.inject(getPath(made))).body, 'helloworld')
  t.equal((await app.inject(getPath(made).replace('/a/', '/b/'))).statusCode, 404)
})

t.test('an upload that has expired is 410 in its scope alone, before and after it is removed', async t => {
  const { app, storage, inside: [scope] } = await start(t, { '/t/:tenant': {} })
  const { id } = makeUpload()
  await storage.create(makeUpload({ id, length: 5, scope: '/t/a/files', expiresAt: new Date(0) }))
  for (const state of ['stored', 'removed']) {
    t.equal((await head(app, `/t/a/files/${id}`)).statusCode, 410, state)
    t.equal((await patch(app, `/t/a/files/${id}`, 0, 'x')).statusCode, 410, state)
    t.notOk(await isThere(t, app, '/t/b/files', id), state)
    t.match(await scope!.tus.sweep(), { expired: state === 'stored' ? 1 : 0 })
  }
})

t.test('a scope that is no function is refused at registration', async t => {
  for (const scope of ['a', 7, null, {}]) {
    await t.rejects(async () => await Fastify().register(fastifyTus, { storage: createMemoryStorage(), scope: scope as never }), { code: 'TUS_ERR_OPTION_INVALID', message: /'scope' must be a function/ })
  }
})
