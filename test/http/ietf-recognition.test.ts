import t from 'tap'
import { listNames, startApp } from '../support/app.js'
import { append, ask, begin, getPath, PARTIAL, retrieve, V8 } from '../support/ietf.js'
import { formatHead, openRaw } from '../support/raw-socket.js'

t.test('IV-1, IV-2, CN-2, CN-3: the bytes of the connection begin with 104 and where the upload is, before a byte of the body is sent', async t => {
  const { port } = await startApp(t, { maxSize: 1000 })
  const { socket } = openRaw(t, port)
  let received = ''
  const until = (end: RegExp) => new Promise<void>(resolve => {
    const look = () => { if (end.test(received)) resolve() }
    look()
    socket.on('data', look)
  })
  socket.on('data', chunk => { received += chunk.toString('latin1') })
  socket.write(formatHead('POST', '/files', { ...V8, 'upload-complete': '?1', 'content-length': '5' }))
  await until(/\r\n\r\n/)
  t.match(received, /^HTTP\/1\.1 104 Upload Resumption Supported\r\nupload-draft-interop-version: 8\r\nlocation: http:\/\/localhost\/files\/[0-9a-f]{32}\r\nupload-limit: max-size=1000, max-age=86400\r\n\r\n$/)
  const [, location] = /location: (\S+)/.exec(received)!
  socket.write('hello')
  await until(/201 Created[^]*\r\n\r\n/)
  const final = received.slice(received.indexOf('\r\n\r\n') + 4)
  t.match(final, /^HTTP\/1\.1 201 Created\r\n/, 'nothing is between the two')
  t.match(final, `\r\nlocation: ${location}\r\n`)
})

t.test('IV-1: no 104 to a client without a version, with one that nobody knows, over HTTP/1.0, or where it is switched off', async t => {
  const { port } = await startApp(t)
  const create = { 'upload-complete': '?1' }
  for (const version of [undefined, '0', '2', '4', '7', '-9', '09', '9.0', '1e3', '9999999999', '', 'x', '8.0', '8, 8']) {
    const { status, interim } = await ask(t, port, 'POST', '/files', { ...create, ...version !== undefined && { 'upload-draft-interop-version': version } }, 'hello')
    t.equal(status, 201, `version ${version}`)
    t.same(interim, [], `version ${version}`)
  }
  const old = openRaw(t, port)
  await old.send(formatHead('POST', '/files', { ...V8, ...create, 'content-length': '5' }).replace('HTTP/1.1', 'HTTP/1.0') + 'hello')
  t.match(await old.receive(), { status: 201, interim: [] })
  const silent = await startApp(t, { interimResponses: false })
  t.match(await ask(t, silent.port, 'POST', '/files', { ...V8, ...create }, 'hello'), { status: 201, interim: [] })
})

t.test('IV-2: each version is answered with its own number, also one that is later than any known here', async t => {
  const { port } = await startApp(t)
  for (const [version, header] of [['3', { 'upload-incomplete': '?0' }], ['5', { 'upload-complete': '?1' }], ['6', { 'upload-complete': '?1' }], ['8', { 'upload-complete': '?1' }], ['9', { 'upload-complete': '?1' }], ['10', { 'upload-complete': '?1' }], ['999', { 'upload-complete': '?1' }]] as const) {
    const { interim } = await ask(t, port, 'POST', '/files', { 'upload-draft-interop-version': version, ...header }, 'hello')
    t.match(interim, [{ status: 104, headers: { 'upload-draft-interop-version': version } }])
    t.equal(interim.length, 1)
  }
})

t.test('IV-3, ST-8: only a request with a valid Upload-Complete creates', async t => {
  const { port, directory } = await startApp(t)
  for (const value of ['?1', '?0', ' ?1 ', '?1;x=y']) t.equal((await ask(t, port, 'POST', '/files', { 'upload-complete': value }, 'hello')).status, 201, value)
  const before = await listNames(directory)
  for (const value of ['1', '0', 'true', '?2', '"?1"', '?1, ?0', '', '?']) {
    const { status, body } = await ask(t, port, 'POST', '/files', { ...V8, 'upload-complete': value }, 'hello')
    t.equal(status, 400, `'${value}'`)
    t.match(JSON.parse(body), { code: 'TUS_ERR_HEADER_MISSING', status: 400 })
  }
  t.equal((await ask(t, port, 'POST', '/files', {}, 'hello')).status, 412, 'a request that says nothing is one of tus')
  t.same(await listNames(directory), before)
})

t.test('the protocols can be switched off one by one', async t => {
  const tus = await startApp(t, { protocols: ['tus'] })
  t.equal((await ask(t, tus.port, 'POST', '/files', { ...V8, 'upload-complete': '?1' }, 'hello')).status, 412)
  t.notOk('upload-limit' in (await ask(t, tus.port, 'OPTIONS', '/files')).headers)
  const ietf = await startApp(t, { protocols: ['ietf'] })
  t.equal((await ask(t, ietf.port, 'POST', '/files', { 'tus-resumable': '1.0.0', 'upload-length': '5' })).status, 400)
  const { headers } = await ask(t, ietf.port, 'OPTIONS', '/files')
  t.match(headers, { 'upload-limit': /max-age/, 'accept-patch': 'application/partial-upload' })
  t.notOk('tus-version' in headers || 'tus-resumable' in headers)
  const path = await begin(t, ietf.port, 'hello')
  t.match(await ask(t, ietf.port, 'GET', path), { status: 204, headers: { 'upload-offset': '5' } })
  await append(t, ietf.port, path, 5, '', '?1')
  t.match(await ask(t, ietf.port, 'GET', path), { status: 200, body: 'hello' })
  for (const protocols of [[], ['tus', 'http']]) await t.rejects(startApp(t, { protocols: protocols as never }), { code: 'TUS_ERR_OPTION_INVALID' })
})

t.test('a request that says nothing is of the protocol that made the upload', async t => {
  const { port } = await startApp(t)
  const path = await begin(t, port, 'hello')
  t.match(await retrieve(t, port, path, {}), { status: 204, headers: { 'upload-offset': '5' } })
  const made = await ask(t, port, 'POST', '/files', { 'tus-resumable': '1.0.0', 'upload-length': '5' })
  t.match(await retrieve(t, port, getPath(made), {}), { status: 412, headers: { 'tus-version': '1.0.0' } })
  t.equal((await ask(t, port, 'DELETE', getPath(made))).status, 412)
  t.equal((await ask(t, port, 'DELETE', path)).status, 204)
})

t.test('an upload made in one protocol goes on in the other', async t => {
  const { port } = await startApp(t)
  const TUS = { 'tus-resumable': '1.0.0' }
  const OCTETS = { ...TUS, 'content-type': 'application/offset+octet-stream' }
  const path = await begin(t, port, 'hello', { 'upload-length': '11', 'content-type': 'text/plain', 'content-disposition': 'inline; filename="a.txt"' })
  const seen = await ask(t, port, 'HEAD', path, TUS)
  t.match(seen, { status: 200, headers: { 'upload-offset': '5', 'upload-length': '11', 'upload-metadata': 'filename YS50eHQ=,filetype dGV4dC9wbGFpbg==' } })
  t.equal((await ask(t, port, 'PATCH', path, { ...OCTETS, 'upload-offset': '5' }, ' world')).status, 204)
  t.match(await retrieve(t, port, path, V8), { status: 204, headers: { 'upload-complete': '?1', 'upload-offset': '11' } })
  t.match(await ask(t, port, 'GET', path), { status: 200, body: 'hello world', headers: { 'content-type': 'text/plain' } })

  const other = getPath(await ask(t, port, 'POST', '/files', { ...TUS, 'upload-length': '11' }))
  t.match(await append(t, port, other, 0, 'hello', '?0', V8), { status: 204, headers: { 'upload-complete': '?0' } })
  t.match(await append(t, port, other, 5, ' world', '?1', V8), { status: 201, headers: { 'upload-complete': '?1' } })
  t.match(await ask(t, port, 'HEAD', other, TUS), { status: 200, headers: { 'upload-offset': '11' } })

  const part = getPath(await ask(t, port, 'POST', '/files', { ...TUS, 'upload-length': '5', 'upload-concat': 'partial' }))
  const final = getPath(await ask(t, port, 'POST', '/files', { ...TUS, 'upload-concat': `final;${part}` }))
  t.match(await retrieve(t, port, final, V8), { status: 403 }, 'what takes no bytes has no offset to go on at')
  t.equal((await append(t, port, final, 0, 'x', '?0', V8)).status, 403)
})

t.test('version 3: Upload-Incomplete says the contrary, its absence ends the upload, and a PATCH is of any type', async t => {
  const { port } = await startApp(t)
  const V3 = { 'upload-draft-interop-version': '3' }
  const made = await ask(t, port, 'POST', '/files', { ...V3, 'upload-incomplete': '?1' }, 'hello')
  t.match(made, { status: 201, headers: { 'upload-incomplete': '?1', 'upload-offset': '5' } })
  t.notOk('upload-limit' in made.headers || 'upload-complete' in made.headers)
  const path = getPath(made)
  const inspected = await retrieve(t, port, path, V3)
  t.match(inspected, { status: 204, headers: { 'upload-incomplete': '?1', 'upload-offset': '5', 'cache-control': 'no-store' } })
  t.equal((await retrieve(t, port, path, { ...V3, 'upload-offset': '5' })).status, 400)
  t.equal((await retrieve(t, port, path, { ...V3, 'upload-incomplete': '?1' })).status, 400)
  t.equal((await ask(t, port, 'DELETE', path, { ...V3, 'upload-offset': '5' })).status, 400)
  t.match(await ask(t, port, 'PATCH', path, { ...V3, 'upload-offset': '4' }, 'x'), { status: 409, headers: { 'upload-offset': '5', 'upload-incomplete': '?1' } })
  t.match(await ask(t, port, 'PATCH', path, { ...V3, 'upload-offset': '5', 'upload-incomplete': '?1' }, ' wo'), { status: 201, headers: { 'upload-offset': '8', 'upload-incomplete': '?1' } })
  t.match(await ask(t, port, 'PATCH', path, { ...V3, 'upload-offset': '8' }, 'rld'), { status: 201, headers: { 'upload-offset': '11', 'upload-incomplete': '?0' } })
  t.equal((await ask(t, port, 'DELETE', path, V3)).status, 204)
  t.equal((await retrieve(t, port, path, V3)).status, 404)
})

t.test('version 5: no media type and no limits; version 6: both, the lifetime under its old name', async t => {
  const { port } = await startApp(t)
  const V5 = { 'upload-draft-interop-version': '5' }
  const V6 = { 'upload-draft-interop-version': '6' }
  const path = await begin(t, port, 'hello', V5)
  t.match(await ask(t, port, 'PATCH', path, { ...V5, 'upload-offset': '5', 'upload-complete': '?0' }, '!'), { status: 201, headers: { 'upload-offset': '6' } })
  t.notOk('upload-limit' in (await retrieve(t, port, path, V5)).headers)
  for (const version of [V5, V6]) {
    for (const method of ['HEAD', 'DELETE']) {
      for (const header of ['upload-offset', 'upload-complete']) {
        t.equal((await ask(t, port, method, path, { ...version, [header]: header === 'upload-offset' ? '6' : '?0' })).status, 400, `${method} with ${header}`)
      }
    }
  }
  t.equal((await ask(t, port, 'PATCH', path, { ...V6, 'upload-offset': '6', 'upload-complete': '?0' }, '!')).status, 415)
  t.match((await retrieve(t, port, path, V6)).headers, { 'upload-limit': /^expires=\d+$/ })
  t.match(await append(t, port, path, 6, '!', '?1', V6), { status: 201 })
  for (const complete of ['?0', '?1'] as const) t.match(await append(t, port, path, 7, '!', complete, V6), { status: 400, body: /#completed-upload/ })
  const { status, body } = await append(t, port, path, 7, '', '?0', { ...PARTIAL, ...V8 })
  t.equal(status, 400)
  t.notMatch(body, /completed-upload/)
})

t.test('versions 5 and 6: an upload is complete at its length, because tus-js-client 4 does not always say so', async t => {
  const { port } = await startApp(t)
  for (const version of ['5', '6']) {
    const headers = { 'upload-draft-interop-version': version }
    const path = await begin(t, port, 'hello', { ...headers, 'upload-length': '11' })
    t.match((await retrieve(t, port, path)).headers, { 'upload-complete': '?0' })
    t.match(await append(t, port, path, 5, ' world', '?0', headers), { status: 201, headers: { 'upload-complete': '?1', 'upload-offset': '11' } })
    t.match(await ask(t, port, 'GET', path), { status: 200, body: 'hello world' })
    const open = await begin(t, port, 'hello', headers)
    t.match(await append(t, port, open, 5, ' world', '?0', headers), { status: 201, headers: { 'upload-complete': '?0' } })
    t.match(await append(t, port, open, 11, '', '?1', headers), { status: 201 })
  }
})
