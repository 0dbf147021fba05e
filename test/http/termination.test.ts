import t from 'tap'
import { makeApp } from '../support/app.js'
import { BYTES, TUS, createComplete, createUpload, head, listFiles, patch, post, terminate } from '../support/http-tus.js'

t.test('TE-1: is announced, and 405 where it is switched off', async t => {
  const { app } = await makeApp(t)
  t.ok(String((await app.inject({ method: 'OPTIONS', url: '/files' })).headers['tus-extension']).split(',').includes('termination'))

  const off = await makeApp(t, { extensions: ['creation'] })
  const url = await createUpload(off.app)
  const refused = await terminate(off.app, url)
  t.equal(refused.statusCode, 405)
  t.notMatch(refused.headers.allow, /DELETE/)
  t.equal((await head(off.app, url)).statusCode, 200)
})

t.test('TE-2, TE-3, TE-5: removes an upload, whatever its state, and leaves nothing behind', async t => {
  const { app, directory } = await makeApp(t)
  const begun = await createUpload(app)
  await patch(app, begun, 0, 'hel')
  const uploads = [
    await createUpload(app), begun, await createComplete(app, 'hello'),
    await createUpload(app, { 'upload-length': '0' }), await createUpload(app, { 'upload-defer-length': '1' })
  ]
  for (const url of uploads) {
    const response = await terminate(app, url)
    t.equal(response.statusCode, 204)
    t.equal(response.body, '')
  }
  t.same(await listFiles(directory), [])
})

t.test('TE-4: every later request is 404', async t => {
  const { app } = await makeApp(t)
  const url = await createComplete(app, 'hello')
  await terminate(app, url)
  t.equal((await head(app, url)).statusCode, 404)
  t.equal((await patch(app, url, 5, 'x')).statusCode, 404)
  t.equal((await app.inject(url)).statusCode, 404)
  t.equal((await terminate(app, url)).statusCode, 404)
  t.equal((await head(app, url)).headers['upload-offset'], undefined)
})

t.test('TE-2, TE-4: one of many DELETEs at once succeeds', async t => {
  const { app } = await makeApp(t)
  const url = await createUpload(app)
  const answers = await Promise.all(Array.from({ length: 5 }, () => terminate(app, url)))
  t.strictSame(answers.map(({ statusCode }) => statusCode).sort(), [204, 404, 404, 404, 404])
})

t.test('TE-5: removes no other upload', async t => {
  const { app } = await makeApp(t, { generateId: ({ headers }) => String(headers['x-id']) })
  for (const id of ['a', 'ab', 'a.b', 'a-b']) await post(app, { ...BYTES, 'upload-length': '5', 'x-id': id }, 'hello')
  await terminate(app, '/files/a')
  for (const id of ['ab', 'a.b', 'a-b']) t.equal((await app.inject(`/files/${id}`)).body, 'hello', id)
})

t.test('TE-3: a new upload may take the id of a removed one', async t => {
  const { app } = await makeApp(t, { generateId: () => 'one' })
  await post(app, { ...BYTES, 'upload-length': '5' }, 'hello')
  const { etag } = (await app.inject('/files/one')).headers
  await terminate(app, '/files/one')
  await post(app, { ...BYTES, 'upload-length': '5' }, 'HELLO')
  const again = await app.inject({ url: '/files/one', headers: { 'if-none-match': String(etag) } })
  t.match(again, { statusCode: 200, body: 'HELLO' }, 'and is another representation')
})

t.test('TE-3: a download that runs ends with all its bytes', async t => {
  const { app } = await makeApp(t)
  const content = Buffer.alloc(2_000_000, 'x')
  const url = await createComplete(app, content)
  const stream = app.tus.createReadStream(url.slice('/files/'.length))
  const iterator = stream[Symbol.asyncIterator]()
  const first = (await iterator.next()).value as Buffer
  t.equal((await app.inject({ method: 'DELETE', url, headers: TUS })).statusCode, 204)
  let size = first.length
  for await (const chunk of iterator) size += (chunk as Buffer).length
  t.equal(size, content.length)
})
