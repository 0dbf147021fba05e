import { createHash } from 'node:crypto'
import t from 'tap'
import { startApp, startRoutes } from '../support/app.js'
import { append, ask, begin, getPath, open, receiveAll, retrieve, V8 } from '../support/ietf.js'
import { sleep } from '../support/waiting.js'

const TUS = { 'tus-resumable': '1.0.0' }
const digest = (content: string) => `sha-256=:${createHash('sha256').update(content).digest('base64')}:`

t.test('LI-1, OR-3: what is too large for a structured field is never sent in one', async t => {
  const { port } = await startApp(t, { maxSize: Number.MAX_SAFE_INTEGER, maxAppendSize: Number.MAX_SAFE_INTEGER, expiration: { incomplete: Number.MAX_SAFE_INTEGER } })
  const { headers } = await ask(t, port, 'OPTIONS', '/files')
  t.equal(headers['upload-limit'], 'max-size=999999999999999, max-append-size=999999999999999, max-age=9007199254741')
  const path = getPath(await ask(t, port, 'POST', '/files', { ...TUS, 'upload-length': '9007199254740991' }))
  const told = await retrieve(t, port, path, V8)
  t.match(told, { status: 204, headers: { 'upload-offset': '0' } })
  t.notOk('upload-length' in told.headers)
  const long = await begin(t, port, '', { 'upload-length': '999999999999999' })
  t.match((await retrieve(t, port, long)).headers, { 'upload-length': '999999999999999' })
})

t.test('ST-6, ST-12: more bytes than an offset could tell are refused before one is read', async t => {
  const { port } = await startApp(t)
  const client = await open(t, port, 'POST', '/files', { ...V8, 'upload-complete': '?1', 'content-length': '1000000000000000' }, '')
  t.match(await receiveAll(client), { status: 413, interim: [] })
})

t.test('XX-4: an upload that failed its digest is named by no answer', async t => {
  const { port } = await startApp(t)
  const { status, headers } = await ask(t, port, 'POST', '/files', { 'upload-complete': '?1', 'repr-digest': digest('other') }, 'hello')
  t.equal(status, 400)
  t.notOk('location' in headers)
})

t.test('XX-4, XX-5, XX-6: what a refused append says of the whole is not said', async t => {
  const { port } = await startApp(t)
  for (const framing of [{}, { 'transfer-encoding': 'chunked' }]) {
    const path = await begin(t, port, 'he', { 'upload-length': '5' })
    const wrong = { 'content-digest': digest('other'), 'repr-digest': digest('other'), 'want-repr-digest': 'sha-512=1', ...framing }
    t.equal((await append(t, port, path, 2, 'llo', '?1', wrong)).status, 400)
    t.match(await append(t, port, path, 2, 'll', '?0', { 'content-digest': digest('ll'), 'repr-digest': digest('hello') }), { status: 204, headers: { 'upload-offset': '4' } })
    const { status, headers } = await append(t, port, path, 4, 'o', '?1')
    t.same([status, headers['repr-digest']], [201, digest('hello')])
  }
})

t.test('XX-5: a digest of no bytes counts as any other', async t => {
  const { port } = await startApp(t)
  for (const body of ['', null]) {
    t.equal((await ask(t, port, 'POST', '/files', { 'upload-complete': '?1', 'content-digest': digest('other') }, body)).status, 400)
    t.equal((await ask(t, port, 'POST', '/files', { 'upload-complete': '?1', 'content-digest': digest('') }, body)).status, 201)
  }
  t.equal((await append(t, port, await begin(t, port), 0, '', '?1', { 'content-digest': digest('other') })).status, 400)
})

t.test('XX-4, XX-5, XX-6: digests of a plain request to a route hold, too', async t => {
  let calls = 0
  const { app, port } = await startRoutes(t, app => {
    app.post('/documents', app.tus.resumable(async () => {
      calls++
      return 'fine'
    }))
  })
  for (const name of ['content-digest', 'repr-digest']) {
    for (const body of ['hello', '']) t.match(await ask(t, port, 'POST', '/documents', { [name]: digest('other') }, body), { status: 400 }, `${name} of '${body}'`)
    t.match(await ask(t, port, 'POST', '/documents', { [name]: '=' }, 'hello'), { status: 400, body: /TUS_ERR_DIGEST_INVALID/ })
  }
  t.equal(calls, 0)
  for await (const { id } of app.tus.list()) t.fail(`${id} was left`)
  t.match(await ask(t, port, 'POST', '/documents', { 'content-digest': digest('hello'), 'repr-digest': digest('hello') }, 'hello'), { status: 200, body: 'fine' })
  t.match(await ask(t, port, 'POST', '/documents', { 'want-repr-digest': 'sha-256=1' }, 'hello'), { status: 200, headers: { 'repr-digest': digest('hello') } })
})

t.test('XX-10: a name is no folder, and no control character is in it', async t => {
  const { app, port } = await startApp(t)
  for (const [disposition, filename] of [
    ['attachment; filename=".."', undefined], ['attachment; filename="a/.."', undefined], ['attachment; filename="."', undefined], ["attachment; filename*=UTF-8''%00", undefined],
    ["attachment; filename*=UTF-8''a%00b%0D%0Ac%7F.txt", 'abc.txt'], ['attachment; filename="..a"', '..a']
  ] as const) {
    const path = await begin(t, port, '', { 'content-disposition': disposition })
    t.equal((await app.tus.find(path.split('/').at(-1)!))!.metadata.filename, filename, disposition)
  }
})

t.test('without tus, a download is refused with the headers that HTTP has for it', async t => {
  const { port } = await startApp(t, { protocols: ['ietf'] })
  const path = getPath(await ask(t, port, 'POST', '/files', { 'upload-complete': '?1' }, 'hello'))
  t.match(await ask(t, port, 'GET', path, { range: 'bytes=9-' }), { status: 416, headers: { 'content-range': 'bytes */5' } })
  t.match(await ask(t, port, 'GET', '/files'), { status: 405, headers: { allow: 'OPTIONS, POST' } })
})

t.test('ST-9, XX-5: a completing request that is refused completes nothing, and runs no handler', async t => {
  let calls = 0
  const { port } = await startRoutes(t, app => { app.post('/documents', app.tus.resumable(async () => String(++calls))) })
  for (const target of ['/files', '/documents']) {
    const path = await begin(t, port, 'hello', { 'upload-length': '5' }, target)
    for (const framing of [{}, { 'transfer-encoding': 'chunked' }]) {
      t.equal((await append(t, port, path, 5, '', '?1', { 'content-digest': digest('other'), ...framing })).status, 400)
      t.match(await retrieve(t, port, path), { status: 204, headers: { 'upload-complete': '?0', 'upload-offset': '5' } })
    }
    t.equal(calls, 0)
    t.match(await append(t, port, path, 5, '', '?1', { 'content-digest': digest('') }), { headers: { 'upload-complete': '?1' } })
  }
  t.equal(calls, 1)
})

t.test('AP-12: a first body that goes beyond the length ends the upload, whatever was told of it before', async t => {
  const { port } = await startApp(t, { progressInterval: 20 })
  const client = await open(t, port, 'POST', '/files', { ...V8, 'upload-complete': '?0', 'upload-length': '400', 'transfer-encoding': 'chunked' }, '1\r\nx\r\n')
  const path = getPath((await client.receiveAny())!)
  const state = { told: false }
  const progress = client.receiveAny().finally(() => { state.told = true })
  for (let sent = 1; !state.told && sent < 400; sent++) {
    await client.send('1\r\nx\r\n')
    await sleep(30)
  }
  t.match(await progress, { status: 104, headers: { 'upload-offset': /^[1-9]/ } })
  await client.send(`190\r\n${'x'.repeat(400)}\r\n`)
  t.match(await receiveAll(client), { status: 413, headers: { 'upload-complete': '?0' } })
  t.equal((await retrieve(t, port, path)).status, 404)
})

t.test('XX-2: a body that is compressed on its way is refused, because its bytes would be counted as they are not', async t => {
  const { port } = await startRoutes(t, app => { app.post('/documents', app.tus.resumable(async () => 'fine')) })
  const path = await begin(t, port, 'hello')
  const coded = { 'transfer-encoding': 'gzip, chunked' }
  for (const answer of [await ask(t, port, 'POST', '/files', { 'upload-complete': '?1', ...coded }, 'x'), await append(t, port, path, 5, 'x', '?1', coded), await ask(t, port, 'POST', '/documents', coded, 'x')]) {
    t.equal(answer.status, 415)
  }
  t.match((await retrieve(t, port, path)).headers, { 'upload-offset': '5' })
})

t.test('version 3 knows no Upload-Length', async t => {
  const { port } = await startApp(t)
  const path = await begin(t, port, 'hello', { 'upload-length': '11' })
  const { headers } = await retrieve(t, port, path, { 'upload-draft-interop-version': '3' })
  t.match(headers, { 'upload-offset': '5', 'upload-incomplete': '?1' })
  t.notOk('upload-length' in headers)
})
