import t from 'tap'
import { startApp } from '../support/app.js'
import { append, ask, begin, getPath, open, PARTIAL, receiveAll, retrieve, V8 } from '../support/ietf.js'
import { untilReceived } from '../support/observed.js'
import { until } from '../support/waiting.js'

t.test('AP-1: a PATCH of another type is refused with 415, and told the right one', async t => {
  const { port } = await startApp(t)
  const path = await begin(t, port)
  for (const type of ['application/offset+octet-stream', 'application/octet-stream', 'text/plain', 'application/partial-uploads', undefined]) {
    const headers = { ...V8, 'upload-offset': '0', 'upload-complete': '?1', ...type && { 'content-type': type } }
    t.match(await ask(t, port, 'PATCH', path, headers, 'hello'), { status: 415, headers: { 'accept-patch': 'application/partial-upload', 'upload-complete': '?0' } }, type ?? 'none')
  }
  t.equal((await append(t, port, path, 0, 'hello', '?0', { 'content-encoding': 'gzip' })).status, 415, 'a piece is not coded by itself')
  t.equal((await append(t, port, path, 0, 'hello', '?1', { 'content-type': 'Application/Partial-Upload; x=y' })).status, 201)
})

t.test('AP-2, AP-3: what an interrupted PATCH brought is kept, and the upload is not complete', async t => {
  const { port } = await startApp(t)
  const path = await begin(t, port, 'hello')
  const client = await open(t, port, 'PATCH', path, { ...PARTIAL, 'upload-offset': '5', 'upload-complete': '?1', 'content-length': '6' }, ' wo')
  await untilReceived(path, 8)
  client.reset()
  t.match((await retrieve(t, port, path)).headers, { 'upload-offset': '8', 'upload-complete': '?0', 'upload-length': '11' })
  t.match(await append(t, port, path, 8, 'rld', '?1'), { status: 201, headers: { 'upload-complete': '?1' } })
  t.match(await ask(t, port, 'GET', path), { body: 'hello world' })
})

t.test('AP-4, XX-3: another offset is 409 with the right one, in headers and as a problem', async t => {
  const { port } = await startApp(t)
  const path = await begin(t, port, 'hello')
  for (const offset of [0, 4, 6, 999_999_999_999_999]) {
    const { status, headers, body } = await append(t, port, path, offset, '!', '?1')
    t.match({ status, headers }, { status: 409, headers: { 'upload-complete': '?0', 'upload-offset': '5', 'content-type': 'application/problem+json' } })
    t.match(JSON.parse(body), { type: 'https://iana.org/assignments/http-problem-types#mismatching-upload-offset', 'expected-offset': 5, 'provided-offset': offset, status: 409, title: String })
  }
  t.match((await retrieve(t, port, path)).headers, { 'upload-offset': '5', 'upload-complete': '?0' })
})

t.test('AP-4: an error handler of the application has the last word about the body, not about the headers', async t => {
  const { port } = await startApp(t)
  const other = await startApp(t, { routeOptions: { errorHandler: (error, _request, reply) => { reply.send({ mine: error.message }) } } })
  const path = await begin(t, other.port, 'hello')
  t.match(await append(t, other.port, path, 0, '!', '?1'), { status: 409, headers: { 'upload-offset': '5' }, body: '{"mine":"The upload is at byte 5: go on there"}' })
  t.match(await append(t, port, await begin(t, port, 'hello'), 0, '!', '?1'), { headers: { 'content-type': 'application/problem+json' } })
})

t.test('AP-5, ST-6, ST-8: Upload-Offset and Upload-Complete have to be there, in their form', async t => {
  const { port } = await startApp(t)
  const path = await begin(t, port, 'hello')
  for (const offset of ['5.0', '"5"', '-1', '+5', '0x5', '5, 5', '', ':NQ==:', '?1', '1000000000000000']) {
    t.equal((await ask(t, port, 'PATCH', path, { ...PARTIAL, 'upload-offset': offset, 'upload-complete': '?1' }, '!')).status, 400, `'${offset}'`)
  }
  t.equal((await ask(t, port, 'PATCH', path, { ...PARTIAL, 'upload-complete': '?1' }, '!')).status, 400, 'no offset')
  t.equal((await ask(t, port, 'PATCH', path, { ...PARTIAL, 'upload-offset': '5' }, '!')).status, 400, 'no Upload-Complete')
  t.equal((await ask(t, port, 'PATCH', path, { ...PARTIAL, 'upload-offset': '5', 'upload-complete': '1' }, '!')).status, 400)
  t.match((await retrieve(t, port, path)).headers, { 'upload-offset': '5' })
  t.match(await ask(t, port, 'PATCH', path, { ...PARTIAL, 'upload-offset': ' 5;x', 'upload-complete': '?1;y=1' }, '!'), { status: 201 }, 'parameters are nobody\'s business')
})

t.test('AP-6, AP-7, AP-8, ST-9: a PATCH with ?1 completes, with bytes or without, and is answered as the first request would have been', async t => {
  const { port } = await startApp(t)
  const whole = await ask(t, port, 'POST', '/files', { ...V8, 'upload-complete': '?1' }, 'hello')
  for (const [first, last] of [['hel', 'lo'], ['hello', ''], ['', 'hello']] as const) {
    for (const framing of [{}, { 'transfer-encoding': 'chunked' }]) {
      const path = await begin(t, port, first)
      const answer = await append(t, port, path, first.length, last, '?1', framing)
      t.match(answer, { status: whole.status, headers: { 'upload-complete': '?1', 'upload-offset': '5', location: new RegExp(`${path}$`) } })
      t.match(await ask(t, port, 'GET', path), { body: 'hello' })
    }
  }
})

t.test('AP-9, AP-15, AP-16: a PATCH with ?0 is 204, and tells the new offset', async t => {
  const { port } = await startApp(t)
  const path = await begin(t, port)
  t.match(await append(t, port, path, 0, 'hello', '?0'), { status: 204, headers: { 'upload-complete': '?0', 'upload-offset': '5' } })
})

t.test('AP-10, ST-3, ST-10: a complete upload is still told of, replays its end, and takes nothing more', async t => {
  const { port } = await startApp(t)
  const path = getPath(await ask(t, port, 'POST', '/files', { 'upload-complete': '?1' }, 'hello'))
  t.match(await retrieve(t, port, path), { status: 204, headers: { 'upload-complete': '?1', 'upload-offset': '5', 'upload-length': '5' } })
  for (const framing of [{}, { 'transfer-encoding': 'chunked' }]) t.match(await append(t, port, path, 5, '', '?1', framing), { status: 201, headers: { 'upload-complete': '?1' } })
  t.match(await append(t, port, path, 5, '!', '?1'), { status: 400, body: /inconsistent-upload-length/ })
  t.match(await append(t, port, path, 5, '!', '?0'), { status: 400, body: /TUS_ERR_UPLOAD_COMPLETE/ })
  t.match(await append(t, port, path, 5, '!', '?1', { 'transfer-encoding': 'chunked' }), { status: 413 })
  t.match(await append(t, port, path, 0, 'hello', '?1'), { status: 409, headers: { 'upload-offset': '5' } })
  t.match(await ask(t, port, 'GET', path), { status: 200, body: 'hello' }, 'and is what it was')
})

t.test('AP-11, ST-11, ST-12: lengths are taken down, and have to agree within a request and among them', async t => {
  const { port } = await startApp(t)
  const bad = { status: 400, headers: { 'upload-complete': '?0', 'content-type': 'application/problem+json' }, body: /#inconsistent-upload-length/ }
  t.match(await ask(t, port, 'POST', '/files', { 'upload-complete': '?1', 'upload-length': '6' }, 'hello'), bad)
  const path = await begin(t, port, 'hello')
  t.match(await append(t, port, path, 5, ' ', '?0', { 'upload-length': '11' }), { status: 204 })
  t.match((await retrieve(t, port, path)).headers, { 'upload-length': '11' })
  t.match(await append(t, port, path, 6, '', '?0', { 'upload-length': '12' }), bad)
  t.match(await append(t, port, path, 6, 'wor', '?1'), bad, '?1 with Content-Length says 9')
  t.match(await append(t, port, path, 6, 'world', '?1', { 'upload-length': '12' }), bad)
  t.match((await retrieve(t, port, path)).headers, { 'upload-offset': '6' }, 'nothing of all this counts')
  for (const length of ['11.0', '-11', '"11"', 'x', '']) t.match(await append(t, port, path, 6, '', '?0', { 'upload-length': length }), { status: 204 }, `'${length}' is ignored`)
  t.match(await append(t, port, path, 6, 'world', '?1', { 'upload-length': '11' }), { status: 201 })
})

t.test('ST-12: a chunked end that comes too early is refused, and the upload goes on', async t => {
  const { port } = await startApp(t)
  const path = await begin(t, port, 'hello', { 'upload-length': '11' })
  t.match(await append(t, port, path, 5, ' wor', '?1', { 'transfer-encoding': 'chunked' }), { status: 400, body: /#inconsistent-upload-length/ })
  t.match((await retrieve(t, port, path)).headers, { 'upload-offset': '9', 'upload-complete': '?0' })
  t.match(await append(t, port, path, 9, 'ld', '?1', { 'transfer-encoding': 'chunked' }), { status: 201, headers: { 'upload-complete': '?1' } })
})

t.test('ST-13: bytes up to the length make no upload complete; Upload-Complete does', async t => {
  const { app, port } = await startApp(t)
  const path = await begin(t, port, 'hello', { 'upload-length': '5' })
  t.match((await retrieve(t, port, path)).headers, { 'upload-offset': '5', 'upload-length': '5', 'upload-complete': '?0' })
  await app.tus.sweep()
  t.match((await retrieve(t, port, path)).headers, { 'upload-complete': '?0' }, 'nor does the sweep')
  t.equal((await ask(t, port, 'GET', path)).status, 204, 'nothing to download')
  t.match(await append(t, port, path, 5, '', '?1'), { status: 201, headers: { 'upload-complete': '?1' } })
})

t.test('ST-13: a client that had said ?1 and then says ?0 has not said that this is all', async t => {
  const { port } = await startApp(t)
  const client = await open(t, port, 'POST', '/files', { ...V8, 'upload-complete': '?1', 'content-length': '10' }, 'hello')
  const path = getPath((await client.receiveAny())!)
  await untilReceived(path, 5)
  client.reset()
  t.match(await append(t, port, path, 5, 'world', '?0'), { status: 204, headers: { 'upload-complete': '?0', 'upload-offset': '10' } })
  t.match((await retrieve(t, port, path)).headers, { 'upload-complete': '?0' })
  t.match(await append(t, port, path, 10, '', '?1'), { status: 201 })
})

t.test('ST-13: an upload that is full and not complete expires as any other', async t => {
  const { app, port } = await startApp(t, { expiration: { incomplete: 60, sweepInterval: null } })
  const path = await begin(t, port, 'hello', { 'upload-length': '5' })
  await until('it has expired', async () => (await app.tus.sweep()).expired === 1)
  t.equal((await retrieve(t, port, path)).status, 410)
})

t.test('AP-12, ST-5: a body that goes beyond the length is refused, and the upload is gone', async t => {
  const { app, port } = await startApp(t)
  const ended: string[] = []
  app.tus.addHook('postTerminate', async (_request, { id }) => { ended.push(id) })
  for (const framing of [{}, { 'transfer-encoding': 'chunked' }]) {
    for (const complete of ['?0', '?1'] as const) {
      // With its length, ?1 contradicts the length that is known: that request is refused, and no more.
      if (complete === '?1' && !('transfer-encoding' in framing)) continue
      const path = await begin(t, port, 'hello', { 'upload-length': '7' })
      t.match(await append(t, port, path, 5, 'world', complete, framing), { status: 413, headers: { 'upload-complete': '?0' } })
      t.equal((await retrieve(t, port, path)).status, 404)
      t.equal((await append(t, port, path, 5, '!!', '?1')).status, 404)
      t.equal((await ask(t, port, 'DELETE', path)).status, 404)
    }
  }
  t.equal(ended.length, 3)
})

t.test('CA-1, CA-3: DELETE ends an upload, whatever its state', async t => {
  const { port } = await startApp(t)
  for (const path of [await begin(t, port, 'hello'), getPath(await ask(t, port, 'POST', '/files', { 'upload-complete': '?1' }, 'hello'))]) {
    t.match(await ask(t, port, 'DELETE', path, V8), { status: 204 })
    for (const method of ['HEAD', 'DELETE']) t.equal((await ask(t, port, method, path, V8)).status, 404)
    t.equal((await append(t, port, path, 5, '', '?1')).status, 404)
  }
})

t.test('CA-2, CY-1, CY-3, CY-4: DELETE, HEAD and PATCH end the request that still sends, and its connection', async t => {
  const { port } = await startApp(t)
  const attempts = {
    HEAD: (path: string) => retrieve(t, port, path),
    GET: (path: string) => ask(t, port, 'GET', path, V8),
    PATCH: (path: string) => append(t, port, path, 8, 'rld', '?1'),
    DELETE: (path: string) => ask(t, port, 'DELETE', path)
  }
  for (const [method, attempt] of Object.entries(attempts)) {
    const path = await begin(t, port, 'hello')
    const old = await open(t, port, 'PATCH', path, { ...PARTIAL, 'upload-offset': '5', 'upload-complete': '?1', 'content-length': '6' }, ' wo')
    await untilReceived(path, 8)
    const { status, headers } = await attempt(path)
    t.ok(status < 300, `${method} ${status}`)
    if (method === 'HEAD' || method === 'GET') t.match(headers, { 'upload-offset': '8', 'upload-complete': '?0' })
    t.match(await receiveAll(old), { status: 423, headers: { 'upload-complete': '?0', connection: 'close' } })
    await old.waitForEnd()
  }
})

t.test('CY-2, OR-8: the offset that HEAD tells is taken by the next PATCH, whatever the old connection still sends', async t => {
  const { port } = await startApp(t)
  const path = await begin(t, port)
  let offset = 0
  for (let round = 0; round < 10; round++) {
    const old = await open(t, port, 'PATCH', path, { ...PARTIAL, 'upload-offset': String(offset), 'upload-complete': '?0', 'content-length': '100000' }, 'x'.repeat(100 * round))
    const told = Number((await retrieve(t, port, path)).headers['upload-offset'])
    t.ok(told >= offset, 'ST-4: it never decreases')
    await old.send('late')
    t.match(await append(t, port, path, told, 'y', '?0'), { status: 204, headers: { 'upload-offset': String(told + 1) } })
    offset = told + 1
    old.socket.destroy()
  }
})

t.test('CY-5: a holder that can not leave makes the others wait, and 423 says so at last', async t => {
  const { app, port } = await startApp(t, { lockTimeout: 100 })
  let release = () => {}
  const held = new Promise<void>(resolve => {
    app.tus.addHook('preFinish', () => new Promise<void>(_resolve => {
      release = _resolve
      resolve()
    }))
  })
  const path = await begin(t, port, 'hello')
  const done = append(t, port, path, 5, '', '?1')
  await held
  t.match(await retrieve(t, port, path), { status: 423, headers: { 'upload-complete': '?0' } })
  release()
  t.match(await done, { status: 201, headers: { 'upload-complete': '?1' } })
})
