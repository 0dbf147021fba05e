import type { FastifyInstance, FastifyServerOptions } from 'fastify'
import { createHash } from 'node:crypto'
import type { AddressInfo } from 'node:net'
import { text } from 'node:stream/consumers'
import t, { type Test } from 'tap'
import { createMemoryStorage } from '../../adapters/memory/index.js'
import type { TusOptions } from '../../lib/index.js'
import { makeApp, startApp } from '../support/app.js'
import { askTrailing, openSession } from '../support/http2.js'
import { BYTES, TUS, createUpload, getOffset, listFiles, until, type Headers } from '../support/http-tus.js'
import { PARTIAL, V8 } from '../support/ietf.js'
import { untilReceived } from '../support/observed.js'
import { openRawHttp2 } from '../support/raw-http2.js'
import { exchangeRaw, formatChunk, formatHead } from '../support/raw-socket.js'

// A checksum that comes after the body is verified where a Trailer header announced it, and refused where it did not.

const CONTENT = 'hello world'
type Trailers = ReadonlyArray<readonly [name: string, value: string]>

interface Server {
  readonly app: FastifyInstance
  readonly port: number
  readonly directory: string
  readonly handled: string[]
  readonly send: (method: string, path: string, headers: Headers, trailers: Trailers) => Promise<{ status: number, headers: Record<string, string>, body: string }>
}

async function start (t: Test, version: '1.1' | '2', options: TusOptions = {}): Promise<Server> {
  const handled: string[] = []
  const { app, directory } = await makeApp(t, { generateId: () => 'one', ...options }, { http2: version === '2' } as FastifyServerOptions)
  app.post('/documents', app.tus.resumable(async request => {
    handled.push(await text(app.tus.createReadStream(request.upload!)))
    return {}
  }))
  await app.listen({ host: '127.0.0.1', port: 0 })
  const { port } = app.server.address() as AddressInfo
  const send: Server['send'] = async (method, path, headers, trailers) => {
    if (version === '2') return await sendOverHttp2(t, port, method, path, headers, trailers)
    const head = formatHead(method, path, { ...headers, 'transfer-encoding': 'chunked' })
    const lines = trailers.map(([name, value]) => `${name}: ${value}\r\n`).join('')
    const answer = await exchangeRaw(t, port, `${head}${formatChunk('hello')}${formatChunk(' world')}0\r\n${lines}\r\n`, method)
    return { ...answer!, headers: { ...answer!.headers } }
  }
  return { app, port, directory, handled, send }
}

async function sendOverHttp2 (t: Test, port: number, method: string, path: string, headers: Headers, trailers: Trailers) {
  const fields: Record<string, string[]> = {}
  for (const [name, value] of trailers) (fields[name.toLowerCase()] ??= []).push(value)
  const session = openSession(t, port)
  const answer = await askTrailing(session, method, path, { ...headers }, CONTENT, fields)
  session.destroy()
  return { ...answer, headers: answer.headers as Record<string, string> }
}

const sha1 = (content: string) => `sha1 ${createHash('sha1').update(content).digest('base64')}`
const sha256 = (content: string) => `sha-256=:${createHash('sha256').update(content).digest('base64')}:`
const md5 = (content: string) => `md5=:${createHash('md5').update(content).digest('base64')}:`
const other = sha1('other')

interface Case {
  readonly trailers: Trailers
  readonly trailer?: string
  /** Headers beside. */
  readonly headers?: Headers
  readonly status: number
  readonly code?: string
}

/** Of tus; `status` is that of a PATCH, and a POST is 201 where that is 204. */
const CHECKSUMS: Readonly<Record<string, Case>> = {
  'none at all': { trailers: [], status: 204 },
  'another trailer, not announced': { trailers: [['X-Other', 'x']], status: 204 },
  'announced and right': { trailers: [['Upload-Checksum', sha1(CONTENT)]], trailer: 'Upload-Checksum', status: 204 },
  'announced and wrong': { trailers: [['Upload-Checksum', other]], trailer: 'Upload-Checksum', status: 460, code: 'TUS_ERR_CHECKSUM_MISMATCH' },
  'announced, of the wrong size': { trailers: [['Upload-Checksum', 'sha1 AAAA']], trailer: 'Upload-Checksum', status: 460, code: 'TUS_ERR_CHECKSUM_MISMATCH' },
  'announced and malformed': { trailers: [['Upload-Checksum', 'sha1']], trailer: 'Upload-Checksum', status: 400, code: 'TUS_ERR_CHECKSUM_INVALID' },
  'announced and of no known algorithm': { trailers: [['Upload-Checksum', 'sha3 AAAA']], trailer: 'Upload-Checksum', status: 400, code: 'TUS_ERR_CHECKSUM_ALGORITHM' },
  'announced, and never there': { trailers: [], trailer: 'Upload-Checksum', status: 400, code: 'TUS_ERR_CHECKSUM_INVALID' },
  'announced, and another one there': { trailers: [['X-Other', 'x']], trailer: 'Upload-Checksum', status: 400, code: 'TUS_ERR_CHECKSUM_INVALID' },
  'several, announced': {
    trailers: [['Upload-Checksum', sha1(CONTENT)], ['Upload-Checksum', sha1(CONTENT)]], trailer: 'Upload-Checksum', status: 400, code: 'TUS_ERR_CHECKSUM_INVALID'
  },
  'right, not announced': { trailers: [['Upload-Checksum', sha1(CONTENT)]], status: 400, code: 'TUS_ERR_TRAILER_REFUSED' },
  'wrong, not announced': { trailers: [['Upload-Checksum', other]], status: 400, code: 'TUS_ERR_TRAILER_REFUSED' },
  'malformed, not announced': { trailers: [['upload-checksum', '']], status: 400, code: 'TUS_ERR_TRAILER_REFUSED' },
  'several, not announced': { trailers: [['Upload-Checksum', sha1(CONTENT)], ['Upload-Checksum', other]], status: 400, code: 'TUS_ERR_TRAILER_REFUSED' },
  'wrong, where another trailer is announced': { trailers: [['Upload-Checksum', other]], trailer: 'X-Upload-Checksum, X-Other', status: 400, code: 'TUS_ERR_TRAILER_REFUSED' },
  'right in a header, and right as an announced trailer': {
    trailers: [['Upload-Checksum', sha1(CONTENT)]], trailer: 'Upload-Checksum', headers: { 'upload-checksum': sha1(CONTENT) }, status: 204
  },
  'right in a header, and wrong as an announced trailer': {
    trailers: [['Upload-Checksum', other]], trailer: 'Upload-Checksum', headers: { 'upload-checksum': sha1(CONTENT) }, status: 460, code: 'TUS_ERR_CHECKSUM_MISMATCH'
  },
  'wrong in a header, and right as an announced trailer': {
    trailers: [['Upload-Checksum', sha1(CONTENT)]], trailer: 'Upload-Checksum', headers: { 'upload-checksum': other }, status: 460, code: 'TUS_ERR_CHECKSUM_MISMATCH'
  },
  'right in a header, and announced as a trailer that does not come': {
    trailers: [], trailer: 'Upload-Checksum', headers: { 'upload-checksum': sha1(CONTENT) }, status: 400, code: 'TUS_ERR_CHECKSUM_INVALID'
  },
  'right in a header, and wrong as a trailer that is not announced': {
    trailers: [['Upload-Checksum', other]], headers: { 'upload-checksum': sha1(CONTENT) }, status: 400, code: 'TUS_ERR_TRAILER_REFUSED'
  }
}

/** Of the draft, and of plain requests to a route; a wrong digest is 400. */
const DIGESTS: Readonly<Record<string, Case>> = {
  'none at all': { trailers: [], status: 201 },
  'announced and right': { trailers: [['Content-Digest', sha256(CONTENT)]], trailer: 'Content-Digest', status: 201 },
  'announced and wrong': { trailers: [['Content-Digest', sha256('other')]], trailer: 'content-digest', status: 400, code: 'TUS_ERR_CHECKSUM_MISMATCH' },
  'announced, of the wrong size': { trailers: [['Content-Digest', 'sha-256=:AAAA:']], trailer: 'Content-Digest', status: 400, code: 'TUS_ERR_DIGEST_INVALID' },
  'announced, and never there': { trailers: [], trailer: 'Content-Digest', status: 400, code: 'TUS_ERR_DIGEST_INVALID' },
  'announced, of an algorithm that is not known': { trailers: [['Content-Digest', md5('other')]], trailer: 'Content-Digest', status: 201 },
  'several, announced': {
    trailers: [['Content-Digest', sha256(CONTENT)], ['Content-Digest', sha256('other')]], trailer: 'Content-Digest', status: 400, code: 'TUS_ERR_CHECKSUM_MISMATCH'
  },
  'right, not announced': { trailers: [['Content-Digest', sha256(CONTENT)]], status: 400, code: 'TUS_ERR_TRAILER_REFUSED' },
  'wrong, not announced': { trailers: [['Content-Digest', sha256('other')]], status: 400, code: 'TUS_ERR_TRAILER_REFUSED' },
  'of the whole, not announced': { trailers: [['Repr-Digest', sha256('other')]], status: 400, code: 'TUS_ERR_TRAILER_REFUSED' },
  'of the whole, announced': { trailers: [['Repr-Digest', sha256(CONTENT)]], trailer: 'Repr-Digest', status: 400, code: 'TUS_ERR_TRAILER_REFUSED' },
  'right in a header, and wrong as an announced trailer': {
    trailers: [['Content-Digest', sha256('other')]], trailer: 'Content-Digest', headers: { 'content-digest': sha256(CONTENT) }, status: 400, code: 'TUS_ERR_CHECKSUM_MISMATCH'
  },
  'right in a header, and wrong as a trailer that is not announced': {
    trailers: [['Content-Digest', sha256('other')]], headers: { 'content-digest': sha256(CONTENT) }, status: 400, code: 'TUS_ERR_TRAILER_REFUSED'
  }
}

function join ({ trailer, headers = {} }: Case): Headers {
  return trailer === undefined ? headers : { ...headers, trailer }
}

for (const version of ['1.1', '2'] as const) {
  for (const [what, one] of Object.entries(CHECKSUMS)) {
    t.test(`CT-2, CS-6: over HTTP/${version}, a checksum that is ${what}`, async t => {
      const { app, directory, send } = await start(t, version)
      const made = await send('POST', '/files', { ...TUS, ...BYTES, 'upload-length': '11', ...join(one) }, one.trailers)
      t.equal(made.status, one.status === 204 ? 201 : one.status)
      if (one.code) {
        t.match(JSON.parse(made.body), { code: one.code })
        t.same(await listFiles(directory), [], 'no upload is left of a creation')
        await createUpload(app, { 'upload-length': '11' })
        t.match(await send('PATCH', '/files/one', { ...TUS, ...BYTES, 'upload-offset': '0', ...join(one) }, one.trailers), { status: one.status })
        t.equal(await getOffset(app, '/files/one'), '0')
        t.match(await send('PATCH', '/files/one', { ...TUS, ...BYTES, 'upload-offset': '0' }, []), { status: 204 }, 'and the next try counts')
      }
      t.equal((await app.inject('/files/one')).body, CONTENT)
    })
  }

  for (const [what, one] of Object.entries(DIGESTS)) {
    t.test(`XX-5: over HTTP/${version}, a digest that is ${what}`, async t => {
      const { app, directory, handled, send } = await start(t, version)
      for (const headers of [{ ...V8, 'upload-complete': '?1' }, { 'upload-complete': '?0' }]) {
        const made = await send('POST', '/files', { ...headers, ...join(one) }, one.trailers)
        t.equal(made.status, one.status)
        if (one.code) t.match(JSON.parse(made.body), { code: one.code })
        else await app.tus.terminate('one')
        t.same(await listFiles(directory), [], 'no upload is left of a creation')
      }
      await app.inject({ method: 'POST', url: '/files', headers: { 'upload-complete': '?0' } })
      t.match(await send('PATCH', '/files/one', { ...PARTIAL, 'upload-offset': '0', 'upload-complete': '?1', ...join(one) }, one.trailers), { status: one.status })
      const offset = (await app.inject({ method: 'HEAD', url: '/files/one', headers: V8 })).headers
      t.match(offset, one.code ? { 'upload-offset': '0', 'upload-complete': '?0' } : { 'upload-offset': '11', 'upload-complete': '?1' })
      await app.tus.terminate('one')

      t.match(await send('POST', '/documents', { 'content-type': 'text/plain', ...join(one) }, one.trailers), { status: one.code ? 400 : 200 })
      t.strictSame(handled, one.code ? [] : [CONTENT])
    })
  }
}

t.test('CT-2: a checksum after a body whose length HTTP/2 tells before', async t => {
  for (const [trailer, checksum, status] of [[null, sha1(CONTENT), 400], [null, other, 400], ['upload-checksum', sha1(CONTENT), 204], ['upload-checksum', other, 460]] as const) {
    const { app, send } = await start(t, '2')
    await createUpload(app, { 'upload-length': '11' })
    const headers = { ...TUS, ...BYTES, 'upload-offset': '0', 'content-length': '11', ...trailer && { trailer } }
    t.match(await send('PATCH', '/files/one', headers, [['upload-checksum', checksum]]), { status })
    t.equal(await getOffset(app, '/files/one'), status === 204 ? '11' : '0')
  }
})

t.test('CT-2: nothing is complete before it is known that no checksum follows, also where progress is told', async t => {
  const { app, port } = await start(t, '2', { storage: createMemoryStorage(), progressInterval: 1 })
  app.tus.addHook('postReceive', () => {})
  const failed: unknown[] = []
  app.tus.addHook('postFail', (_request, _upload, error) => { failed.push(error) })
  await createUpload(app, { 'upload-length': '11' })
  const client = openRawHttp2(t, port)
  client.request('PATCH', '/files/one', { ...TUS, ...BYTES, 'upload-offset': '0', 'content-length': '11' })
  client.data(CONTENT)
  await untilReceived('one', 11)
  t.match(await app.tus.find('one'), { offset: 0, complete: false })
  client.endWith({ 'upload-checksum': other })
  await until('the body has failed', () => failed.length > 0)
  t.match(failed, [{ code: 'TUS_ERR_TRAILER_REFUSED' }])
  t.equal(await getOffset(app, '/files/one'), '0')
})

t.test('CU-3, CT-2: a creation whose body has no byte and a checksum behind it is not taken for one without a body', async t => {
  const { port, directory } = await startApp(t)
  const head = formatHead('POST', '/files', { ...TUS, 'upload-length': '5', 'transfer-encoding': 'chunked' })
  t.match(await exchangeRaw(t, port, `${head}0\r\nUpload-Checksum: ${other}\r\n\r\n`, 'POST'), { status: 415 })
  t.same(await listFiles(directory), [])
})

t.test('CT-1: a checksum in a trailer is refused where that is switched off, announced or not', async t => {
  for (const version of ['1.1', '2'] as const) {
    const { app, send } = await start(t, version, { extensions: ['creation', 'checksum'] })
    await createUpload(app, { 'upload-length': '11' })
    for (const headers of [{}, { trailer: 'Upload-Checksum' }]) {
      t.match(await send('PATCH', '/files/one', { ...TUS, ...BYTES, 'upload-offset': '0', ...headers }, [['Upload-Checksum', sha1(CONTENT)]]), { status: 400 })
    }
    t.equal(await getOffset(app, '/files/one'), '0')
  }
})
