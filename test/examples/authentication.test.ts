import Fastify, { type FastifyInstance, type FastifyRequest } from 'fastify'
import { spawn, spawnSync } from 'node:child_process'
import { createHmac } from 'node:crypto'
import { once } from 'node:events'
import { readFile } from 'node:fs/promises'
import { request } from 'node:http'
import { connect as connectHttp2, constants } from 'node:http2'
import type { AddressInfo } from 'node:net'
import t, { type Test } from 'tap'
import { createFsStorage } from '../../adapters/fs/index.js'
import { listNames, makeDirectory } from '../support/app.js'
import { loadExample } from '../support/example.js'
import { BYTES, TUS, until } from '../support/http-tus.js'

// The examples of docs/authentication.md, attacked over real connections.

const SECRET = 'a secret of at least thirty-two characters'
const ORIGIN = 'https://app.example.org'
/** Of an upload that takes long, in bytes. */
const LENGTH = 1_000_000_000

interface Server {
  readonly app: FastifyInstance
  readonly url: string
  readonly origin: string
  readonly directory: string
}

type Headers = Readonly<Record<string, string>>

async function start (t: Test, prepare: (app: FastifyInstance, storage: object) => Promise<void>, server: object = {}): Promise<Server> {
  const directory = await makeDirectory(t)
  const app = Fastify(server) as FastifyInstance
  t.teardown(() => app.close())
  await prepare(app, { storage: createFsStorage({ directory }) })
  await app.listen({ host: '127.0.0.1', port: 0 })
  const origin = `http://127.0.0.1:${(app.server.address() as AddressInfo).port}`
  return { app, url: `${origin}/files`, origin, directory }
}

/** What the login of an application gives to a user; it expires `lifetime` s from now. */
function sign (sub: string, lifetime = 60, secret = SECRET, claims: object = {}): Headers {
  const encode = (part: object) => Buffer.from(JSON.stringify(part)).toString('base64url')
  const content = `${encode({ alg: 'HS256', typ: 'JWT' })}.${encode({ sub, ...claims, exp: Math.floor(Date.now() / 1000) + lifetime })}`
  return { authorization: `Bearer ${content}.${createHmac('sha256', secret).update(content).digest('base64url')}` }
}

/** A header that is empty is left out. */
function ask (method: string, url: string, headers: Headers, body?: string): Promise<Response> {
  const sent = Object.entries<string>({ ...TUS, ...headers }).filter(([, value]) => value !== '')
  return fetch(url, { method, headers: sent, ...body !== undefined && { body } })
}

/** All that a client sees of a response, but the time. */
async function strip (response: Response): Promise<object> {
  const { date: _date, ...headers } = Object.fromEntries(response.headers)
  return { status: response.status, headers, body: await response.text() }
}

function create (url: string, headers: Headers, length = 11): Promise<Response> {
  return ask('POST', url, { 'upload-length': String(length), ...headers })
}

function append (url: string, headers: Headers, offset: number, body: string): Promise<Response> {
  return ask('PATCH', url, { ...BYTES, 'upload-offset': String(offset), ...headers }, body)
}

/** Each way in which one who may not could reach the upload at `url`, or make another. */
function listAttacks ({ url: collection }: Server, url: string): ReadonlyArray<readonly [name: string, method: string, url: string, headers: Headers, body?: string]> {
  const whole = { ...BYTES, 'upload-length': '5' }
  return [
    ['create', 'POST', collection, { 'upload-length': '5' }],
    ['create with a body', 'POST', collection, whole, 'hello'],
    ['create in the draft', 'POST', collection, { 'tus-resumable': '', 'upload-draft-interop-version': '8', 'upload-complete': '?1' }, 'hello'],
    ['create a final upload of it', 'POST', collection, { 'upload-concat': `final;${url}` }],
    ['inspect', 'HEAD', url, {}],
    ['inspect in the draft', 'HEAD', url, { 'tus-resumable': '', 'upload-draft-interop-version': '8' }],
    ['append one byte', 'PATCH', url, { ...BYTES, 'upload-offset': '6' }, 'x'],
    ['append', 'PATCH', url, { ...BYTES, 'upload-offset': '6' }, 'WORLD'],
    ['append much', 'PATCH', url, { ...BYTES, 'upload-offset': '6' }, 'x'.repeat(1_000_000)],
    ['append by POST', 'POST', url, { ...BYTES, 'upload-offset': '6', 'x-http-method-override': 'PATCH' }, 'WORLD'],
    ['download', 'GET', url, {}],
    ['remove', 'DELETE', url, {}],
    ['remove by POST', 'POST', url, { 'x-http-method-override': 'DELETE' }],
    ['discover', 'OPTIONS', collection, {}]
  ]
}

interface Tenant {
  readonly user: Headers
  readonly server: Server
}

/** What anybody may do who may upload. */
const FREE = ['create', 'create with a body', 'create in the draft', 'discover', 'create a final upload of it']

/** None of them is answered, and nothing has changed. */
async function assertRefused (t: Test, server: Server, url: string, stranger: Headers, status: number, except: readonly string[] = []): Promise<void> {
  const before = await listNames(server.directory)
  for (const [name, method, target, headers, body] of listAttacks(server, url)) {
    if (except.includes(name)) continue
    t.equal((await ask(method, target, { ...headers, ...stranger }, body)).status, status, name)
  }
  t.same(await listNames(server.directory), before, 'nothing was created')
}

t.test('example/bearer-token.mjs', async t => {
  const { acceptUploads } = await loadExample('bearer-token')
  const server = await start(t, (app, storage) => acceptUploads(app, { secret: SECRET, cors: { origin: ORIGIN }, ...storage }))
  const ann = sign('ann')
  const url = (await create(server.url, ann)).headers.get('location')!
  t.equal((await append(url, ann, 0, 'hello ')).status, 204)

  await t.test('a request without a valid token is refused with 401, whatever its method', async t => {
    for (const stranger of [{}, { authorization: 'Bearer nonsense' }, sign('ann', -10), sign('ann', 60, 'another secret, of thirty-two characters')]) await assertRefused(t, server, url, stranger, 401)
  })

  await t.test('the upload of another user is not found, and cannot be told from one that does not exist', async t => {
    const bob = sign('bob')
    await assertRefused(t, server, url, bob, 404, FREE)
    const none = `${server.url}/${'0'.repeat(32)}`
    for (const [name, method, target, headers, body] of listAttacks(server, url).filter(([, , target]) => target === url)) {
      const [hidden, missing] = [await ask(method, target, { ...headers, ...bob }, body), await ask(method, none, { ...headers, ...bob }, body)]
      t.same(await strip(hidden), await strip(missing), name)
    }
  })

  await t.test('a token that expires between two requests: 401, and another token resumes at the same byte', async t => {
    const expired = sign('ann', -1)
    t.equal((await append(url, expired, 6, 'world')).status, 401)
    t.equal((await ask('HEAD', url, expired)).status, 401)
    const fresh = sign('ann', 90)
    t.equal((await ask('HEAD', url, fresh)).headers.get('upload-offset'), '6')
    t.equal((await append(url, fresh, 6, 'world')).status, 204)
    t.equal(await (await ask('GET', url, fresh)).text(), 'hello world')
  })

  await t.test('routes beside it need no token', async t => {
    t.equal((await fetch(`${server.origin}/elsewhere`)).status, 404)
  })
})

t.test('example/api-keys.mjs: a program with a key uploads, and no other', async t => {
  const { acceptUploads } = await loadExample('api-keys')
  const server = await start(t, (app, storage) => acceptUploads(app, { keys: ['key-of-a-camera', 'key-of-a-scanner'], ...storage }))
  const camera = { authorization: 'Bearer key-of-a-camera' }
  const url = (await create(server.url, camera)).headers.get('location')!
  t.equal((await append(url, camera, 0, 'hello ')).status, 204)
  for (const stranger of [{}, { authorization: 'Bearer key-of-a-toaster' }, { authorization: 'Basic key-of-a-camera' }]) await assertRefused(t, server, url, stranger, 401)
  t.equal((await append(url, camera, 6, 'world')).status, 204)
})

t.test('example/session.mjs', async t => {
  const { acceptUploads } = await loadExample('session')
  const server = await start(t, async (app, storage) => {
    await acceptUploads(app, { secret: SECRET, cookie: { secure: false }, ...storage })
    app.get('/login/:user', async request => {
      Object.assign((request as unknown as { session: object }).session, { user: (request.params as { user: string }).user })
      return 'welcome'
    })
  })
  const login = async (user: string) => {
    const cookies = [...(await fetch(`${server.origin}/login/${user}`)).headers.getSetCookie()]
    const cookie = cookies.map(text => text.split(';')[0]).join('; ')
    const { token } = await (await fetch(`${server.origin}/csrf-token`, { headers: { cookie } })).json() as { token: string }
    return { set: cookies.join(), cookie: { cookie }, all: { cookie, 'csrf-token': token } }
  }
  const [ann, bob] = [await login('ann'), await login('bob')]
  const url = (await create(server.url, ann.all)).headers.get('location')!
  t.equal((await append(url, ann.all, 0, 'hello ')).status, 204)

  await t.test('the cookie is not sent with requests that other sites make, nor given to scripts', async t => {
    t.match(ann.set, /HttpOnly/i)
    t.match(ann.set, /SameSite=Lax/i)
  })

  await t.test('without a session, or with the one of another user', async t => {
    await assertRefused(t, server, url, {}, 401)
    await assertRefused(t, server, url, { cookie: 'sessionId=forged' }, 401)
    await assertRefused(t, server, url, bob.all, 404, FREE)
  })

  await t.test('with the cookie alone, as a forged request of another site has it, nothing is written', async t => {
    await assertRefused(t, server, url, ann.cookie, 403, ['inspect', 'inspect in the draft', 'download', 'discover'])
    await assertRefused(t, server, url, { ...ann.cookie, 'csrf-token': bob.all['csrf-token'] }, 403, ['inspect', 'inspect in the draft', 'download', 'discover'])
    const form = await fetch(server.url, { method: 'POST', headers: { ...ann.cookie, 'content-type': 'text/plain', origin: 'https://evil.example' }, body: 'hello' })
    t.equal(form.status, 403)
  })

  await t.test('a new session of the same user resumes', async t => {
    const again = await login('ann')
    t.equal((await ask('HEAD', url, again.cookie)).headers.get('upload-offset'), '6')
    t.equal((await append(url, again.all, 6, 'world')).status, 204)
  })
})

t.test('example/team.mjs: the owner may do everything, the team may download, all others find nothing', async t => {
  const [{ shareWithTeam }, { default: tus }, { default: jwt }] = [await loadExample('team'), await import('../../lib/index.js'), await import('@fastify/jwt')]
  const server = await start(t, async (app, storage) => {
    await app.register(jwt, { secret: SECRET })
    await app.register(tus, { ...storage, routeOptions: { onRequest: async (request: { jwtVerify: () => Promise<unknown> }) => { await request.jwtVerify() } } })
    shareWithTeam(app)
  })
  const [ann, bob, eve] = [['ann', 'red'], ['bob', 'red'], ['eve', 'blue']].map(([user, team]) => sign(user!, 60, SECRET, { team })) as [Headers, Headers, Headers]
  const url = (await create(server.url, ann)).headers.get('location')!
  await append(url, ann, 0, 'hello ')
  await assertRefused(t, server, url, bob, 404, [...FREE, 'download'])
  await assertRefused(t, server, url, eve, 404, FREE)
  t.equal((await append(url, ann, 6, 'world')).status, 204)
  const downloaded = await ask('GET', url, bob)
  t.equal(await downloaded.text(), 'hello world')
  t.equal(downloaded.headers.get('cache-control'), 'private, no-cache')
  const [hidden, missing] = [await ask('GET', url, eve), await ask('GET', `${server.url}/${'0'.repeat(32)}`, eve)]
  t.same(await strip(hidden), await strip(missing))
})

t.test('example/tenants.mjs', async t => {
  const { acceptUploads } = await loadExample('tenants')
  const server = await start(t, (app, storage) => acceptUploads(app, { secret: SECRET, ...storage }))
  const [red, blue] = ['red', 'blue'].map(tenant => ({ user: sign('ann', 60, SECRET, { tenant }), server: { ...server, url: `${server.origin}/t/${tenant}/files` } })) as [Tenant, Tenant]
  const url = (await create(red.server.url, red.user)).headers.get('location')!
  t.equal((await append(url, red.user, 0, 'hello ')).status, 204)

  await t.test('a token of another tenant, or of none, is refused', async t => {
    await assertRefused(t, red.server, url, blue.user, 403)
    await assertRefused(t, red.server, url, sign('ann'), 403)
    await assertRefused(t, red.server, url, {}, 401)
  })

  await t.test('below the prefix of another tenant there is no such upload', async t => {
    const moved = url.replace('/red/', '/blue/')
    await assertRefused(t, blue.server, moved, blue.user, 404, FREE)
    await assertRefused(t, blue.server, url, blue.user, 403, FREE)
    for (const path of ['/t/blue/../red/files', '/t/blue%2f..%2fred/files', '/t/RED/files', '/t//files']) {
      t.ok((await ask('HEAD', `${server.origin}${path}/${url.split('/').at(-1)!}`, blue.user)).status >= 400, path)
    }
  })

  await t.test('the tenant itself resumes', async t => {
    t.equal((await append(url, red.user, 6, 'world')).status, 204)
  })
})

t.test('example/download-link.mjs', async t => {
  const { acceptUploads } = await loadExample('download-link')
  let makeToken = (user: string, id: string): string => `${user} ${id}`
  const server = await start(t, async (app, storage) => { makeToken = await acceptUploads(app, { secret: SECRET, ...storage }) })
  const make = async (user: Headers) => {
    const url = (await create(server.url, user, 5)).headers.get('location')!
    await append(url, user, 0, 'hello')
    return { url, id: url.split('/').at(-1)! }
  }
  const [ann, bob] = [sign('ann'), sign('bob')]
  const [one, other, foreign] = [await make(ann), await make(ann), await make(bob)]
  const token = makeToken('ann', one.id)

  await t.test('a link downloads what it is for, without a header', async t => {
    t.equal(await (await fetch(`${one.url}?token=${token}`)).text(), 'hello')
    t.equal((await fetch(one.url)).status, 401)
  })

  await t.test('it opens nothing else', async t => {
    for (const { url } of [other, foreign]) t.not((await fetch(`${url}?token=${token}`)).status, 200)
    for (const [name, method, url, headers, body] of listAttacks(server, one.url)) {
      if (['download', 'discover'].includes(name)) continue
      const { status } = await ask(method, `${url}?token=${token}`, headers, body)
      t.ok(status === 403 || status === 404, `${name}: ${status}`)
    }
    t.equal((await ask('HEAD', one.url, ann)).headers.get('upload-offset'), '5', 'it is still there')
  })

  await t.test('it ends with its minute, and nobody else can make one', async t => {
    const { authorization } = sign('ann', -1) as { authorization: string }
    t.equal((await fetch(`${one.url}?token=${authorization.replace('Bearer ', '')}`)).status, 401)
    t.equal((await fetch(`${one.url}?token=${token.slice(0, -3)}AAA`)).status, 401)
    t.equal((await fetch(`${one.url}?token=${token}&token=${token}`)).status, 401)
  })
})

t.test('example/token-expiry.mjs', async t => {
  const [{ endWithToken }, { acceptUploads }] = [await loadExample('token-expiry'), await loadExample('bearer-token')]
  for (const http2 of [false, true]) {
    await t.test(`a body that arrives while its token expires is ended, and what arrived is kept: HTTP/${http2 ? 2 : 1.1}`, async t => {
      let [expiry, seen] = [Infinity, 0]
      const server = await start(t, async (app, storage) => {
        await acceptUploads(app, { secret: SECRET, progressInterval: 10, ...storage })
        app.tus.addHook('postReceive', (_request, { offset }) => { seen = offset })
        endWithToken(app, () => expiry)
      }, { http2 })
      const user = sign('ann')
      const created = await server.app.inject({ method: 'POST', url: '/files', headers: { ...TUS, ...user, 'upload-length': String(LENGTH) } })
      const path = new URL(created.headers.location!).pathname
      const offset = async () => Number((await server.app.inject({ method: 'HEAD', url: path, headers: { ...TUS, ...user } })).headers['upload-offset'])
      const sending = send(t, server, path, { ...TUS, ...BYTES, ...user, 'upload-offset': '0' }, http2)
      await until('bytes have arrived', () => {
        sending.write(Buffer.alloc(10_000, 'a'))
        return seen > 0
      })
      expiry = Date.now() - 1
      const writing = setInterval(() => sending.write(Buffer.alloc(10_000, 'a')), 10)
      await sending.ended
      clearInterval(writing)
      const kept = await offset()
      t.ok(kept >= seen && kept < LENGTH, `${kept} bytes are kept`)
      expiry = Infinity
      const next = await server.app.inject({ method: 'PATCH', url: path, headers: { ...TUS, ...BYTES, ...user, 'upload-offset': String(kept) }, payload: 'a' })
      t.equal(next.statusCode, 204)
    })
  }
})

t.test('docs/authentication.md: what it says beside its examples', async t => {
  const [{ default: tus }, { default: jwt }] = [await import('../../lib/index.js'), await import('@fastify/jwt')]
  const verify = async (request: FastifyRequest) => { await request.jwtVerify() }
  const getUser = (request: FastifyRequest) => (request.user as { sub: string }).sub
  const register = (app: FastifyInstance, options: object) => app.register(tus, options)

  for (const [place, prepare] of Object.entries<(app: FastifyInstance, options: object) => unknown>({
    'the application': async (app, options) => {
      app.addHook('onRequest', verify)
      await register(app, options)
    },
    'a scope': (app, options) => app.register(async scope => {
      scope.addHook('onRequest', verify)
      await register(scope, options)
    }),
    'a scope, after the plugin': (app, options) => app.register(async scope => {
      await register(scope, options)
      scope.addHook('onRequest', verify)
    }),
    'the callback of a hook that answers as the page of @fastify/jwt has it': async (app, options) => {
      app.addHook('onRequest', async (request, reply) => {
        try {
          await request.jwtVerify()
        } catch (error) {
          reply.send(error)
        }
      })
      await register(app, options)
    }
  })) {
    await t.test(`a hook in ${place} protects every method`, async t => {
      const server = await start(t, async (app, storage) => {
        await app.register(jwt, { secret: SECRET })
        await prepare(app, { ...storage, scope: getUser })
      })
      const url = (await create(server.url, sign('ann'))).headers.get('location')!
      await append(url, sign('ann'), 0, 'hello ')
      await assertRefused(t, server, url, {}, 401)
      await assertRefused(t, server, url, sign('bob'), 404, FREE)
      t.equal((await append(url, sign('ann'), 6, 'world')).status, 204)
    })
  }

  await t.test('a route of app.tus.resumable(): its hook protects the uploads that it creates, scope keeps users apart, and so a kept answer goes to its user alone', async t => {
    const server = await start(t, async (app, storage) => {
      await app.register(jwt, { secret: SECRET })
      await app.register(tus, { ...storage, scope: getUser })
      app.post('/files/documents', { onRequest: verify }, app.tus.resumable(async (request, reply) => reply.code(201).send({ secret: getUser(request) })))
    })
    const draft = { 'tus-resumable': '', 'upload-draft-interop-version': '8' }
    const ann = { ...draft, ...sign('ann') }
    const begun = await ask('POST', `${server.origin}/files/documents`, { ...ann, 'upload-complete': '?0' }, 'hello ')
    t.equal(begun.status, 201)
    const url = begun.headers.get('location')!
    const rest = { 'content-type': 'application/partial-upload', 'upload-offset': '6', 'upload-complete': '?1' }
    for (const [stranger, status] of [[draft, 401], [{ ...draft, ...sign('bob') }, 404]] as const) {
      for (const method of ['HEAD', 'GET', 'DELETE']) t.equal((await ask(method, url, stranger)).status, status, method)
      t.equal((await ask('PATCH', url, { ...stranger, ...rest }, 'world')).status, status)
    }
    const done = await ask('PATCH', url, { ...ann, ...rest }, 'world')
    t.same([done.status, await done.json()], [201, { secret: 'ann' }])
    for (const [stranger, status] of [[draft, 401], [{ ...draft, ...sign('bob') }, 404]] as const) {
      const again = await ask('PATCH', url, { ...stranger, ...rest, 'upload-offset': '11' })
      t.equal(again.status, status)
      t.notMatch(await again.text(), /ann/)
    }
  })

  await t.test('with a token for preCreate alone, the URL does the rest', async t => {
    const server = await start(t, async (app, storage) => {
      await app.register(jwt, { secret: SECRET })
      await app.register(tus, storage)
      app.tus.addHook('preCreate', verify)
    })
    t.equal((await create(server.url, {})).status, 401)
    t.equal((await ask('POST', server.url, { 'tus-resumable': '', 'upload-draft-interop-version': '8', 'upload-complete': '?1' }, 'x')).status, 401)
    for (const method of ['PUT', 'PATCH', 'DELETE']) t.equal((await ask(method, server.url, { 'upload-length': '5', 'x-http-method-override': 'POST' })).status, 401, method)
    t.same(await listNames(server.directory), [])
    const url = (await create(server.url, sign('ann'))).headers.get('location')!
    t.equal((await append(url, {}, 0, 'hello world')).status, 204)
  })

  await t.test('a form of another site creates nothing, in any protocol', async t => {
    for (const protocols of [['tus', 'ietf'], ['tus'], ['ietf']] as const) {
      const server = await start(t, async (app, storage) => { await app.register(tus, { ...storage, protocols }) })
      for (const type of ['text/plain', 'application/x-www-form-urlencoded', 'multipart/form-data; boundary=x']) {
        const { status } = await fetch(server.url, { method: 'POST', headers: { 'content-type': type, origin: 'https://evil.example' }, body: 'hello' })
        t.ok(status >= 400 && status < 500, `${protocols.join()} ${type}: ${status}`)
      }
      t.same(await listNames(server.directory), [])
    }
  })

  await t.test('maxConcurrentUploads counts per user', async t => {
    const server = await start(t, async (app, storage) => {
      await app.register(jwt, { secret: SECRET })
      await app.register(tus, { ...storage, scope: getUser, maxConcurrentUploads: { max: 1, key: getUser }, routeOptions: { onRequest: verify } })
    })
    const url = (await create(server.url, sign('ann'), LENGTH)).headers.get('location')!
    const sending = send(t, server, new URL(url).pathname, { ...TUS, ...BYTES, ...sign('ann'), 'upload-offset': '0' }, false)
    await until('one upload is running', async () => {
      sending.write(Buffer.alloc(1000))
      return (await append((await create(server.url, sign('ann'), 5)).headers.get('location')!, sign('ann'), 0, 'hello')).status === 429
    })
    t.equal((await append((await create(server.url, sign('bob'), 5)).headers.get('location')!, sign('bob'), 0, 'hello')).status, 204)
    await ask('DELETE', url, sign('ann'))
    await sending.ended
  })

  await t.test('curl does not retry a 401', { skip: spawnSync('curl', ['--version']).status !== 0 && 'there is no curl' }, async t => {
    let requests = 0
    const server = await start(t, async (app, storage) => {
      await app.register(tus, storage)
      app.tus.addHook('preCreate', () => {
        requests++
        throw Object.assign(new Error('The token has expired'), { statusCode: 401 })
      })
    })
    const curl = spawn('curl', ['--silent', '--fail', '--retry', '3', '-X', 'POST', '-H', 'Tus-Resumable: 1.0.0', '-H', 'Upload-Length: 5', server.url])
    t.equal((await once(curl, 'close'))[0], 22)
    t.equal(requests, 1)
  })

  await t.test('the serializer keeps the token of a link out of the log', async t => {
    const lines: string[] = []
    const page = await readFile('docs/authentication.md', 'utf8')
    const [, pattern] = /serializers: \{ req: \(\{ method, url \}\) => \(\{ method, url: url\.replace\((\/.*?\/), ''\) \}\) \}/.exec(page)!
    const replace = new RegExp(pattern!.slice(1, -1))
    const logger = { stream: { write: (line: string) => { lines.push(line) } }, serializers: { req: ({ method, url }: FastifyRequest) => ({ method, url: url.replace(replace, '') }) } }
    const { acceptUploads } = await loadExample('download-link')
    let makeToken = (user: string, id: string): string => `${user} ${id}`
    const server = await start(t, async (app, storage) => { makeToken = await acceptUploads(app, { secret: SECRET, ...storage }) }, { logger })
    const url = (await create(server.url, sign('ann'), 0)).headers.get('location')!
    const token = makeToken('ann', url.split('/').at(-1)!)
    for (const [link, status] of [[`${url}?token=${token}`, 200], [`${url}0?token=${token}`, 404], [`${url}?token=${token}0`, 401]] as const) t.equal((await fetch(link)).status, status)
    t.match(lines.join(), new URL(url).pathname)
    t.notMatch(lines.join(), token)
  })
})

/** A PATCH whose body is sent by hand. `ended` resolves when the server has ended it. */
function send (t: Test, server: Server, path: string, headers: Headers, http2: boolean): { write: (bytes: Buffer) => void, ended: Promise<unknown> } {
  if (!http2) {
    const sending = request(`${server.origin}${path}`, { method: 'PATCH', headers: { ...headers, 'content-length': String(LENGTH) } })
    return { write: bytes => { sending.write(bytes) }, ended: new Promise(resolve => { sending.on('error', resolve).on('response', resolve) }) }
  }
  const session = connectHttp2(server.origin)
  t.teardown(() => session.close())
  const stream = session.request({ ...headers, [constants.HTTP2_HEADER_METHOD]: 'PATCH', [constants.HTTP2_HEADER_PATH]: path })
  stream.on('error', () => {}).resume()
  return { write: bytes => { stream.write(bytes) }, ended: new Promise(resolve => { stream.on('close', resolve) }) }
}
