import jwt from '@fastify/jwt'
import Fastify, { type FastifyInstance } from 'fastify'
import { createHmac } from 'node:crypto'
import { once } from 'node:events'
import { readFile, readdir, stat } from 'node:fs/promises'
import type { AddressInfo } from 'node:net'
import { createServer as createHttpServer } from 'node:http'
import { join } from 'node:path'
import { text } from 'node:stream/consumers'
import t, { type Test } from 'tap'
import { createFsStorage } from '../../adapters/fs/index.js'
import fastifyTus from '../../lib/index.js'
import { listNames, makeDirectory } from '../support/app.js'
import { loadExample as load, startExample } from '../support/example.js'
import { BYTES, TUS, encodeMetadata, until } from '../support/http-tus.js'

const SECRET = 'a secret of at least thirty-two characters'

/** What the login of an application would give to a user. */
function sign (sub: string): { authorization: string } {
  const encode = (part: object) => Buffer.from(JSON.stringify(part)).toString('base64url')
  const content = `${encode({ alg: 'HS256', typ: 'JWT' })}.${encode({ sub })}`
  return { authorization: `Bearer ${content}.${createHmac('sha256', SECRET).update(content).digest('base64url')}` }
}

async function makeApp (t: Test, prepare: (app: FastifyInstance, directory: string) => void | Promise<void>): Promise<{ app: FastifyInstance, directory: string }> {
  const directory = await makeDirectory(t)
  const app = Fastify()
  t.teardown(() => app.close())
  await app.register(jwt, { secret: SECRET })
  await app.register(fastifyTus, { storage: createFsStorage({ directory }) })
  await prepare(app, directory)
  await app.ready()
  return { app, directory }
}

function send (app: FastifyInstance, content: string, headers: Record<string, string> = {}) {
  return app.inject({ method: 'POST', url: '/files', headers: { ...TUS, ...BYTES, 'upload-length': String(content.length), ...headers }, payload: content })
}

t.test('example/app.mjs: two users, each with uploads, a quota and a folder of their own', async t => {
  const [uploads, folder] = [await makeDirectory(t), await makeDirectory(t)]
  const server = await startExample(t, 'app', { UPLOADS: uploads, FOLDER: folder, QUOTA: '1000', JWT_SECRET: SECRET })
  const [ann, bob] = [sign('ann'), sign('bob')]
  const create = (user: object, length: number, filename = 'a.txt') => fetch(server.url, {
    method: 'POST',
    headers: { ...TUS, ...user, 'upload-length': String(length), 'upload-metadata': encodeMetadata({ filename }) }
  })
  const ask = (method: string, url: string, user: object, init: RequestInit = {}) => fetch(url, { ...init, method, headers: { ...TUS, ...user, ...init.headers } })
  const append = (url: string, user: object, offset: number, body: string) => ask('PATCH', url, user, { headers: { ...BYTES, 'upload-offset': String(offset) }, body })

  await t.test('nobody uploads without a token', async t => {
    t.equal((await create({}, 5)).status, 401)
    t.equal((await create({ authorization: 'Bearer nonsense' }, 5)).status, 401)
    t.same(await listNames(uploads), [])
  })

  const url = (await create(ann, 11, '../../evil name.txt')).headers.get('location')!
  t.equal((await append(url, ann, 0, 'hello ')).status, 204)

  await t.test('a stranger is refused on every verb, as if there were nothing', async t => {
    for (const user of [bob, {}]) {
      const status = user === bob ? 404 : 401
      for (const method of ['HEAD', 'GET', 'DELETE']) t.equal((await ask(method, url, user)).status, status, method)
      t.equal((await append(url, user, 6, 'WORLD')).status, status)
    }
    t.equal((await ask('HEAD', url, ann)).headers.get('upload-offset'), '6', 'and changed nothing')
  })

  await t.test('the quota is that of a user', async t => {
    const refused = await create(ann, 990)
    t.equal(refused.status, 413)
    t.equal(refused.headers.get('x-quota-left'), '989')
    t.match(await refused.json(), { message: '989 bytes are left of your quota' })
    const other = await create(bob, 990)
    t.equal(other.status, 201)
    t.equal((await ask('DELETE', other.headers.get('location')!, bob)).status, 204)
    t.equal((await create(bob, 1000)).status, 201, 'what was removed counts no more')
  })

  await t.test('a complete file is moved to the folder of its user', async t => {
    t.equal((await append(url, ann, 6, 'world')).status, 204)
    const id = url.split('/').at(-1)!
    const path = join(folder, 'ann', `${id}-__.._evil_name.txt`)
    await until('the file is there', () => stat(path).then(() => true, () => false))
    t.equal(await readFile(path, 'utf8'), 'hello world')
    await until('the upload is gone', async () => (await ask('HEAD', url, ann)).status === 404)
    t.notOk((await readdir(uploads)).some(name => name.startsWith(id)))
    await until('the quota is free again', async () => (await create(ann, 1000)).status === 201)
  })

  await t.test('after a restart, the quota is what the uploads say, and the server stops in order', async t => {
    t.same(await server.stop(), [0, null])
    const again = await startExample(t, 'app', { UPLOADS: uploads, FOLDER: folder, QUOTA: '1000', JWT_SECRET: SECRET })
    const created = await fetch(again.url, { method: 'POST', headers: { ...TUS, ...ann, 'upload-length': '1' } })
    t.equal(created.status, 413)
    t.same(await again.stop(), [0, null])
  })
})

t.test('example/quota.mjs', async t => {
  t.test('holds against many requests at once', async t => {
    const { app } = await makeApp(t, async app => {
      (await load('authorise')).authorise(app);
      (await load('quota')).limitPerUser(app, 50)
    })
    const statuses = (await Promise.all(Array.from({ length: 20 }, () => send(app, 'x'.repeat(10), sign('ann'))))).map(({ statusCode }) => statusCode)
    t.equal(statuses.filter(status => status === 201).length, 5)
    t.equal(statuses.filter(status => status === 413).length, 15)
  })

  t.test('gives back what was refused behind it, and takes no upload without a length', async t => {
    let refuse = true
    const { app } = await makeApp(t, async app => {
      (await load('authorise')).authorise(app);
      (await load('quota')).limitPerUser(app, 10)
      app.tus.addHook('preCreate', () => { if (refuse) throw Object.assign(new Error('no'), { statusCode: 403 }) })
    })
    t.equal((await send(app, '0123456789', sign('ann'))).statusCode, 403)
    t.equal((await app.inject({ method: 'POST', url: '/files', headers: { ...TUS, ...sign('ann'), 'upload-defer-length': '1' } })).statusCode, 400)
    refuse = false
    t.equal((await send(app, '0123456789', sign('ann'))).statusCode, 201)
  })
})

t.test('example/scan.mjs: what is infected is never readable, and removed', async t => {
  const { app } = await makeApp(t, async (app, directory) => {
    (await load('scan')).scan(app, directory, async (bytes: NodeJS.ReadableStream) => /EVIL/.test(await text(bytes)) ? 'Evil.A' : null)
  })
  const clean = await send(app, 'all is well')
  t.match(clean, { statusCode: 201, headers: { 'x-scanned': 'clean' } })
  const infected = await send(app, 'some EVIL in it')
  t.equal(infected.statusCode, 422)
  t.match(infected.json(), { message: 'The file is infected: Evil.A' })
  const path = new URL(infected.headers.location!).pathname
  t.equal((await app.inject(path)).statusCode, 404)
  await until('it is removed', async () => await app.tus.find(path.split('/').at(-1)!) === null)
})

t.test('example/webhook.mjs: is told of each file until it understands', async t => {
  const told: string[] = []
  let failures = 2
  const hook = createHttpServer(async (request, response) => {
    told.push(JSON.parse(await text(request)).id)
    if (failures-- > 0) response.writeHead(503)
    response.end()
  }).listen(0, '127.0.0.1')
  t.teardown(() => hook.close())
  await once(hook, 'listening')
  const { app } = await makeApp(t, () => {})
  const stop = new AbortController()
  const notifying = (await load('webhook')).notify(app, `http://127.0.0.1:${(hook.address() as AddressInfo).port}`, stop.signal)
  const id = (await send(app, 'hello')).headers.location!.split('/').at(-1)!
  await until('it was heard', async () => (await app.tus.find(id))?.processed === true)
  t.strictSame(told, [id, id, id])
  t.equal(await app.tus.claim({ timeout: 0 }), null)
  stop.abort()
  await notifying
})

t.test('example/documents.mjs: a document is saved once it is there, however it came', async t => {
  const { acceptDocuments } = await load('documents')
  const saved: object[] = []
  const { app } = await makeApp(t, app => acceptDocuments(app, async (project: string, document: object) => saved.push({ project, ...document })))
  const url = '/projects/7/documents'
  const headers = { 'content-type': 'text/plain', 'content-disposition': 'inline; filename="a.txt"' }
  const plain = await app.inject({ method: 'POST', url, headers, payload: 'hello world' })
  t.match([plain.statusCode, plain.json()], [201, { document: 1 }])
  const made = await app.inject({ method: 'POST', url, headers: { ...headers, 'upload-complete': '?0' }, payload: 'hello' })
  const last = { 'content-type': 'application/partial-upload', 'upload-offset': '5', 'upload-complete': '?1' }
  const answer = await app.inject({ method: 'PATCH', url: new URL(String(made.headers.location)).pathname, headers: last, payload: ' world' })
  t.match([answer.statusCode, answer.json()], [201, { document: 2 }])
  for (const document of saved) t.match(document, { project: '7', length: 11, name: 'a.txt', type: 'text/plain' })
})
