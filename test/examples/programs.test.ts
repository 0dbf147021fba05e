import { GetObjectCommand } from '@aws-sdk/client-s3'
import Fastify from 'fastify'
import { once } from 'node:events'
import { readFile, readdir, stat } from 'node:fs/promises'
import { connect } from 'node:http2'
import { request } from 'node:https'
import { join } from 'node:path'
import { createInterface } from 'node:readline'
import { text } from 'node:stream/consumers'
import t, { type Test } from 'tap'
import { Upload } from 'tus-js-client'
import { createFsStorage } from '../../adapters/fs/index.js'
import { createMemoryStorage } from '../../adapters/memory/index.js'
import fastifyTus from '../../lib/index.js'
import { listNames, makeDirectory } from '../support/app.js'
import { loadExample, spawnExample, startExample } from '../support/example.js'
import { BYTES, TUS, makeBytes, until } from '../support/http-tus.js'
import { createBucket, createClient, getServer } from '../support/s3/bucket.js'
import { waitForLine } from '../support/server-process.js'
import { loadClient, upload } from '../support/tus-client.js'

const tusClient = await loadClient('tus-js-client')

/** What a stock client does with a server. */
async function send (t: Test, url: string, bytes = makeBytes(300_000)): Promise<string> {
  const journal = await upload({ library: tusClient!, input: bytes, endpoint: url, options: { chunkSize: 100_000, metadata: { filename: 'a.bin' } } })
  t.equal(journal.created, 1)
  t.same(journal.failures, {})
  return journal.url!
}

t.test('example/minimal.mjs: takes a file into ./uploads', async t => {
  const directory = await makeDirectory(t)
  const server = await startExample(t, 'minimal', {}, directory)
  const bytes = makeBytes(300_000)
  const url = await send(t, server.url, bytes)
  t.ok(bytes.equals(await readFile(join(directory, 'uploads', url.split('/').at(-1)!))))
})

t.test('example/s3.mjs: takes a file into a bucket', async t => {
  const address = await getServer(t)
  const client = createClient(t, address)
  const bucket = await createBucket(client)
  const server = await startExample(t, 's3', {
    S3_BUCKET: bucket, S3_ENDPOINT: address.endpoint, AWS_REGION: 'us-east-1', AWS_ACCESS_KEY_ID: address.accessKeyId, AWS_SECRET_ACCESS_KEY: address.secretAccessKey
  })
  const bytes = makeBytes(300_000)
  const url = await send(t, server.url, bytes)
  const { Body } = await client.send(new GetObjectCommand({ Bucket: bucket, Key: `uploads/${url.split('/').at(-1)!}` }))
  t.ok(bytes.equals(await Body!.transformToByteArray()))
  t.same(await server.stop(), [0, null])
})

t.test('example/worker.mjs: two workers beside a server bring each file to its place, once', async t => {
  const [directory, folder] = [await makeDirectory(t), await makeDirectory(t)]
  const app = Fastify()
  t.teardown(() => app.close())
  await app.register(fastifyTus, { storage: createFsStorage({ directory }) })
  await app.listen({ host: '127.0.0.1', port: 0 })
  const workers = [1, 2].map(() => spawnExample(t, 'worker', { UPLOADS: directory, FOLDER: folder }))
  const placed: string[] = []
  await Promise.all(workers.map(worker => waitForLine(worker, /waiting for files/)))
  for (const worker of workers) createInterface({ input: worker.stdout! }).on('line', line => { if (line.includes('a file is in its place')) placed.push(JSON.parse(line).id) })
  const ids: string[] = []
  for (let index = 0; index < 6; index++) {
    const { headers } = await app.inject({ method: 'POST', url: '/files', headers: { ...TUS, ...BYTES, 'upload-length': '5' }, payload: `file${index}` })
    ids.push(headers.location!.split('/').at(-1)!)
  }
  await until('all are in their place', async () => placed.length === ids.length)
  t.same(placed.sort(), [...ids].sort())
  t.same(await listNames(folder), [...ids].sort())
  for (const [index, id] of ids.entries()) t.equal(await readFile(join(folder, id), 'utf8'), `file${index}`)
  t.same(await listNames(directory), [], 'and nothing is left')
  for (const worker of workers) {
    const exited = once(worker, 'exit')
    worker.kill('SIGTERM')
    t.same(await exited, [0, null])
  }
})

t.test('example/rate-limit.mjs: creating is counted, going on is not', async t => {
  const app = Fastify()
  t.teardown(() => app.close())
  await (await loadExample('rate-limit')).limitCreation(app, { max: 3, storage: createMemoryStorage() })
  const create = () => app.inject({ method: 'POST', url: '/files', headers: { ...TUS, 'upload-length': '5' } })
  const [first, ...others] = [await create(), await create(), await create()]
  t.same([first!, ...others].map(({ statusCode }) => statusCode), [201, 201, 201])
  const refused = await create()
  t.equal(refused.statusCode, 429)
  t.match(refused.headers, { 'retry-after': /^\d+$/, 'tus-resumable': '1.0.0' })
  const { pathname } = new URL(first!.headers.location!)
  for (let offset = 0; offset < 5; offset++) {
    const { statusCode } = await app.inject({ method: 'PATCH', url: pathname, headers: { ...TUS, ...BYTES, 'upload-offset': String(offset) }, payload: 'x' })
    t.equal(statusCode, 204)
    t.equal((await app.inject({ method: 'HEAD', url: pathname, headers: TUS })).statusCode, 200)
  }
})

t.test('example/https.mjs', async t => {
  const [key, cert] = ['key', 'cert'].map(name => new URL(`../support/tls/${name}.pem`, import.meta.url).pathname) as [string, string]
  const ca = await readFile(cert)
  const uploads = await makeDirectory(t)
  const server = await startExample(t, 'https', { TLS_KEY: key, TLS_CERT: cert, UPLOADS: uploads })
  const { origin } = new URL(server.url)

  await t.test('HTTP/2: takes an upload that is reset in the middle, and goes on', async t => {
    const session = connect(origin, { ca })
    t.teardown(() => { session.destroy() })
    const ask = async (method: string, path: string, headers: Record<string, string>, body?: string) => {
      const stream = session.request({ ':method': method, ':path': path, ...TUS, ...headers }, { endStream: body === undefined })
      if (body !== undefined) stream.end(body)
      const [answer] = await once(stream, 'response')
      return { status: answer[':status'], headers: answer, body: await text(stream) }
    }
    const created = await ask('POST', '/files', { 'upload-length': '11' })
    t.match(created, { status: 201, headers: { location: /^https:\/\/127/ } })
    const { pathname } = new URL(String(created.headers.location))
    const cut = session.request({ ':method': 'PATCH', ':path': pathname, ...TUS, ...BYTES, 'upload-offset': '0', 'content-length': '11' }, { endStream: false })
    cut.on('error', () => {})
    cut.write('hello ')
    await until('the bytes have arrived', async () => (await stat(join(uploads, pathname.split('/').at(-1)!))).size === 6)
    cut.destroy()
    t.match(await ask('HEAD', pathname, {}), { status: 200, headers: { 'upload-offset': '6' } })
    t.equal((await ask('PATCH', pathname, { ...BYTES, 'upload-offset': '6' }, 'world')).status, 204)
    t.match(await ask('GET', pathname, {}), { status: 200, body: 'hello world' })
  })

  await t.test('HTTP/1.1: takes one too', async t => {
    const asked = request(server.url, { method: 'POST', ca, headers: { ...TUS, ...BYTES, 'upload-length': '5' } })
    asked.end('hello')
    const [answer] = await once(asked, 'response')
    t.match(answer, { httpVersion: '1.1', statusCode: 201, headers: { location: /^https:\/\/127/, 'upload-offset': '5' } })
    answer.resume()
  })
  t.same(await server.stop(), [0, null])
})

t.test('example/openapi.mjs: the document has the uploads, behind a token', async t => {
  const { app, document } = await (await loadExample('openapi')).makeDocumented({ storage: createMemoryStorage() })
  t.teardown(() => app.close())
  t.same(Object.keys(document.paths), ['/files', '/files/{id}'])
  t.same(document.paths['/files'].post.security, [{ bearer: [] }])
})

t.test('example/patience.mjs: behind a proxy that answers 502 for a while, tus-js-client resumes; without it, it begins again', async t => {
  const { withPatience } = await loadExample('patience')
  const size = 8 * 64 * 1024
  for (const [options, expected] of [[withPatience([0, 20, 50, 100, 200]), 1], [{ retryDelays: [0, 20, 50, 100, 200] }, 2]] as const) {
    let [away, creations] = [0, 0]
    const app = Fastify()
    t.teardown(() => app.close())
    // What a proxy answers when nobody is behind it.
    app.addHook('onRequest', async (_request, reply) => { if (--away >= 0) return reply.code(502).send('Bad Gateway') })
    await app.register(fastifyTus, { storage: createMemoryStorage() })
    app.tus.addHook('postCreate', () => { creations++ })
    const endpoint = `${await app.listen({ host: '127.0.0.1', port: 0 })}/files`
    await new Promise<void>((resolve, reject) => {
      new Upload(makeBytes(size), {
        endpoint,
        uploadSize: size,
        chunkSize: size / 8,
        onSuccess: () => resolve(),
        onError: reject,
        onChunkComplete: (_size, sent) => { if (sent === size / 2 && creations === 1) away = 3 },
        ...options
      }).start()
    })
    t.equal(creations, expected)
  }
})

t.test('every example is tried by a test', async t => {
  const tests = (await Promise.all((await readdir('test/examples')).map(name => readFile(join('test/examples', name), 'utf8')))).join('\n')
  // What needs packages that are not installed here is tried where they are: with the package, or with clients of others.
  const script = (await Promise.all(['scripts/test-package.mjs', 'scripts/interop/lib/token-recipes.mjs'].map(path => readFile(path, 'utf8')))).join('\n')
  const programs = (await Promise.all((await readdir('example')).map(name => readFile(join('example', name), 'utf8')))).join('\n')
  for (const name of await readdir('example')) {
    t.ok(tests.includes(`example/${name}`) || script.includes(`example/${name}`) || programs.includes(`from './${name}'`), name)
  }
})
