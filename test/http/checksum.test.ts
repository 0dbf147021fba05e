import type { FastifyInstance } from 'fastify'
import { createHash } from 'node:crypto'
import t, { type Test } from 'tap'
import { crc32 } from 'node:zlib'
import { createMemoryStorage } from '../../adapters/memory/index.js'
import type { TusOptions } from '../../lib/index.js'
import { startApp, type TestApp } from '../support/app.js'
import { BYTES, TUS, createUpload, encodeMetadata, getOffset, getPath, head, listFiles, makeBytes, patch, post, until } from '../support/http-tus.js'
import { untilReceived } from '../support/observed.js'
import { exchangeRaw, formatChunk, formatHead, openRaw, type RawResponse } from '../support/raw-socket.js'

const ALGORITHMS = ['sha1', 'sha256', 'sha512', 'md5', 'crc32'] as const

function digest (algorithm: string, content: string | Buffer): Buffer {
  if (algorithm !== 'crc32') return createHash(algorithm).update(content).digest()
  const value = Buffer.alloc(4)
  value.writeUInt32BE(crc32(content))
  return value
}

function checksum (algorithm: string, content: string | Buffer): string {
  return `${algorithm} ${digest(algorithm, content).toString('base64')}`
}

/** Flips a bit of the last byte. */
function spoil (content: Buffer): Buffer {
  const spoilt = Buffer.from(content)
  spoilt[spoilt.length - 1]! ^= 1
  return spoilt
}

/** The chunks of a body and what comes behind it. */
function formatChunked (chunks: readonly Buffer[], trailers: readonly string[]): Buffer {
  const framed = chunks.flatMap(chunk => [Buffer.from(`${chunk.length.toString(16)}\r\n`), chunk, Buffer.from('\r\n')])
  return Buffer.concat([...framed, Buffer.from(`0\r\n${trailers.map(trailer => `${trailer}\r\n`).join('')}\r\n`)])
}

function split (content: Buffer, size = 50_000): Buffer[] {
  return Array.from({ length: Math.ceil(content.length / size) }, (_, index) => content.subarray(index * size, (index + 1) * size))
}

interface Trailing {
  readonly method?: 'PATCH' | 'POST'
  readonly url: string
  readonly content: Buffer
  readonly trailers: readonly string[]
  readonly headers?: Readonly<Record<string, string>>
}

/** A chunked request that announces a checksum behind its body. */
function sendTrailing (t: Test, port: number, { method = 'PATCH', url, content, trailers, headers = {} }: Trailing): Promise<RawResponse | null> {
  const start = formatHead(method, url, { ...TUS, ...BYTES, 'transfer-encoding': 'chunked', trailer: 'Upload-Checksum', ...headers })
  return exchangeRaw(t, port, Buffer.concat([Buffer.from(start), formatChunked(split(content), trailers)]), method)
}

/** Goes on with an upload where it is, and tells whether it then has these bytes. */
async function finish (app: FastifyInstance, url: string, content: Buffer): Promise<boolean> {
  const offset = Number(await getOffset(app, url))
  if (offset < content.length) await patch(app, url, offset, content.subarray(offset), { 'upload-checksum': checksum('sha1', content.subarray(offset)) })
  return (await app.inject(url)).rawPayload.equals(content)
}

// More than one batch of the filesystem, and none.
const LARGE = makeBytes(5_000_001)
const SMALL = makeBytes(1001)

for (const storage of ['filesystem', 'memory'] as const) {
  const start = (t: Test, options: TusOptions = {}): Promise<TestApp> =>
    startApp(t, { ...storage === 'memory' && { storage: createMemoryStorage() }, ...options })

  t.test(storage, async t => {
    t.test('CS-1, CS-7, CS-8, CS-9, CT-1: OPTIONS tells the extensions and the algorithms', async t => {
      const { app } = await start(t)
      const { headers } = await app.inject({ method: 'OPTIONS', url: '/files' })
      const extensions = String(headers['tus-extension']).split(',')
      t.ok(extensions.includes('checksum') && extensions.includes('checksum-trailer'))
      t.strictSame(String(headers['tus-checksum-algorithm']).split(','), ALGORITHMS)
    })

    t.test('CS-1, CS-9: and none of them where they are off; who sends a checksum then is refused', async t => {
      const { app, port } = await start(t, { extensions: ['creation', 'creation-with-upload'] })
      const { headers } = await app.inject({ method: 'OPTIONS', url: '/files' })
      t.notMatch(headers['tus-extension'], /checksum/)
      t.notOk('tus-checksum-algorithm' in headers)
      const url = await createUpload(app)
      t.equal((await patch(app, url, 0, 'hello', { 'upload-checksum': checksum('sha1', 'hello') })).statusCode, 400)
      t.match(await sendTrailing(t, port, { url, content: Buffer.from('hello'), trailers: [`Upload-Checksum: ${checksum('sha1', 'hello')}`] }), { status: 400 })
      t.equal(await getOffset(app, url), '0')
    })

    for (const algorithm of ALGORITHMS) {
      for (const content of [SMALL, LARGE]) {
        t.test(`CS-2, CS-4, CS-5, CS-6, CT-2: ${algorithm} of ${content.length} bytes, in a header and behind the body`, async t => {
          const { app, port, directory } = await start(t)
          const url = await createUpload(app, { 'upload-length': String(content.length * 2) })
          const files = await listFiles(directory)
          const right = checksum(algorithm, content)

          const refused = await patch(app, url, 0, spoil(content), { 'upload-checksum': right })
          t.match(refused, { statusCode: 460, headers: { 'tus-resumable': '1.0.0' } })
          t.match(await sendTrailing(t, port, { url, content: spoil(content), trailers: [`Upload-Checksum: ${right}`], headers: { 'upload-offset': '0' } }), { status: 460 })
          t.equal(await getOffset(app, url), '0')
          t.same((await listFiles(directory)).map(file => file.replace(/json \d+/, 'json')), files.map(file => file.replace(/json \d+/, 'json')), 'nothing is kept')

          t.match(await patch(app, url, 0, content, { 'upload-checksum': right }), { statusCode: 204, headers: { 'upload-offset': String(content.length) } })
          const trailing = { url, content, trailers: [`Upload-Checksum: ${right}`], headers: { 'upload-offset': String(content.length) } }
          t.match(await sendTrailing(t, port, trailing), { status: 204, headers: { 'upload-offset': String(content.length * 2) } })
          t.ok((await app.inject(url)).rawPayload.equals(Buffer.concat([content, content])))
        })
      }
    }

    t.test('CS-12: a creation with a body is verified as well; with a wrong one nothing is created', async t => {
      const { app, port, directory } = await start(t)
      for (const content of [SMALL, LARGE]) {
        const headers = { ...BYTES, 'upload-length': String(content.length), 'upload-checksum': checksum('sha256', content) }
        const refused = await post(app, headers, spoil(content))
        t.match(refused, { statusCode: 460 })
        t.notOk('location' in refused.headers)
        const trailing = { method: 'POST', url: '/files', content, trailers: [`Upload-Checksum: ${checksum('md5', content)}`], headers: { 'upload-length': String(content.length) } } as const
        const refusedTrailing = await sendTrailing(t, port, { ...trailing, content: spoil(content) })
        t.match(refusedTrailing, { status: 460 })
        t.notOk('location' in refusedTrailing!.headers)
        t.same(await listFiles(directory), [])
        for await (const upload of app.tus.list()) t.fail(`${upload.id} is left`)

        const created = await post(app, headers, content)
        t.match(created, { statusCode: 201, headers: { 'upload-offset': String(content.length) } })
        t.ok((await app.inject(getPath(created))).rawPayload.equals(content))
        const createdTrailing = await sendTrailing(t, port, trailing)
        t.match(createdTrailing, { status: 201, headers: { 'upload-offset': String(content.length) } })
        t.ok((await app.inject(new URL(createdTrailing!.headers.location!).pathname)).rawPayload.equals(content))
        for await (const { id } of app.tus.list()) await app.tus.terminate(id)
      }
    })

    t.test('CS-3, CS-6, CS-8, CS-10: an algorithm that is not offered and a value that is none are 400, before and behind the body', async t => {
      const { app, port } = await start(t, { checksumAlgorithms: ['sha1', 'crc32'] })
      const url = await createUpload(app)
      const { base64, urlSafe } = findUrlSafeDigest()
      const sha1 = digest('sha1', 'hello').toString('base64')
      const invalid = [
        checksum('sha256', 'hello'), checksum('md5', 'hello'), `SHA1 ${sha1}`, `sha-1 ${sha1}`, `sha1,${sha1}`, `sha1  ${sha1}`, 'sha1', sha1,
        'sha1 ', 'sha1 !!!!', `sha1 ${sha1}AAAA`, `sha1 ${sha1} ${sha1}`, 'sha1 A', 'sha1 AAAAA', 'sha1 AAA==',
        `sha1 ${sha1},sha1 ${sha1}`, `sha1 ${sha1}, crc32 AAAAAA==`, 'sha1 =', `__proto__ ${sha1}`, `constructor ${sha1}`, `sha1\t${sha1}`, `sha1 ${urlSafe}`
      ]
      t.not(base64, urlSafe)
      for (const value of invalid) {
        const response = await patch(app, url, 0, 'hello', { 'upload-checksum': value })
        t.match(response, { statusCode: 400 }, value)
        const trailing = { url, content: Buffer.from('hello'), trailers: [`Upload-Checksum: ${value}`], headers: { 'upload-offset': '0' } }
        t.match(await sendTrailing(t, port, trailing), { status: 400 }, `${value}, as a trailer`)
      }
      t.equal(await getOffset(app, url), '0')
      t.match(await patch(app, url, 0, 'hello', { 'upload-checksum': checksum('sha1', 'hello').replace(/=+$/, '') }), { statusCode: 204 }, 'without padding')
    })

    t.test('CS-4, CS-6, CS-10: a digest of another size than that of its algorithm is a mismatch, 460, and the next try counts', async t => {
      const { app, port, directory } = await start(t)
      const url = await createUpload(app)
      const sha1 = digest('sha1', 'hello')
      const sizes = [
        'sha1 AAA', 'sha1 AAAA', `sha1 ${Buffer.alloc(21).toString('base64')}`, `sha1 ${sha1.subarray(0, 19).toString('base64')}`, `sha1 ${sha1.toString('hex')}`,
        `crc32 ${sha1.toString('base64')}`, `crc32 ${digest('crc32', 'hello').subarray(0, 3).toString('base64')}`,
        `md5 ${Buffer.concat([digest('md5', 'hello'), Buffer.alloc(1)]).toString('base64')}`, `sha512 ${digest('sha256', 'hello').toString('base64')}`
      ]
      for (const value of sizes) {
        t.match(await patch(app, url, 0, 'hello', { 'upload-checksum': value }), { statusCode: 460 }, value)
        const trailing = { url, content: Buffer.from('hello'), trailers: [`Upload-Checksum: ${value}`], headers: { 'upload-offset': '0' } }
        t.match(await sendTrailing(t, port, trailing), { status: 460 }, `${value}, as a trailer`)
        t.match(await post(app, { ...BYTES, 'upload-length': '5', 'upload-checksum': value }, 'hello'), { statusCode: 460 }, `${value}, with a creation`)
      }
      t.equal(await getOffset(app, url), '0')
      t.equal((await patch(app, url, 3, 'lo', { 'upload-checksum': 'sha1 AAAA' })).statusCode, 409, 'a wrong offset comes first')
      t.equal((await patch(app, '/files/none', 0, 'hello', { 'upload-checksum': 'sha1 AAAA' })).statusCode, 404)
      t.equal((await patch(app, url, 0, 'hello', { 'upload-checksum': checksum('sha1', 'hello') })).statusCode, 204)
      if (storage === 'filesystem') t.equal((await listFiles(directory)).length, 2, 'of one upload')
    })

    t.test('CS-10: a checksum that comes twice is 400, also if both are right', async t => {
      const { app, port } = await start(t)
      const url = await createUpload(app)
      const value = checksum('sha1', 'hello')
      const start1 = formatHead('PATCH', url, { ...TUS, ...BYTES, 'upload-offset': '0', 'content-length': '5', 'upload-checksum': [value, value] })
      t.match(await exchangeRaw(t, port, `${start1}hello`, 'PATCH'), { status: 400 })
      const trailing = { url, content: Buffer.from('hello'), trailers: [`Upload-Checksum: ${value}`, `Upload-Checksum: ${value}`], headers: { 'upload-offset': '0' } }
      t.match(await sendTrailing(t, port, trailing), { status: 400 })
      t.equal(await getOffset(app, url), '0')
    })

    t.test('CT-2: an announced trailer that does not come is 400, and nothing is kept', async t => {
      const { app, port } = await start(t)
      const url = await createUpload(app, { 'upload-length': String(LARGE.length) })
      for (const content of [Buffer.alloc(0), SMALL, LARGE]) {
        for (const trailers of [[], ['X-Other: sha1 abc']]) t.match(await sendTrailing(t, port, { url, content, trailers, headers: { 'upload-offset': '0' } }), { status: 400 })
      }
      const plain = formatHead('PATCH', url, { ...TUS, ...BYTES, 'upload-offset': '0', 'content-length': '5', trailer: 'Upload-Checksum' })
      t.match(await exchangeRaw(t, port, `${plain}hello`, 'PATCH'), { status: 400 }, 'a body that is not chunked has no trailers')
      t.match(await patch(app, url, 0, 'hello', { trailer: 'upload-checksum' }), { statusCode: 400 })
      t.equal(await getOffset(app, url), '0')
      t.ok(await finish(app, url, LARGE))
    })

    t.test('CT-2: the announcement is a list, in any case', async t => {
      const { app, port } = await start(t)
      for (const trailer of ['upload-checksum', 'X-A, Upload-Checksum', 'UPLOAD-CHECKSUM,X-A']) {
        const url = await createUpload(app)
        const headers = { 'upload-offset': '0', trailer }
        const content = Buffer.from('hello')
        t.match(await sendTrailing(t, port, { url, content, trailers: ['X-A: 1', `Upload-Checksum: ${checksum('sha1', 'wrong')}`], headers }), { status: 460 }, trailer)
        t.match(await sendTrailing(t, port, { url, content, trailers: ['X-A: 1', `upload-checksum: ${checksum('sha1', content)}`], headers }), { status: 204 })
      }
    })

    t.test('CS-2: a chunked body with its checksum in a header', async t => {
      const { app, port } = await start(t)
      const url = await createUpload(app, { 'upload-length': String(LARGE.length) })
      const send = (content: Buffer) => exchangeRaw(t, port, Buffer.concat([
        Buffer.from(formatHead('PATCH', url, { ...TUS, ...BYTES, 'upload-offset': '0', 'transfer-encoding': 'chunked', 'upload-checksum': checksum('sha512', LARGE) })),
        formatChunked(split(content), [])
      ]), 'PATCH')
      t.match(await send(spoil(LARGE)), { status: 460 })
      t.match(await send(LARGE.subarray(0, -1)), { status: 460 })
      t.equal(await getOffset(app, url), '0')
      t.match(await send(LARGE), { status: 204, headers: { 'upload-offset': String(LARGE.length) } })
      t.ok(await finish(app, url, LARGE))
    })

    t.test('CS-5: a body of no bytes has a checksum like any other', async t => {
      const { app } = await start(t)
      const url = await createUpload(app)
      t.match(await patch(app, url, 0, '', { 'upload-checksum': checksum('sha1', 'x') }), { statusCode: 460 })
      t.match(await patch(app, url, 0, '', { 'upload-checksum': checksum('sha1', '') }), { statusCode: 204, headers: { 'upload-offset': '0' } })
      t.equal((await patch(app, url, 0, 'hello', { 'upload-checksum': checksum('md5', 'hello') })).statusCode, 204)
      t.match(await patch(app, url, 5, '', { 'upload-checksum': checksum('sha1', 'x') }), { statusCode: 460 })
      t.equal((await app.inject(url)).body, 'hello')
    })

    t.test('CS-6: a body that is too long is 413, whatever its checksum says', async t => {
      const { app, port } = await start(t, { maxSize: 4_000_000 })
      const url = await createUpload(app, { 'upload-defer-length': '1' })
      t.match(await sendTrailing(t, port, { url, content: LARGE, trailers: [`Upload-Checksum: ${checksum('sha1', LARGE)}`], headers: { 'upload-offset': '0' } }), { status: 413 })
      t.equal(await getOffset(app, url), '0')
      const content = LARGE.subarray(0, 3_000_000)
      t.match(await sendTrailing(t, port, { url, content, trailers: [`Upload-Checksum: ${checksum('sha1', content)}`], headers: { 'upload-offset': '0' } }), { status: 204 })
      t.equal(await getOffset(app, url), '3000000')
    })

    t.test('CS-6: the length that came with bytes that were wrong may stay, the bytes do not', async t => {
      const { app } = await start(t)
      const url = await createUpload(app, { 'upload-defer-length': '1' })
      const headers = { 'upload-length': String(LARGE.length), 'upload-checksum': checksum('sha1', LARGE) }
      t.equal((await patch(app, url, 0, spoil(LARGE), headers)).statusCode, 460)
      t.equal(await getOffset(app, url), '0')
      t.equal((await patch(app, url, 0, LARGE, headers)).statusCode, 204)
      t.ok(await finish(app, url, LARGE))
    })

    t.test('CS-6: no hook hears of bytes that were wrong', async t => {
      const { app } = await start(t, { progressInterval: 1 })
      const heard: string[] = []
      app.tus.addHook('postReceive', (_request, { offset }) => { heard.push(`received ${offset}`) })
      app.tus.addHook('preFinish', () => { heard.push('finish') })
      app.tus.addHook('postFail', (_request, _upload, error) => { heard.push((error as { code?: string }).code!) })
      const url = await createUpload(app, { 'upload-length': String(LARGE.length) })
      await patch(app, url, 0, spoil(LARGE), { 'upload-checksum': checksum('sha1', LARGE) })
      t.strictSame(heard, ['TUS_ERR_CHECKSUM_MISMATCH'])
      await patch(app, url, 0, LARGE, { 'upload-checksum': checksum('sha1', LARGE) })
      t.strictSame(heard.slice(1), [`received ${LARGE.length}`, 'finish'])
    })

    for (const sent of [500, 3_000_000]) {
      const content = sent === 500 ? SMALL : LARGE
      const offset = '3'
      const begin = async (t: Test, { app, port }: TestApp, headers: Record<string, string>) => {
        const url = await createUpload(app, { 'upload-length': String(content.length + 3) })
        await patch(app, url, 0, 'abc')
        const client = openRaw(t, port)
        await client.send(formatHead('PATCH', url, { ...TUS, ...BYTES, 'upload-offset': offset, 'upload-checksum': checksum('sha1', content), 'content-length': String(content.length), ...headers }))
        await client.send(content.subarray(0, sent))
        return { url, client, whole: Buffer.concat([Buffer.from('abc'), content]) }
      }

      t.test(`CS-11: of a body that was cut at ${sent} bytes nothing counts`, async t => {
        const server = await start(t)
        let failed = 0
        server.app.tus.addHook('postFail', () => { failed++ })
        const { url, client, whole } = await begin(t, server, {})
        await untilReceived(url, 3 + Math.min(sent, content.length))
        client.reset()
        await until('the request has ended', () => failed > 0)
        t.equal(await getOffset(server.app, url), offset)
        t.ok(await finish(server.app, url, whole))
      })

      t.test(`CS-11: a HEAD that meets a body at ${sent} bytes is told the offset from before it`, async t => {
        const server = await start(t)
        const { url, client, whole } = await begin(t, server, {})
        await untilReceived(url, 3 + Math.min(sent, content.length))
        t.equal(await getOffset(server.app, url), offset)
        t.match(await client.receive('PATCH'), { status: 423, headers: { 'upload-offset': offset } })
        t.ok(await finish(server.app, url, whole))
      })

      t.test(`CS-11: of a body that stalls at ${sent} bytes nothing counts`, async t => {
        const server = await start(t, { stallTimeout: 1500 })
        const { url, client, whole } = await begin(t, server, {})
        t.match(await client.receive('PATCH'), { status: 503, headers: { 'upload-offset': offset } })
        t.equal(await getOffset(server.app, url), offset)
        t.ok(await finish(server.app, url, whole))
      })

      t.test(`CS-11, CT-2: nor of a chunked one that breaks in front of its trailer, behind ${sent} bytes`, async t => {
        const server = await start(t)
        const url = await createUpload(server.app, { 'upload-length': String(content.length) })
        const client = openRaw(t, server.port)
        await client.send(formatHead('PATCH', url, { ...TUS, ...BYTES, 'upload-offset': '0', 'transfer-encoding': 'chunked', trailer: 'Upload-Checksum' }))
        for (const chunk of split(content.subarray(0, sent))) await client.send(formatChunk(chunk.toString('latin1')))
        await client.send('0\r\nUpload-Chec')
        await untilReceived(url, Math.min(sent, content.length))
        client.reset()
        await until('the upload is free', async () => await getOffset(server.app, url) === '0')
        t.ok(await finish(server.app, url, content))
      })
    }

    t.test('CS-11: a creation whose checksummed body is cut leaves nothing', async t => {
      const { app, port } = await start(t, { generateId: () => 'cut' })
      let failed = 0
      app.tus.addHook('postTerminate', () => { failed++ })
      const client = openRaw(t, port)
      await client.send(formatHead('POST', '/files', { ...TUS, ...BYTES, 'upload-length': '5000001', 'content-length': '5000001', 'upload-checksum': checksum('sha1', LARGE) }))
      await client.send(LARGE.subarray(0, 3_000_000))
      await untilReceived('cut', 3_000_000)
      client.reset()
      await until('it is undone', () => failed > 0)
      for await (const upload of app.tus.list()) t.fail(`${upload.id} is left`)
    })

    t.test('CS-6: after a wrong checksum a body without one goes on as always', async t => {
      const { app } = await start(t)
      const url = await createUpload(app, { 'upload-length': String(LARGE.length), 'upload-metadata': encodeMetadata({ filename: 'a' }) })
      t.equal((await patch(app, url, 0, LARGE.subarray(0, 10))).statusCode, 204)
      t.equal((await patch(app, url, 10, LARGE.subarray(10), { 'upload-checksum': checksum('sha1', 'other') })).statusCode, 460)
      t.match((await head(app, url)).headers, { 'upload-offset': '10', 'upload-metadata': 'filename YQ==' })
      t.equal((await patch(app, url, 10, LARGE.subarray(10))).statusCode, 204)
      t.ok(await finish(app, url, LARGE))
    })
  })
}

/** A SHA-1 whose Base64 has a character that the URL-safe alphabet writes another way. */
function findUrlSafeDigest (): { base64: string, urlSafe: string } {
  for (let count = 0; ; count++) {
    const base64 = digest('sha1', String(count)).toString('base64')
    if (/[+/]/.test(base64)) return { base64, urlSafe: base64.replaceAll('+', '-').replaceAll('/', '_') }
  }
}
