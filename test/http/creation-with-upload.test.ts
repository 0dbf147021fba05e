import t from 'tap'
import { makeApp, startApp } from '../support/app.js'
import { BYTES, TUS, getOffset, getPath, head, listFiles, makeBytes, patch, post } from '../support/http-tus.js'
import { exchangeRaw, formatChunk, formatHead, openRaw } from '../support/raw-socket.js'

t.test('CU-1, CU-2: is announced, and only where creation is', async t => {
  const { app } = await makeApp(t)
  const { headers } = await app.inject({ method: 'OPTIONS', url: '/files' })
  t.ok(String(headers['tus-extension']).split(',').includes('creation-with-upload'))
  await t.rejects(makeApp(t, { extensions: ['creation-with-upload'] }), { code: 'TUS_ERR_OPTION_INVALID' })
})

t.test('CU-2: a body is refused where it is switched off, and no upload is made', async t => {
  const { app, directory } = await makeApp(t, { extensions: ['creation'] })
  t.equal((await post(app, { 'upload-length': '5', ...BYTES }, 'hello')).statusCode, 400)
  t.same(await listFiles(directory), [])
  t.equal((await post(app, { 'upload-length': '5' })).statusCode, 201)
})

t.test('CU-4, CU-5: stores what came along, and tells the offset', async t => {
  const { app } = await makeApp(t)
  const whole = await post(app, { 'upload-length': '5', ...BYTES }, 'hello')
  t.equal(whole.statusCode, 201)
  t.equal(whole.headers['upload-offset'], '5')
  t.equal((await app.inject(getPath(whole))).body, 'hello')

  const part = await post(app, { 'upload-length': '5', ...BYTES }, 'hel')
  t.equal(part.statusCode, 201)
  t.equal(part.headers['upload-offset'], '3')
  t.equal((await patch(app, getPath(part), 3, 'lo')).statusCode, 204)
  t.equal((await app.inject(getPath(part))).body, 'hello')
})

t.test('CU-4: keeps megabytes as they were sent', async t => {
  const { app } = await makeApp(t)
  const bytes = makeBytes(3_000_001)
  const created = await post(app, { 'upload-length': String(bytes.length), ...BYTES }, bytes)
  t.equal(created.headers['upload-offset'], String(bytes.length))
  t.ok((await app.inject(getPath(created))).rawPayload.equals(bytes))
})

t.test('CU-4, CU-5: takes a chunked body', async t => {
  const { app, port } = await startApp(t)
  const request = formatHead('POST', '/files', { ...TUS, ...BYTES, 'upload-length': '5', 'transfer-encoding': 'chunked' }) + formatChunk('hel') + formatChunk('lo') + formatChunk('')
  const response = await exchangeRaw(t, port, request)
  t.match(response, { status: 201, headers: { 'upload-offset': '5' } })
  t.equal((await app.inject(new URL(response!.headers.location!).pathname)).body, 'hello')
})

t.test('CU-3: a body of another content type is 415, and no upload is made', async t => {
  const { app, directory } = await makeApp(t)
  for (const type of ['application/octet-stream', 'application/json', 'text/plain']) {
    t.equal((await post(app, { 'upload-length': '5', 'content-type': type }, 'hello')).statusCode, 415, type)
  }
  t.equal((await post(app, { 'upload-length': '5' }, 'hello')).statusCode, 415, 'absent')
  t.equal((await post(app, { 'upload-length': '5', ...BYTES, 'content-encoding': 'gzip' }, 'hello')).statusCode, 415)
  t.same(await listFiles(directory), [])
})

t.test('CU-3: without a body the content type does not matter', async t => {
  const { app } = await makeApp(t)
  for (const headers of [{}, BYTES, { 'content-type': 'application/json' }, { 'content-length': '0' }]) {
    const response = await post(app, { 'upload-length': '5', ...headers })
    t.equal(response.statusCode, 201)
    t.equal(await getOffset(app, getPath(response)), '0')
  }
})

t.test('CU-6: a body that announces more than the length is 413, and no upload is made', async t => {
  const { app, directory } = await makeApp(t, { maxAppendSize: 100 })
  t.equal((await post(app, { 'upload-length': '5', ...BYTES }, 'hello!')).statusCode, 413)
  t.equal((await post(app, { 'upload-length': '0', ...BYTES }, 'x')).statusCode, 413)
  t.equal((await post(app, { 'upload-length': '500', ...BYTES }, 'x'.repeat(101))).statusCode, 413, 'more than one request may bring')
  t.same(await listFiles(directory), [])
})

t.test('CU-6: a chunked body that turns out too long is 413, and nothing of it counts', async t => {
  const { app, port } = await startApp(t, { generateId: () => 'one' })
  const request = formatHead('POST', '/files', { ...TUS, ...BYTES, 'upload-length': '5', 'transfer-encoding': 'chunked' }) + formatChunk('hello') + formatChunk('!') + formatChunk('')
  t.match(await exchangeRaw(t, port, request), { status: 413 })
  const left = await head(app, '/files/one')
  t.ok(left.statusCode === 404 || left.headers['upload-offset'] === '0', 'no upload, or an empty one')
})

t.test('CU-7: who waits for 100 Continue is refused before it', async t => {
  const { port, directory } = await startApp(t, { maxSize: 10 })
  const refused: Array<[number, Record<string, string>]> = [
    [413, { 'upload-length': '11' }],
    [415, { 'upload-length': '5', 'content-type': 'text/plain' }],
    [400, {}],
    [413, { 'upload-length': '4' }],
    [412, { 'upload-length': '5', 'tus-resumable': '0.2.2' }]
  ]
  for (const [status, headers] of refused) {
    const response = await exchangeRaw(t, port, formatHead('POST', '/files', { ...TUS, ...BYTES, 'content-length': '5', expect: '100-continue', ...headers }))
    t.match(response, { status, interim: [] })
  }
  t.same(await listFiles(directory), [])
})

t.test('CU-7: and continues where all is well', async t => {
  const { app, port } = await startApp(t)
  const client = openRaw(t, port)
  await client.send(formatHead('POST', '/files', { ...TUS, ...BYTES, 'upload-length': '5', 'content-length': '5', expect: '100-continue' }))
  t.match(await client.receiveAny(), { status: 100 })
  await client.send('hello')
  const created = await client.receive('POST')
  t.match(created, { status: 201, interim: [], headers: { 'upload-offset': '5' } })
  t.equal((await app.inject(new URL(created!.headers.location!).pathname)).body, 'hello')
})

t.test('CU-8: the length may follow later', async t => {
  const { app } = await makeApp(t)
  const created = await post(app, { 'upload-defer-length': '1', ...BYTES }, 'hel')
  t.match(created, { statusCode: 201, headers: { 'upload-offset': '3' } })
  const url = getPath(created)
  t.match((await head(app, url)).headers, { 'upload-offset': '3', 'upload-defer-length': '1' })
  t.equal((await patch(app, url, 3, 'lo', { 'upload-length': '5' })).statusCode, 204)
  t.equal((await app.inject(url)).body, 'hello')
})
