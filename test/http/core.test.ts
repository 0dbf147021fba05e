import t from 'tap'
import { makeApp, startApp } from '../support/app.js'
import { BYTES, TUS, createComplete, createUpload, getOffset, head, listFiles, makeBytes, patch, post, terminate } from '../support/http-tus.js'
import { exchangeRaw, formatChunk, formatHead } from '../support/raw-socket.js'

const LARGEST = String(Number.MAX_SAFE_INTEGER)

t.test('CO-1, CO-23, CO-27, CO-28, CO-29: stores the bytes of each PATCH behind those before it', async t => {
  const { app } = await makeApp(t)
  const url = await createUpload(app, { 'upload-length': '11' })

  const first = await patch(app, url, 0, 'hello ')
  t.equal(first.statusCode, 204)
  t.equal(first.headers['upload-offset'], '6')
  t.equal(first.body, '')
  const second = await patch(app, url, 6, 'world')
  t.equal(second.statusCode, 204)
  t.equal(second.headers['upload-offset'], '11')
  t.equal((await app.inject(url)).body, 'hello world')
})

t.test('CO-1, CO-29: keeps several megabytes as they were sent', async t => {
  const { app } = await makeApp(t)
  const bytes = makeBytes(5_000_011)
  const url = await createUpload(app, { 'upload-length': String(bytes.length) })

  for (let offset = 0; offset < bytes.length; offset += 1_700_000) {
    const piece = bytes.subarray(offset, offset + 1_700_000)
    t.equal((await patch(app, url, offset, piece)).headers['upload-offset'], String(offset + piece.length))
  }
  t.ok((await app.inject(url)).rawPayload.equals(bytes))
})

t.test('CO-23, CO-29: takes a chunked body that announces no length', async t => {
  const { app, port } = await startApp(t)
  const url = await createUpload(app, { 'upload-length': '11' })
  const request = formatHead('PATCH', url, { ...TUS, ...BYTES, 'upload-offset': '0', 'transfer-encoding': 'chunked', connection: 'close' }) +
    formatChunk('hello ') + formatChunk('world') + formatChunk('')

  const response = await exchangeRaw(t, port, request)
  t.match(response, { status: 204, headers: { 'upload-offset': '11' } })
  t.equal((await app.inject(url)).body, 'hello world')
})

t.test('CO-27, CO-29: answers an empty PATCH with the offset as it was', async t => {
  const { app } = await makeApp(t)
  const url = await createUpload(app)
  await patch(app, url, 0, 'hel')

  const response = await patch(app, url, 3, '')
  t.equal(response.statusCode, 204)
  t.equal(response.headers['upload-offset'], '3')
  await patch(app, url, 3, 'lo')
  t.equal((await patch(app, url, 5, '')).statusCode, 204, 'at the end of a complete upload, too')
})

t.test('CO-2: refuses an Upload-Offset that is no non-negative integer', async t => {
  const { app } = await makeApp(t)
  const url = await createUpload(app)
  for (const offset of ['-1', '+0', '0.0', '0x0', '1e0', '', 'zero', '0, 0', '9007199254740992', '99999999999999999999999']) {
    const response = await app.inject({ method: 'PATCH', url, headers: { ...TUS, ...BYTES, 'upload-offset': offset }, payload: 'x' })
    t.equal(response.statusCode, 400, `'${offset}'`)
  }
  const { statusCode } = await app.inject({ method: 'PATCH', url, headers: { ...TUS, ...BYTES }, payload: 'x' })
  t.equal(statusCode, 400, 'absent')
  t.equal(await getOffset(app, url), '0')
})

t.test('CO-3: takes an Upload-Length up to 2^53 - 1, and refuses what is no non-negative integer', async t => {
  const { app } = await makeApp(t)
  const url = await createUpload(app, { 'upload-length': LARGEST })
  t.equal((await head(app, url)).headers['upload-length'], LARGEST)
  t.equal((await patch(app, url, 0, 'x')).statusCode, 204)
  for (const length of ['-1', '+5', '5.0', '0x5', '1e3', '', 'five', '5, 5', '9007199254740992', '18446744073709551616']) {
    t.equal((await post(app, { 'upload-length': length })).statusCode, 400, `'${length}'`)
  }
})

t.test('CO-4, CO-5, CO-34: OPTIONS lists the versions, of which there is one', async t => {
  const { app } = await makeApp(t)
  const url = await createUpload(app)
  for (const path of ['/files', '/files/', url, '/files/no-such-upload']) {
    const response = await app.inject({ method: 'OPTIONS', url: path })
    t.equal(response.statusCode, 204, path)
    t.equal(response.headers['tus-version'], '1.0.0')
    t.equal(response.headers['tus-resumable'], '1.0.0')
  }
})

t.test('CO-6, CO-7: every response names the version, also where it refuses', async t => {
  const { app } = await makeApp(t)
  const url = await createUpload(app)
  const responses = {
    201: await post(app, { 'upload-length': '1' }),
    200: await head(app, url),
    204: await patch(app, url, 0, 'h'),
    400: await post(app, {}),
    404: await head(app, '/files/no-such-upload'),
    405: await app.inject({ method: 'PUT', url, headers: TUS }),
    409: await patch(app, url, 4, 'o'),
    412: await app.inject({ method: 'HEAD', url, headers: { 'tus-resumable': '0.2.2' } }),
    413: await patch(app, url, 1, 'ello!'),
    415: await patch(app, url, 1, 'ello', { 'content-type': 'text/plain' })
  }
  for (const [status, { statusCode, headers }] of Object.entries(responses)) {
    t.equal(statusCode, Number(status))
    t.equal(headers['tus-resumable'], '1.0.0', status)
  }
  const malformed = await patch(app, url, 1, 'ello', { 'content-type': 'nonsense' })
  t.equal(malformed.headers['tus-resumable'], '1.0.0', 'what Fastify itself refuses')
})

t.test('CO-8, CO-9, CO-10: answers 412 with Tus-Version to another version or none, and does nothing', async t => {
  const { app, directory } = await makeApp(t)
  const url = await createUpload(app)
  const before = await listFiles(directory)
  for (const version of [undefined, '', '0.2.2', '1.0', '1.0.1', '2.0.0', '1.0.0, 1.0.0', 'x']) {
    const headers = { ...BYTES, 'upload-offset': '0', 'upload-length': '5', ...version !== undefined && { 'tus-resumable': version } }
    for (const [method, path] of [['POST', '/files'], ['HEAD', url], ['PATCH', url], ['DELETE', url]] as const) {
      const response = await app.inject({ method, url: path, headers, ...method === 'PATCH' && { payload: 'hello' } })
      t.equal(response.statusCode, 412, `${method} ${version}`)
      t.equal(response.headers['tus-version'], '1.0.0')
      t.equal(response.headers['upload-offset'], undefined)
    }
  }
  t.same(await listFiles(directory), before)
  t.equal(await getOffset(app, url), '0')
})

t.test('CO-11, CO-12, CO-35, CO-37: OPTIONS lists the extensions that are switched on, and no empty header', async t => {
  const all = await (await makeApp(t)).app.inject({ method: 'OPTIONS', url: '/files' })
  const names = String(all.headers['tus-extension']).split(',')
  t.ok(['creation', 'creation-with-upload', 'creation-defer-length', 'termination'].every(name => names.includes(name)))

  const some = await makeApp(t, { extensions: ['termination', 'creation'] })
  t.equal((await some.app.inject({ method: 'OPTIONS', url: '/files' })).headers['tus-extension'], 'creation,termination')

  const none = await makeApp(t, { extensions: [] })
  const response = await none.app.inject({ method: 'OPTIONS', url: '/files' })
  t.notOk('tus-extension' in response.headers)
  t.equal((await post(none.app, { 'upload-length': '1' })).statusCode, 405)
  t.equal((await terminate(none.app, '/files/x')).statusCode, 405)
})

t.test('CO-13, CO-14, CO-35: OPTIONS tells the largest upload where there is a fixed limit', async t => {
  const limited = await makeApp(t, { maxSize: 1_000_000 })
  t.equal((await limited.app.inject({ method: 'OPTIONS', url: '/files' })).headers['tus-max-size'], '1000000')
  const zero = await makeApp(t, { maxSize: 0 })
  t.equal((await zero.app.inject({ method: 'OPTIONS', url: '/files' })).headers['tus-max-size'], '0')

  for (const maxSize of [null, undefined, () => 10]) {
    const { app } = await makeApp(t, maxSize === undefined ? {} : { maxSize })
    t.notOk('tus-max-size' in (await app.inject({ method: 'OPTIONS', url: '/files' })).headers)
  }
})

t.test('CO-36: OPTIONS pays no attention to Tus-Resumable', async t => {
  const { app } = await makeApp(t)
  for (const version of ['0.2.2', '', '1.0.0', 'x']) {
    t.equal((await app.inject({ method: 'OPTIONS', url: '/files', headers: { 'tus-resumable': version } })).statusCode, 204)
  }
})

t.test('CO-17, CO-18, CO-21, CO-22: HEAD tells offset and length at every stage, and may not be cached', async t => {
  const { app } = await makeApp(t)
  const url = await createUpload(app)
  for (const [offset, piece] of [['0', 'hel'], ['3', 'lo'], ['5', '']] as const) {
    const response = await head(app, url)
    t.equal(response.statusCode, 200)
    t.equal(response.headers['upload-offset'], offset)
    t.equal(response.headers['upload-length'], '5')
    t.equal(response.headers['cache-control'], 'no-store')
    t.equal(response.body, '')
    await patch(app, url, Number(offset), piece)
  }
})

t.test('CO-19, CO-20, CO-22: HEAD of what does not exist is 404, without an offset, and may not be cached', async t => {
  const { app } = await makeApp(t)
  for (const url of ['/files/0123456789abcdef', '/files/', '/files', '/files/a/b', '/files/..%2fx']) {
    const { statusCode, headers } = await head(app, url)
    t.ok([404, 405].includes(statusCode), `${url} ${statusCode}`)
    t.notOk('upload-offset' in headers)
    t.equal(headers['cache-control'], 'no-store')
  }
})

t.test('CO-24: answers 415 to another content type, before it looks at anything else', async t => {
  const { app } = await makeApp(t)
  const url = await createUpload(app)
  for (const type of ['application/octet-stream', 'text/plain', 'application/json', 'application/offset', 'application/offset+octet-stream2']) {
    t.equal((await patch(app, url, 0, 'hello', { 'content-type': type })).statusCode, 415, type)
    t.equal((await patch(app, url, 77, 'hello', { 'content-type': type })).statusCode, 415, `${type} with a wrong offset`)
  }
  const without = await app.inject({ method: 'PATCH', url, headers: { ...TUS, 'upload-offset': '0' }, payload: 'hello' })
  t.equal(without.statusCode, 415, 'absent')
  t.equal((await patch(app, url, 0, 'hello', { 'content-encoding': 'gzip' })).statusCode, 415, 'an encoding that nobody undoes')
  t.equal(await getOffset(app, url), '0')

  t.equal((await patch(app, url, 0, 'hel', { 'content-type': 'Application/Offset+Octet-Stream; charset=binary' })).statusCode, 204, 'case and parameters do not count')
  t.equal((await patch(app, url, 3, 'lo', { 'content-encoding': 'identity' })).statusCode, 204)
})

t.test('CO-25, CO-26: answers 409 with the real offset to any other, and changes nothing', async t => {
  const { app, directory } = await makeApp(t)
  const url = await createUpload(app, { 'upload-length': '10' })
  await patch(app, url, 0, 'hello')
  const before = await listFiles(directory)
  for (const offset of [0, 4, 6, 10, 11, Number.MAX_SAFE_INTEGER]) {
    const response = await patch(app, url, offset, 'world')
    t.equal(response.statusCode, 409, String(offset))
    t.equal(response.headers['upload-offset'], '5')
  }
  t.same(await listFiles(directory), before)
  t.equal((await patch(app, url, 5, 'world')).statusCode, 204)
  t.equal((await app.inject(url)).body, 'helloworld')
})

t.test('CO-25, CO-26: a complete upload is at its end', async t => {
  const { app } = await makeApp(t)
  const url = await createComplete(app, 'hello')
  const response = await patch(app, url, 0, 'HELLO')
  t.equal(response.statusCode, 409)
  t.equal(response.headers['upload-offset'], '5')
  t.equal((await patch(app, url, 5, '!')).statusCode, 413)
  t.equal((await app.inject(url)).body, 'hello')
})

t.test('CO-26, CO-29: a body beyond the length is 413, nothing of it stays, and a right retry ends in the same bytes', async t => {
  const { app, port } = await startApp(t)
  const bytes = makeBytes(300_000)
  const url = await createUpload(app, { 'upload-length': String(bytes.length) })
  await patch(app, url, 0, bytes.subarray(0, 1000))

  const announced = await patch(app, url, 1000, makeBytes(400_000))
  t.equal(announced.statusCode, 413)
  t.equal(await getOffset(app, url), '1000')

  const chunked = formatHead('PATCH', url, { ...TUS, ...BYTES, 'upload-offset': '1000', 'transfer-encoding': 'chunked' }) +
    formatChunk('x'.repeat(200_000)) + formatChunk('x'.repeat(200_000)) + formatChunk('')
  t.match(await exchangeRaw(t, port, chunked), { status: 413 })
  t.equal(await getOffset(app, url), '1000')

  t.equal((await patch(app, url, 1000, bytes.subarray(1000))).statusCode, 204)
  t.ok((await app.inject(url)).rawPayload.equals(bytes))
})

t.test('CO-29: one request may bring maxAppendSize and no more, announced or not', async t => {
  const { app, port } = await startApp(t, { maxAppendSize: 1000 })
  const url = await createUpload(app, { 'upload-length': '5000' })
  t.equal((await patch(app, url, 0, 'x'.repeat(1001))).statusCode, 413)
  const chunked = formatHead('PATCH', url, { ...TUS, ...BYTES, 'upload-offset': '0', 'transfer-encoding': 'chunked' }) + formatChunk('x'.repeat(1001)) + formatChunk('')
  t.match(await exchangeRaw(t, port, chunked), { status: 413 })
  t.equal(await getOffset(app, url), '0')
  t.equal((await patch(app, url, 0, 'x'.repeat(1000))).statusCode, 204)
})

t.test('CO-30: PATCH of what does not exist is 404', async t => {
  const { app, directory } = await makeApp(t)
  for (const url of ['/files/0123456789abcdef', '/files/a%2fb', '/files/x.json']) {
    const { statusCode, headers } = await patch(app, url, 0, 'hello')
    t.equal(statusCode, 404)
    t.notOk('upload-offset' in headers)
  }
  t.same(await listFiles(directory), [])
})

t.test('CO-19, CO-30: a query string on the URL of an upload changes nothing', async t => {
  const { app } = await makeApp(t)
  const url = await createUpload(app)
  t.equal((await patch(app, `${url}?token=1&x=/../y`, 0, 'hello')).statusCode, 204)
  t.equal((await head(app, `${url}?a`)).headers['upload-offset'], '5')
  t.equal((await app.inject(`${url}?download=1`)).body, 'hello')
  t.equal((await terminate(app, `${url}?`)).statusCode, 204)
})

t.test('405 lists the methods that there are', async t => {
  const { app } = await makeApp(t)
  const url = await createUpload(app)
  const resource = await app.inject({ method: 'PUT', url, headers: TUS })
  t.equal(resource.statusCode, 405)
  t.equal(resource.headers.allow, 'OPTIONS, HEAD, PATCH, DELETE, GET')
  const collection = await app.inject({ method: 'PATCH', url: '/files', headers: TUS })
  t.equal(collection.statusCode, 405)
  t.equal(collection.headers.allow, 'OPTIONS, POST')
})
