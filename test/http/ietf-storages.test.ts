import Fastify from 'fastify'
import { createHash } from 'node:crypto'
import type { AddressInfo } from 'node:net'
import { text } from 'node:stream/consumers'
import t, { type Test } from 'tap'
import { createFsStorage } from '../../adapters/fs/index.js'
import { createMemoryStorage } from '../../adapters/memory/index.js'
import fastifyTus, { type Storage } from '../../lib/index.js'
import { makeDirectory } from '../support/app.js'
import { append, ask, begin, getPath, retrieve, V8 } from '../support/ietf.js'
import { setUp } from '../support/s3/storages.js'

const STORAGES: Readonly<Record<string, (t: Test) => Promise<Storage>>> = {
  memory: async () => createMemoryStorage(),
  filesystem: async t => createFsStorage({ directory: await makeDirectory(t) }),
  S3: async t => (await (await setUp(t)).open()).storage
}

const CHUNKED = { 'transfer-encoding': 'chunked' }
const digest = `sha-256=:${createHash('sha256').update('hello world').digest('base64')}:`

for (const [name, open] of Object.entries(STORAGES)) {
  t.test(`the draft on ${name}: whole, in pieces, of unknown size, full and not complete, with digests, for a route`, async t => {
    const app = Fastify()
    t.teardown(() => app.close())
    await app.register(fastifyTus, { storage: await open(t) })
    app.post('/documents', app.tus.resumable(async ({ upload }) => ({ said: await text(app.tus.createReadStream(upload!.id)) })))
    await app.listen({ host: '127.0.0.1', port: 0 })
    const { port } = app.server.address() as AddressInfo
    const done = { status: 201, headers: { 'upload-complete': '?1', 'upload-offset': '11' } }

    for (const framing of [{}, CHUNKED]) {
      const whole = await ask(t, port, 'POST', '/files', { ...V8, 'upload-complete': '?1', ...framing }, 'hello world')
      const path = await begin(t, port, 'hello')
      t.match([whole, await append(t, port, path, 5, ' world', '?1', framing)], [done, done])
      for (const url of [getPath(whole), path]) {
        t.match(await ask(t, port, 'GET', url), { status: 200, body: 'hello world' })
        t.match(await retrieve(t, port, url), { headers: { 'upload-complete': '?1', 'upload-length': '11' } })
        t.match(await append(t, port, url, 11, '', '?1'), done, 'AP-10')
      }
    }
    t.match(await ask(t, port, 'POST', '/files', { 'upload-complete': '?1' }, ''), { status: 201, headers: { 'upload-complete': '?1', 'upload-offset': '0' } })

    const full = await begin(t, port, 'hello world', { 'upload-length': '11' })
    t.match(await retrieve(t, port, full), { headers: { 'upload-offset': '11', 'upload-complete': '?0' } }, 'ST-13')
    t.match(await append(t, port, full, 11, '', '?1', { 'want-repr-digest': 'sha-256=1' }), { ...done, headers: { ...done.headers, 'repr-digest': digest } })
    t.match(await ask(t, port, 'GET', full), { status: 200, body: 'hello world' })

    const wrong = await begin(t, port, 'hello', { 'repr-digest': digest })
    t.match(await append(t, port, wrong, 5, ' World', '?1'), { status: 400, body: /DIGEST_MISMATCH/ })
    t.equal((await retrieve(t, port, wrong)).status, 404)
    const beyond = await begin(t, port, 'hello', { 'upload-length': '7' })
    t.equal((await append(t, port, beyond, 5, ' world', '?0', CHUNKED)).status, 413)
    t.equal((await retrieve(t, port, beyond)).status, 404)

    const document = await begin(t, port, 'hello', {}, '/documents')
    for (const [offset, body] of [[5, ' world'], [11, '']] as const) {
      t.match(await append(t, port, document, offset, body, '?1'), { status: 200, body: '{"said":"hello world"}', headers: { 'upload-complete': '?1' } })
    }
    t.match(await ask(t, port, 'POST', '/documents', CHUNKED, 'hello'), { status: 200, body: '{"said":"hello"}' })
  })
}
