import { createHash } from 'node:crypto'
import t from 'tap'
import { createMemoryStorage } from '../../adapters/memory/index.js'
import { makeApp, startApp } from '../support/app.js'
import { BYTES, TUS, createUpload, getOffset, head, listFiles, patch, post } from '../support/http-tus.js'
import { exchangeRaw, formatChunk, formatHead, openRaw } from '../support/raw-socket.js'

const DEFER = { 'upload-defer-length': '1' }

t.test('CD-1, CD-3, CD-4: HEAD says that the length follows, until it is known', async t => {
  const { app } = await makeApp(t)
  const { headers } = await app.inject({ method: 'OPTIONS', url: '/files' })
  t.ok(String(headers['tus-extension']).split(',').includes('creation-defer-length'))

  const url = await createUpload(app, DEFER)
  for (const offset of [0, 3]) {
    const { headers } = await head(app, url)
    t.match(headers, { 'upload-defer-length': '1', 'upload-offset': String(offset) })
    t.notOk('upload-length' in headers)
    await patch(app, url, offset, 'hel')
  }
  await patch(app, url, 6, 'p', { 'upload-length': '9' })
  const known = await head(app, url)
  t.match(known.headers, { 'upload-length': '9', 'upload-offset': '7' })
  t.notOk('upload-defer-length' in known.headers)

  const usual = await head(app, await createUpload(app))
  t.notOk('upload-defer-length' in usual.headers)
})

t.test('CD-2: refuses any other value than 1', async t => {
  const { app, directory } = await makeApp(t)
  for (const value of ['0', '2', '', 'true', '01', '1.0', '+1', '-1', '1, 1']) {
    t.equal((await post(app, { 'upload-defer-length': value })).statusCode, 400, `'${value}'`)
    t.equal((await post(app, { 'upload-length': '5', 'upload-defer-length': value })).statusCode, 400, `'${value}' beside a length`)
  }
  t.same(await listFiles(directory), [])
})

t.test('CD-5: the length may come with the first bytes, the last bytes, or none', async t => {
  const { app } = await makeApp(t)
  const first = await createUpload(app, DEFER)
  t.equal((await patch(app, first, 0, 'hel', { 'upload-length': '5' })).statusCode, 204)
  t.equal((await patch(app, first, 3, 'lo')).headers['upload-offset'], '5')

  const last = await createUpload(app, DEFER)
  await patch(app, last, 0, 'hel')
  t.equal((await patch(app, last, 3, 'lo', { 'upload-length': '5' })).headers['upload-offset'], '5')

  const none = await createUpload(app, DEFER)
  await patch(app, none, 0, 'hello')
  t.equal((await app.inject(none)).statusCode, 404, 'not complete before the length is known')
  t.equal((await patch(app, none, 5, '', { 'upload-length': '5' })).statusCode, 204)
  for (const url of [first, last, none]) t.equal((await app.inject(url)).body, 'hello')

  const empty = await createUpload(app, DEFER)
  t.equal((await patch(app, empty, 0, '', { 'upload-length': '0' })).statusCode, 204)
  t.match(await app.inject(empty), { statusCode: 200, body: '' })
})

t.test('CD-6: the length, once set, stays: another is 400, the same is accepted', async t => {
  const { app } = await makeApp(t)
  for (const headers of [{ 'upload-length': '5' }, DEFER]) {
    const url = await createUpload(app, headers)
    t.equal((await patch(app, url, 0, 'h', { 'upload-length': '5' })).statusCode, 204)
    for (const length of ['4', '6', '0']) t.equal((await patch(app, url, 1, 'e', { 'upload-length': length })).statusCode, 400, length)
    t.match((await head(app, url)).headers, { 'upload-length': '5', 'upload-offset': '1' })
    t.equal((await patch(app, url, 1, 'ello', { 'upload-length': '5' })).statusCode, 204)
    t.equal((await app.inject(url)).body, 'hello')
  }
})

t.test('CD-7: refuses a length below what has arrived, and one that is no number', async t => {
  const { app } = await makeApp(t)
  const url = await createUpload(app, DEFER)
  await patch(app, url, 0, 'hello')
  for (const length of ['4', '0', '-1', 'x', '', '5.5', '9007199254740992']) {
    t.equal((await patch(app, url, 5, '', { 'upload-length': length })).statusCode, 400, `'${length}'`)
  }
  const { headers } = await head(app, url)
  t.match(headers, { 'upload-offset': '5', 'upload-defer-length': '1' })
})

t.test('CD-6, CD-8: a PATCH that is refused sets no length', async t => {
  const { app } = await makeApp(t)
  const url = await createUpload(app, DEFER)
  t.equal((await patch(app, url, 1, 'x', { 'upload-length': '5' })).statusCode, 409)
  t.equal((await patch(app, url, 0, 'too long', { 'upload-length': '5' })).statusCode, 413)
  t.equal((await patch(app, url, 0, 'x', { 'upload-length': '5', 'content-type': 'text/plain' })).statusCode, 415)
  t.match((await head(app, url)).headers, { 'upload-offset': '0', 'upload-defer-length': '1' })
})

t.test('CD-6: a PATCH whose body turns out to be wrong sets no length', async t => {
  for (const storage of ['filesystem', 'memory']) {
    const { app, port } = await startApp(t, storage === 'memory' ? { storage: createMemoryStorage() } : {})
    const url = await createUpload(app, DEFER)
    await patch(app, url, 0, 'he')
    const wrong = 'sha1 ' + createHash('sha1').update('other').digest('base64')
    t.equal((await patch(app, url, 2, 'llo', { 'upload-length': '5', 'upload-checksum': wrong })).statusCode, 460)
    const chunked = formatHead('PATCH', url, { ...TUS, ...BYTES, 'upload-offset': '2', 'upload-length': '5', 'transfer-encoding': 'chunked' }) + formatChunk('too long') + formatChunk('')
    t.match(await exchangeRaw(t, port, chunked), { status: 413 })
    t.match((await head(app, url)).headers, { 'upload-offset': '2', 'upload-defer-length': '1' })
    t.equal((await patch(app, url, 2, 'l', { 'upload-length': '3' })).statusCode, 204, 'another length can be said')
    t.equal((await app.inject(url)).body, 'hel')
  }
})

t.test('CD-6: bytes that arrived before their connection broke bring their length along', async t => {
  const { app, port } = await startApp(t)
  const url = await createUpload(app, DEFER)
  const client = openRaw(t, port)
  await client.send(formatHead('PATCH', url, { ...TUS, ...BYTES, 'upload-offset': '0', 'upload-length': '5', 'content-length': '5' }) + 'hel')
  client.finish()
  await client.waitForEnd()
  t.match((await head(app, url)).headers, { 'upload-offset': '3', 'upload-length': '5' })
})

t.test('CD-6: a refused body that says that nothing is to follow does not complete the upload', async t => {
  const { app, port } = await startApp(t)
  const checksum = `sha1 ${createHash('sha1').update('other').digest('base64')}`
  for (const [status, headers, body] of [
    [413, { 'transfer-encoding': 'chunked' }, formatChunk('x') + formatChunk('')],
    [460, { 'content-length': '0', 'upload-checksum': checksum }, '']
  ] as const) {
    const url = await createUpload(app, DEFER)
    await patch(app, url, 0, 'hel')
    const request = formatHead('PATCH', url, { ...TUS, ...BYTES, 'upload-offset': '3', 'upload-length': '3', ...headers }) + body
    t.match(await exchangeRaw(t, port, request), { status })
    t.match((await head(app, url)).headers, { 'upload-offset': '3', 'upload-defer-length': '1' })
    t.equal((await patch(app, url, 3, '', { 'upload-length': '3' })).statusCode, 204)
    t.equal((await app.inject(url)).body, 'hel')
  }
})

t.test('CD-8: maxSize holds for a length that comes late, and for the bytes before it', async t => {
  const { app, port } = await startApp(t, { maxSize: 10 })
  const url = await createUpload(app, DEFER)
  await patch(app, url, 0, 'hello')

  const late = await patch(app, url, 5, '', { 'upload-length': '11' })
  t.equal(late.statusCode, 413)
  t.equal(late.headers['tus-max-size'], '10')
  t.equal((await patch(app, url, 5, '6bytes')).statusCode, 413, 'announced by Content-Length')
  const chunked = formatHead('PATCH', url, { ...TUS, ...BYTES, 'upload-offset': '5', 'transfer-encoding': 'chunked' }) + formatChunk('6bytes') + formatChunk('')
  t.match(await exchangeRaw(t, port, chunked), { status: 413 }, 'counted while it streams')
  t.equal(await getOffset(app, url), '5')
  t.equal((await patch(app, url, 5, 'world')).statusCode, 204, 'exactly as much as may be')
  t.equal((await patch(app, url, 10, '', { 'upload-length': '10' })).statusCode, 204)
  t.equal((await app.inject(url)).body, 'helloworld')
})

t.test('CD-9: is refused and not announced where it is switched off', async t => {
  const { app, directory } = await makeApp(t, { extensions: ['creation'] })
  t.equal((await app.inject({ method: 'OPTIONS', url: '/files' })).headers['tus-extension'], 'creation')
  t.equal((await post(app, DEFER)).statusCode, 400)
  t.same(await listFiles(directory), [])
})
