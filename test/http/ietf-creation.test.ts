import type { AddressInfo } from 'node:net'
import t from 'tap'
import { listNames, makeApp, startApp } from '../support/app.js'
import { append, ask, begin, getPath, open, receiveAll, retrieve, V8 } from '../support/ietf.js'
import { untilReceived } from '../support/observed.js'
import type { RawClient } from '../support/raw-socket.js'
import { createGate, sleep, until } from '../support/waiting.js'

t.test('CN-1, CN-4, CN-9: POST and PUT with ?1 create and complete in one request', async t => {
  const { port } = await startApp(t)
  for (const method of ['POST', 'PUT']) {
    const made = await ask(t, port, method, '/files', { ...V8, 'upload-complete': '?1' }, 'hello')
    t.match(made, { status: 201, headers: { 'upload-complete': '?1', 'upload-offset': '5' } })
    t.match(await ask(t, port, 'GET', getPath(made)), { status: 200, body: 'hello' })
  }
})

t.test('CN-1: a body of unknown size ends the upload with its own end', async t => {
  const { port } = await startApp(t)
  const made = await ask(t, port, 'POST', '/files', { ...V8, 'upload-complete': '?1', 'transfer-encoding': 'chunked' }, 'hello')
  t.match(made, { status: 201, headers: { 'upload-complete': '?1', 'upload-offset': '5' } })
  t.match(await retrieve(t, port, getPath(made)), { headers: { 'upload-length': '5', 'upload-complete': '?1' } })
})

t.test('CN-5, CN-8, CN-9: ?0 is answered 201, with the Location and the limits that the 104 told', async t => {
  const { port } = await startApp(t, { maxSize: 100 })
  const made = await ask(t, port, 'POST', '/files', { ...V8, 'upload-complete': '?0' }, 'hello')
  t.match(made, { status: 201, headers: { 'upload-complete': '?0', 'upload-limit': 'max-size=100, max-age=86400', 'upload-offset': '5' } })
  t.equal(made.interim.length, 1)
  t.equal(made.interim[0]!.headers.location, made.headers.location)
  t.equal(made.interim[0]!.headers['upload-limit'], made.headers['upload-limit'])
})

t.test('CN-6: the length is what Upload-Length says, or what ?1 brings', async t => {
  const { port } = await startApp(t)
  t.match((await retrieve(t, port, await begin(t, port, 'hello', { 'upload-length': '11' }))).headers, { 'upload-length': '11', 'upload-complete': '?0' })
  t.notOk('upload-length' in (await retrieve(t, port, await begin(t, port, 'hello'))).headers)
  const client = await open(t, port, 'POST', '/files', { ...V8, 'upload-complete': '?1', 'content-length': '11' }, 'hello')
  const path = getPath((await client.receiveAny())!)
  t.match((await retrieve(t, port, path)).headers, { 'upload-length': '11', 'upload-offset': '5', 'upload-complete': '?0' })
})

/** Sends byte after byte until an interim response says that some of them are durable. */
async function sendUntilProgress (client: RawClient): Promise<{ sent: number, progress: Awaited<ReturnType<RawClient['receiveAny']>> }> {
  let sent = 0
  const state = { told: false }
  const progress = client.receiveAny().finally(() => { state.told = true })
  for (; !state.told && sent < 400; sent++) {
    await client.send('x')
    await sleep(30)
  }
  return { sent, progress: await progress }
}

t.test('CN-7, AP-13, AP-14, ST-7: while bytes come in, 104 tells which of them are durable, and no Location', async t => {
  const { port } = await startApp(t, { progressInterval: 20 })
  const client = await open(t, port, 'POST', '/files', { ...V8, 'upload-complete': '?0', 'content-length': '1000' }, 'hello')
  const announced = (await client.receiveAny())!
  const path = getPath(announced)
  const patch = await begin(t, port, 'hello')
  const second = await open(t, port, 'PATCH', patch, { ...V8, 'content-type': 'application/partial-upload', 'upload-offset': '5', 'upload-complete': '?1', 'content-length': '1000' }, 'hello')
  for (const [sending, before, upload] of [[client, 5, path], [second, 10, patch]] as const) {
    const { sent, progress } = await sendUntilProgress(sending)
    t.match(progress, { status: 104, headers: { 'upload-draft-interop-version': '8' } })
    const offset = Number(progress!.headers['upload-offset'])
    t.ok(offset >= before && offset <= before + sent, `${offset}`)
    t.notOk('location' in progress!.headers)
    sending.reset()
    const { headers } = await retrieve(t, port, upload)
    t.ok(Number(headers['upload-offset']) >= offset, 'and they are there')
  }

  const third = await begin(t, port)
  const old = await open(t, port, 'PATCH', third, { 'upload-draft-interop-version': '3', 'upload-offset': '0', 'upload-incomplete': '?1', 'content-length': '10' }, 'hello')
  await untilReceived(third, 5)
  await sleep(60)
  await old.send('hello')
  t.match(await receiveAll(old), { status: 201, interim: [] }, 'version 3 knows no progress')
})

t.test('CN-10, CN-11: what a broken connection brought is there, and the upload is not complete', async t => {
  const { port } = await startApp(t)
  for (const framing of [{ 'content-length': '11' }, { 'transfer-encoding': 'chunked' }]) {
    const begun = 'content-length' in framing ? 'hello' : '5\r\nhello\r\n'
    const client = await open(t, port, 'POST', '/files', { ...V8, 'upload-complete': '?1', ...framing }, begun)
    const path = getPath((await client.receiveAny())!)
    await untilReceived(path, 5)
    client.reset()
    t.match(await retrieve(t, port, path), { status: 204, headers: { 'upload-offset': '5', 'upload-complete': '?0' } })
    t.match(await append(t, port, path, 5, ' world', '?1'), { status: 201, headers: { 'upload-complete': '?1' } })
    t.match(await ask(t, port, 'GET', path), { body: 'hello world' })
  }
})

t.test('CN-10: a client that was told where the upload is finds it, even if not a byte came', async t => {
  const { port } = await startApp(t)
  const client = await open(t, port, 'POST', '/files', { ...V8, 'upload-complete': '?1', 'content-length': '5' }, '')
  const path = getPath((await client.receiveAny())!)
  client.reset()
  t.match(await retrieve(t, port, path), { status: 204, headers: { 'upload-offset': '0' } })
})

t.test('CN-10: an upload that nobody was told of is not kept, if not a byte came', async t => {
  const { port, directory } = await startApp(t)
  const client = await open(t, port, 'POST', '/files', { 'upload-complete': '?1', 'content-length': '5' }, '')
  await until('it is created', async () => (await listNames(directory)).length > 0)
  client.reset()
  await until('it is gone', async () => (await listNames(directory)).length === 0)
})

t.test('CN-11: a chunked body whose bytes are all there, but not its end, is not complete', async t => {
  const { port } = await startApp(t)
  const client = await open(t, port, 'POST', '/files', { ...V8, 'upload-complete': '?1', 'upload-length': '5', 'transfer-encoding': 'chunked' }, '5\r\nhello\r\n')
  const path = getPath((await client.receiveAny())!)
  await untilReceived(path, 5)
  client.reset()
  t.match(await retrieve(t, port, path), { headers: { 'upload-offset': '5', 'upload-complete': '?0' } })
  t.match(await append(t, port, path, 5, '', '?1'), { status: 201, headers: { 'upload-complete': '?1' } })
})

t.test('CN-12: an empty body begins an upload with ?0, and is an empty upload with ?1', async t => {
  const { port } = await startApp(t)
  for (const body of ['', null]) {
    t.match(await ask(t, port, 'POST', '/files', { ...V8, 'upload-complete': '?0' }, body), { status: 201, headers: { 'upload-complete': '?0', 'upload-offset': '0' } })
    const made = await ask(t, port, 'POST', '/files', { ...V8, 'upload-complete': '?1' }, body)
    t.match(made, { status: 201, headers: { 'upload-complete': '?1', 'upload-offset': '0' } })
    t.match(await ask(t, port, 'GET', getPath(made)), { status: 200, body: '' })
  }
  t.match(await ask(t, port, 'POST', '/files', { ...V8, 'upload-complete': '?1', 'transfer-encoding': 'chunked' }, ''), { status: 201, headers: { 'upload-complete': '?1' } })
})

t.test('CN-13: a refusal of the application is the last word, and no byte was read', async t => {
  const { app, port, directory } = await startApp(t)
  app.tus.addHook('preCreate', async () => { throw Object.assign(new Error('not you'), { statusCode: 403 }) })
  const client = await open(t, port, 'POST', '/files', { ...V8, 'upload-complete': '?1', 'content-length': '5' }, '')
  t.match(await receiveAll(client), { status: 403, headers: { 'upload-complete': '?1' }, interim: [] })
  t.same(await listNames(directory), [])
})

t.test('CN-14, XX-2, XX-10: type, name and coding of the first request are those of the representation, made safe', async t => {
  const { app, port } = await startApp(t)
  const made = await ask(t, port, 'POST', '/files', {
    'upload-complete': '?1',
    'content-type': 'text/plain',
    'content-encoding': 'GZIP',
    'content-disposition': "inline; filename=\"x.txt\"; filename*=UTF-8''..%2F..%2Fetc%2Fgr%C3%BC%C3%9Fe.txt"
  }, 'coded bytes')
  const path = getPath(made)
  t.match((await app.tus.find(path.split('/').at(-1)!))?.metadata, { filename: 'grüße.txt', filetype: 'text/plain', encoding: 'gzip' })
  t.match((await retrieve(t, port, path)).headers, { 'upload-offset': '11' }, 'what is counted are the bytes as they are sent')
  t.match(await ask(t, port, 'GET', path), { body: 'coded bytes', headers: { 'content-type': 'text/plain', 'content-encoding': 'gzip', 'content-disposition': 'inline; filename="grüße.txt"' } })
  const wild = await ask(t, port, 'POST', '/files', { 'upload-complete': '?1', 'content-type': 'text/html', 'content-encoding': 'x y', 'content-disposition': ';;;' }, '<script>')
  const { headers } = await ask(t, port, 'GET', getPath(wild))
  t.match(headers, { 'content-type': 'application/octet-stream', 'content-disposition': 'attachment' })
  t.notOk('content-encoding' in headers)
})

t.test('XX-1: 100 Continue is sent beside the 104', async t => {
  const { port } = await startApp(t)
  const client = await open(t, port, 'POST', '/files', { ...V8, 'upload-complete': '?1', 'content-length': '5', expect: '100-continue' }, '')
  t.equal((await client.receiveAny())?.status, 104)
  t.equal((await client.receiveAny())?.status, 100)
  await client.send('hello')
  t.match(await receiveAll(client), { status: 201, headers: { 'upload-complete': '?1' } })
})

t.test('XX-8, XX-9, ST-2: the URL holds 128 random bits, and nothing else of the server', async t => {
  const { port } = await startApp(t)
  const paths = await Promise.all(Array.from({ length: 20 }, () => begin(t, port)))
  t.equal(new Set(paths).size, 20)
  for (const path of paths) t.match(path, /^\/files\/[0-9a-f]{32}$/)
})

t.test('a response that waits behind another one on its connection gets no 104 in between', async t => {
  const { app } = await makeApp(t)
  const finished = createGate()
  app.tus.addHook('postFinish', () => { finished.open() })
  let release = () => {}
  app.get('/slow', () => new Promise(resolve => { release = () => resolve('slow') }))
  await app.listen({ host: '127.0.0.1', port: 0 })
  const { port } = app.server.address() as AddressInfo
  const client = await open(t, port, 'GET', '/slow', {}, '')
  await client.send('POST /files HTTP/1.1\r\nhost: localhost\r\nupload-complete: ?1\r\nupload-draft-interop-version: 8\r\ncontent-length: 5\r\n\r\nhello')
  await finished.passed
  release()
  t.match(await receiveAll(client, 'GET'), { status: 200, body: 'slow', interim: [] })
  t.match(await receiveAll(client), { status: 201, headers: { 'upload-complete': '?1' } })
})

t.test('a creation that was to bring everything, and that the server ends, is no success, in any version', async t => {
  const { port } = await startApp(t, { stallTimeout: 100 })
  const versions: ReadonlyArray<readonly [string | undefined, string, string]> = [
    ['3', 'upload-incomplete', '?0'], ['5', 'upload-complete', '?1'], ['6', 'upload-complete', '?1'], ['8', 'upload-complete', '?1'], ['9', 'upload-complete', '?1'], [undefined, 'upload-complete', '?1']
  ]
  for (const interim of [true, false]) {
    const silent = interim ? null : await startApp(t, { stallTimeout: 100, interimResponses: false })
    for (const [version, header, value] of versions) {
      for (const framing of [{ 'content-length': '11' }, { 'transfer-encoding': 'chunked' }]) {
        const headers = { ...version !== undefined && { 'upload-draft-interop-version': version }, [header]: value, ...framing }
        const client = await open(t, silent?.port ?? port, 'POST', '/files', headers, 'content-length' in framing ? 'hello' : '5\r\nhello\r\n')
        const final = await client.receive('POST')
        if (interim && version !== undefined) t.equal(final, null, `version ${version}: the connection is dropped behind its 104`)
        else t.match(final, { status: 503, headers: { location: /\/files\//, 'upload-offset': '5' } }, `version ${version}: an error says where the upload is`)
        client.socket.destroy()
      }
    }
  }
  const first = await open(t, port, 'POST', '/files', { 'upload-complete': '?0', 'content-length': '11' }, 'hello')
  t.match(await first.receive('POST'), { status: 201, headers: { 'upload-complete': '?0', 'upload-offset': '5' } }, 'a piece that was cut is a smaller piece')
})
