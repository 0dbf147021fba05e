import Fastify, { type FastifyInstance, type FastifyRequest } from 'fastify'
import type { AddressInfo } from 'node:net'
import { Registry } from 'prom-client'
import t, { type Test } from 'tap'
import { createFsStorage } from '../../adapters/fs/index.js'
import { createMemoryStorage } from '../../adapters/memory/index.js'
import tus, { type Storage, type TusOptions } from '../../lib/index.js'
import { makeDirectory } from '../support/app.js'
import { BYTES, TUS, createGate, getPath, head, patch } from '../support/http-tus.js'
import { formatHead, openRaw } from '../support/raw-socket.js'

type Plugin = (scope: FastifyInstance) => Promise<void>
type Routes = Readonly<Record<string, FastifyInstance>>

function makeBare (t: Test): FastifyInstance {
  const app = Fastify()
  t.teardown(() => app.close())
  return app
}

function create (app: FastifyInstance, url: string, headers: Readonly<Record<string, string>> = {}, payload?: string) {
  return app.inject({ method: 'POST', url, headers: { ...TUS, 'upload-length': '5', ...headers }, ...payload !== undefined && { payload } })
}

/** Registers the plugin in a scope, with a storage of its own, and puts the scope where the test finds it. */
async function add (scope: FastifyInstance, prefix: string, options: TusOptions = {}): Promise<void> {
  await scope.register(tus, { storage: createMemoryStorage(), prefix, ...options })
}

/** How registrations may lie to each other: what is registered, and the paths at which uploads are created. */
const SHAPES: Readonly<Record<string, (app: FastifyInstance) => Promise<Routes>>> = {
  'one inside the scope of another': async app => {
    const scopes: Record<string, FastifyInstance> = { '/a': app }
    await add(app, '/a')
    await app.register(async inner => { await add(scopes['/b'] = inner, '/b') })
    return scopes
  },
  'the inner one first': async app => {
    const scopes: Record<string, FastifyInstance> = {}
    await app.register(async inner => { await add(scopes['/b'] = inner, '/b') })
    await add(scopes['/a'] = app, '/a')
    return scopes
  },
  'one beside another, inside of a third': async app => {
    const scopes: Record<string, FastifyInstance> = { '/a': app }
    await add(app, '/a')
    for (const prefix of ['/b', '/c']) await app.register(async inner => { await add(scopes[prefix] = inner, prefix) })
    return scopes
  },
  'three deep, with prefixes of the scopes': async app => {
    const scopes: Record<string, FastifyInstance> = { '/files': app }
    await add(app, '/files')
    await app.register(async second => {
      await add(scopes['/admin/files'] = second, '/files')
      await second.register(async third => { await add(scopes['/admin/deep/files'] = third, '/files') }, { prefix: '/deep' })
    }, { prefix: '/admin' })
    return scopes
  },
  'with cors and metrics of one register': async app => {
    const scopes: Record<string, FastifyInstance> = { '/a': app }
    const options = { cors: {}, metrics: { register: new Registry() } }
    await add(app, '/a', options)
    await app.register(async inner => { await add(scopes['/b'] = inner, '/b', options) })
    return scopes
  }
}

for (const [name, build] of Object.entries(SHAPES)) {
  t.test(`${name}: each serves its own uploads, with its own hooks, and app.tus is that of the scope`, async t => {
    const app = makeBare(t)
    const scopes = Object.entries(await build(app))
    const seen: string[] = []
    for (const [path, scope] of scopes) scope.tus.addHook('postCreate', () => { seen.push(path) })
    t.equal(new Set(scopes.map(([, scope]) => scope.tus)).size, scopes.length)

    for (const [path, scope] of scopes) {
      const created = await create(app, path)
      t.equal(created.statusCode, 201, path)
      const url = getPath(created)
      t.equal(url.slice(0, url.lastIndexOf('/')), path)
      t.equal((await patch(app, url, 0, 'hello')).statusCode, 204)
      const id = url.slice(url.lastIndexOf('/') + 1)
      t.match(await scope.tus.find(id), { complete: true })
      for (const [other, { tus }] of scopes.filter(([other]) => other !== path)) {
        t.equal(await tus.find(id), null)
        t.equal((await head(app, `${other}/${id}`)).statusCode, 404)
      }
    }
    t.strictSame(seen, scopes.map(([path]) => path))
  })
}

t.test('a scope that has app.tus takes no second one, and says so before anything is opened', async t => {
  const taken: ReadonlyArray<readonly [name: string, prepare: (app: FastifyInstance) => unknown]> = [
    ['the plugin', app => app.register(tus, { storage: createMemoryStorage() })],
    ['a decorator of the application', app => app.decorate('tus' as never, 'mine' as never)]
  ]
  for (const [name, prepare] of taken) {
    const app = makeBare(t)
    await prepare(app)
    let opened = false
    const storage: Storage = { ...createMemoryStorage(), open: async () => { opened = true } }
    await t.rejects(async () => await app.register(tus, { storage, prefix: '/more' }), { code: 'TUS_ERR_DECORATOR_PRESENT', message: /'tus'.*scope of its own/ }, name)
    t.notOk(opened)
  }
})

t.test('an app.tus of the application stays in its scope, and one inside of it is ours', async t => {
  const app = makeBare(t)
  app.decorate('tus' as never, 'mine' as never)
  await app.register(async inner => {
    await add(inner, '/files')
    t.type(inner.tus.find, 'function')
  })
  t.equal(app.tus, 'mine')
  t.equal((await create(app, '/files')).statusCode, 201)
})

/** What an application may have as its own `request.upload`. */
const OWN: Readonly<Record<string, { readonly decorate: (app: FastifyInstance) => void, readonly read: (request: FastifyRequest) => unknown }>> = {
  'a value': { decorate: app => { app.decorateRequest('upload', 'mine' as never) }, read: request => request.upload },
  'nothing yet': { decorate: app => { app.decorateRequest('upload' as never) }, read: request => request.upload === undefined ? 'mine' : request.upload },
  'a value that a hook sets': {
    decorate (app) {
      app.decorateRequest('upload', null)
      for (const hook of ['onRequest', 'preHandler'] as const) app.addHook(hook, async request => { request.upload = 'mine' as never })
    },
    read: request => request.upload
  },
  'a getter': { decorate: app => { app.decorateRequest('upload', { getter: () => 'mine' as never }) }, read: request => request.upload },
  'a getter and a setter that refuses': {
    decorate: app => { app.decorateRequest('upload', { getter: () => 'mine' as never, setter: () => { throw new Error('not for you') } }) },
    read: request => request.upload
  },
  'a method': { decorate: app => { app.decorateRequest('upload', (() => 'mine') as never) }, read: request => (request.upload as unknown as () => string)() }
}

/** Where that decorator stands, seen from the plugin. `own` gets a scope for a route of the application, and one for the plugin. */
const PLACES: Readonly<Record<string, (app: FastifyInstance, decorate: (app: FastifyInstance) => void, own: Plugin, ours: Plugin) => Promise<unknown>>> = {
  'before it, in the same scope': async (app, decorate, own, ours) => {
    decorate(app)
    await own(app)
    await ours(app)
  },
  'in a scope around it': async (app, decorate, own, ours) => {
    decorate(app)
    await own(app)
    await app.register(ours)
  },
  'in a scope inside of it': async (app, decorate, own, ours) => {
    await ours(app)
    await app.register(async inner => {
      decorate(inner)
      await own(inner)
    })
  },
  'in a scope between two of it': async (app, decorate, own, ours) => {
    await add(app, '/outer')
    await app.register(async inner => {
      decorate(inner)
      await own(inner)
      await inner.register(ours)
    })
  },
  'in a scope beside it': async (app, decorate, own, ours) => {
    await app.register(async scope => {
      decorate(scope)
      await own(scope)
    })
    await app.register(ours)
  }
}

for (const [place, build] of Object.entries(PLACES)) {
  for (const [kind, { decorate, read }] of Object.entries(OWN)) {
    t.test(`the application has its own request.upload, ${kind}, ${place}: each is right on its routes`, async t => {
      const app = makeBare(t)
      const seen: unknown[] = []
      await build(app, decorate, async scope => { scope.get('/own', async request => ({ upload: read(request) })) }, async scope => {
        scope.addHook('onResponse', async ({ upload, url }) => { if (url !== '/own') seen.push(upload && `${upload.offset} of ${upload.length}`) })
        await add(scope, '/files')
        scope.post('/documents', scope.tus.resumable(async request => ({ length: request.upload!.length })))
      })
      t.same((await app.inject('/own')).json(), { upload: 'mine' })

      const created = await create(app, '/files')
      t.equal(created.statusCode, 201, created.body)
      t.equal((await patch(app, getPath(created), 3, 'lo')).statusCode, 409)
      t.equal((await patch(app, getPath(created), 0, 'hello')).statusCode, 204)
      t.equal((await head(app, '/files/none')).statusCode, 404)
      t.equal((await app.inject({ method: 'OPTIONS', url: '/files' })).statusCode, 204)
      t.strictSame(seen.splice(0), ['0 of 5', '0 of 5', '5 of 5', null, null])

      const document = await app.inject({ method: 'POST', url: '/documents', headers: { 'content-type': 'text/plain' }, payload: 'hello' })
      t.same(document.json(), { length: 5 })
      const begun = await create(app, '/documents', BYTES, 'hel')
      t.equal(begun.statusCode, 201)
      t.same((await patch(app, getPath(begun), 3, 'lo')).json(), { length: 5 })
      t.strictSame(seen.splice(0), ['5 of 5', '3 of 5', '5 of 5'])
      t.same((await app.inject('/own')).json(), { upload: 'mine' })
    })
  }
}

t.test('without a decorator of the application, request.upload is null on its routes, and can be set', async t => {
  const app = makeBare(t)
  await add(app, '/files')
  app.get('/own', async request => {
    const before = request.upload
    request.upload = 'mine' as never
    return { before, after: request.upload }
  })
  t.ok(app.hasRequestDecorator('upload'))
  t.same((await app.inject('/own')).json(), { before: null, after: 'mine' })
  t.same((await app.inject('/own')).json(), { before: null, after: 'mine' })
})

t.test('two registrations on one storage: it is opened once, and closed after both have stopped', async t => {
  const app = makeBare(t)
  const calls: string[] = []
  const inner = createMemoryStorage()
  const storage: Storage = {
    ...inner,
    open: async () => { calls.push('open') },
    close: async () => { calls.push('close') },
    async * list (hint) {
      calls.push('list')
      yield * inner.list!(hint)
    }
  }
  await add(app, '/a', { storage })
  await app.register(async scope => { await add(scope, '/b', { storage }) })
  await Promise.all(['/a', '/b'].map(async path => t.equal((await create(app, path)).statusCode, 201)))
  await app.close()
  t.strictSame(calls, ['open', 'close'])
})

t.test('two applications on one storage: closing one leaves it open for the other, and it may be used again', async t => {
  const calls: string[] = []
  const storage: Storage = { ...createMemoryStorage(), open: async () => { calls.push('open') }, close: async () => { calls.push('close') } }
  const [first, second] = [makeBare(t), makeBare(t)]
  await Promise.all([add(first, '/files', { storage }), add(second, '/files', { storage })])
  await first.close()
  t.strictSame(calls, ['open'])
  t.equal((await create(second, '/files')).statusCode, 201)
  await second.close()
  t.strictSame(calls, ['open', 'close'])
  await add(makeBare(t), '/files', { storage })
  t.strictSame(calls, ['open', 'close', 'open'])
})

t.test('a storage on a directory that closes for one application still excludes for the other', async t => {
  const storage = createFsStorage({ directory: await makeDirectory(t) })
  const [first, second] = [makeBare(t), makeBare(t)]
  for (const app of [first, second]) await add(app, '/files', { storage })
  const url = getPath(await create(first, '/files'))
  await first.close()
  t.equal((await patch(second, url, 0, 'hello')).statusCode, 204)
  t.equal((await second.inject(url)).body, 'hello')
})

t.test('a storage that can not be opened is tried again by the next registration', async t => {
  let fails = true
  const calls: string[] = []
  const storage: Storage = {
    ...createMemoryStorage(),
    open: async () => { if (fails) throw new Error('no such disk') },
    close: async () => { calls.push('close') }
  }
  const broken = makeBare(t)
  await t.rejects(add(broken, '/files', { storage }), { message: 'no such disk' })
  await broken.close().catch(() => {})
  t.strictSame(calls, [], 'what was never open is not closed')
  fails = false
  const app = makeBare(t)
  await add(app, '/files', { storage })
  t.equal((await create(app, '/files')).statusCode, 201)
  await app.close()
  t.strictSame(calls, ['close'])
})

t.test('a storage is closed where the registration fails after it was opened', async t => {
  const calls: string[] = []
  const storage: Storage = { ...createMemoryStorage(), open: async () => { calls.push('open') }, close: async () => { calls.push('close') } }
  const app = makeBare(t)
  app.get('/files/*', async () => 'taken')
  await t.rejects(add(app, '/files', { storage }), { code: 'FST_ERR_DUPLICATED_ROUTE' })
  await app.close()
  t.strictSame(calls, ['open', 'close'])
})

t.test('requests of two registrations on one storage exclude each other, and a sweep of one disturbs no body of the other', async t => {
  const app = makeBare(t)
  const storage = createMemoryStorage()
  const [begun, gate] = [createGate(), createGate()]
  let [running, most] = [0, 0]
  const slow: Storage = {
    ...storage,
    async append (id, addition) {
      most = Math.max(most, ++running)
      begun.open()
      await gate.passed
      return storage.append(id, addition).finally(() => { running-- })
    }
  }
  const scopes: FastifyInstance[] = []
  for (const [prefix, incomplete] of [['/a', null], ['/b', null], ['/c', 1]] as const) {
    await app.register(async scope => {
      await add(scopes[scopes.length] = scope, prefix, { storage: slow, scope: () => 'shared', expiration: { incomplete, sweepInterval: null } })
    })
  }
  const url = getPath(await create(app, '/a'))
  const first = patch(app, url, 0, 'hello')
  await begun.passed
  t.match(await scopes[2]!.tus.sweep(), { expired: 0, failed: 0 })
  const second = patch(app, url.replace('/a/', '/b/'), 0, 'hello')
  gate.open()
  await Promise.all([first, second])
  t.equal(most, 1)
})

t.test('Expect is answered by one listener, whatever the number of registrations', async t => {
  const app = makeBare(t)
  await add(app, '/a')
  await app.register(async scope => { await add(scope, '/b') })
  t.equal(app.server.listenerCount('checkContinue'), 1)
})

t.test('a server that stops does not wait for one registration before it ends the bodies of another', async t => {
  const app = makeBare(t)
  const [begun, gate] = [createGate(), createGate()]
  const storage = createMemoryStorage()
  await add(app, '/a', {
    storage: {
      ...storage,
      async append (id, addition) {
        begun.open()
        await gate.passed
        return storage.append(id, addition)
      }
    }
  })
  await app.register(async scope => { await add(scope, '/b') })
  await app.listen({ host: '127.0.0.1', port: 0 })
  const send = async (path: string) => {
    const url = getPath(await create(app, path, { 'upload-length': '100' }))
    const client = openRaw(t, (app.server.address() as AddressInfo).port)
    await client.send(formatHead('PATCH', url, { ...TUS, ...BYTES, 'upload-offset': '0', 'content-length': '100', expect: '100-continue' }))
    return client
  }
  const [held, free] = [await send('/a'), await send('/b')]
  await begun.passed
  t.equal((await free.receiveAny())?.status, 100)
  const closed = app.close()
  t.equal((await free.receive('PATCH'))?.status, 503)
  free.socket.destroy()
  gate.open()
  t.equal((await held.receive('PATCH'))?.status, 503)
  held.socket.destroy()
  await closed
})
