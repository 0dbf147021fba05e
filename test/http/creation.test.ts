import t from 'tap'
import { makeApp } from '../support/app.js'
import { TUS, createUpload, encodeMetadata, getOffset, getPath, head, listFiles, patch, post } from '../support/http-tus.js'

t.test('CR-1, CR-2, CR-13, CR-14, CR-15: POST answers 201 with the URL of an upload that is at byte 0', async t => {
  const { app } = await makeApp(t)
  const { headers } = await app.inject({ method: 'OPTIONS', url: '/files' })
  t.ok(String(headers['tus-extension']).split(',').includes('creation'))
  for (const url of ['/files', '/files/', '/files?a=b']) {
    const created = await app.inject({ method: 'POST', url, headers: { ...TUS, 'upload-length': '5' } })
    t.equal(created.statusCode, 201)
    t.match(created.headers.location, /^http:\/\/localhost(:80)?\/files\/[0-9a-f]{32}$/)
    t.equal(created.body, '')
    t.match((await head(app, getPath(created))).headers, { 'upload-offset': '0', 'upload-length': '5' })
  }
})

t.test('CR-15: two uploads never have the same URL', async t => {
  const { app } = await makeApp(t)
  const urls = await Promise.all(Array.from({ length: 50 }, () => createUpload(app)))
  t.equal(new Set(urls).size, 50)
})

t.test('CR-3, CR-5, CR-11: HEAD gives Upload-Metadata back exactly as it came', async t => {
  const { app } = await makeApp(t)
  const given = [
    'filename d29ybGRfZG9taW5hdGlvbl9wbGFuLnBkZg==,is_confidential',
    'is_confidential ,filename eA==',
    'a',
    'a ',
    'a eA',
    'a eA==',
    'b Yg==, c Yw==',
    'KEY-with.signs!#$%&\'*+=;:"()/<>@[]{}|~^`? eA==',
    '__proto__ eA==,constructor eA==,toString',
    `name ${Buffer.from('Grüße 🎈').toString('base64')}`,
    'empty ,also-empty,last eA=='
  ]
  for (const metadata of given) {
    const url = await createUpload(app, { 'upload-length': '5', 'upload-metadata': metadata })
    t.equal((await head(app, url)).headers['upload-metadata'], metadata, `'${metadata}'`)
    await patch(app, url, 0, 'hello')
    t.equal((await head(app, url)).headers['upload-metadata'], metadata, 'when it is complete, too')
  }
  const without = await createUpload(app)
  t.notOk('upload-metadata' in (await head(app, without)).headers)
})

t.test('CR-3, CR-4, CR-5, CR-6: refuses Upload-Metadata that is malformed', async t => {
  const { app, directory } = await makeApp(t)
  const malformed = [
    ',', 'a,', ',a', 'a,,b', 'a  eA==', 'a eA== x', 'a e', 'a eA=', 'a eA===', 'a =', 'a e*==', 'a eA-_', 'a eA\t==',
    'a eA==,a eQ==', 'a,a', 'a,b,a eA=='
  ]
  for (const metadata of malformed) {
    t.equal((await post(app, { 'upload-length': '5', 'upload-metadata': metadata })).statusCode, 400, `'${metadata}'`)
  }
  t.same(await listFiles(directory), [])
})

t.test('CR-5: what is decoded is UTF-8', async t => {
  const { app } = await makeApp(t)
  const metadata = { filename: 'Grüße 🎈.txt', empty: '', lines: 'a\r\nb\0' }
  const url = await createUpload(app, { 'upload-length': '5', 'upload-metadata': encodeMetadata(metadata) })
  t.strictSame({ ...(await app.tus.find(url.slice('/files/'.length)))?.metadata }, metadata)
})

t.test('CR-7: line breaks that hide in a value never become a header', async t => {
  const { app } = await makeApp(t)
  const evil = 'x"\r\nSet-Cookie: stolen=1\r\n\r\n<script>'
  const url = await createUpload(app, { 'upload-length': '5', 'upload-metadata': encodeMetadata({ filename: evil, filetype: `text/plain\r\nset-cookie: a=b\r\n${evil}` }) })
  await patch(app, url, 0, 'hello')
  for (const response of [await head(app, url), await app.inject(url)]) {
    t.equal(response.statusCode, 200)
    t.notOk('set-cookie' in response.headers)
    t.notMatch(JSON.stringify(response.headers), /\\r|\\n/)
  }
})

t.test('CR-10: Upload-Metadata may be as long as maxMetadataSize, and is 400 beyond', async t => {
  const { app } = await makeApp(t)
  t.equal((await post(app, { 'upload-length': '5', 'upload-metadata': 'a'.repeat(4096) })).statusCode, 201)
  t.equal((await post(app, { 'upload-length': '5', 'upload-metadata': 'a'.repeat(4097) })).statusCode, 400)
  const { app: tight } = await makeApp(t, { maxMetadataSize: 3 })
  t.equal((await post(tight, { 'upload-length': '5', 'upload-metadata': 'abc' })).statusCode, 201)
  t.equal((await post(tight, { 'upload-length': '5', 'upload-metadata': 'abcd' })).statusCode, 400)
})

t.test('CR-8: refuses an upload that has neither a length nor the promise of one, or both', async t => {
  const { app, directory } = await makeApp(t)
  t.equal((await post(app, {})).statusCode, 400)
  t.equal((await post(app, { 'upload-length': '5', 'upload-defer-length': '1' })).statusCode, 400)
  t.same(await listFiles(directory), [])
})

t.test('CR-9: an upload of no bytes is complete at once', async t => {
  const { app } = await makeApp(t)
  const finished: string[] = []
  app.tus.addHook('postFinish', (_request, { id }) => { finished.push(id) })
  const url = await createUpload(app, { 'upload-length': '0' })
  t.match((await head(app, url)).headers, { 'upload-offset': '0', 'upload-length': '0' })
  t.match(await app.inject(url), { statusCode: 200, body: '' })
  t.equal((await patch(app, url, 0, '')).statusCode, 204)
  t.equal((await patch(app, url, 0, 'x')).statusCode, 413)
  t.strictSame(finished, [url.slice('/files/'.length)], 'the hook ran once')
})

t.test('CR-9: without hooks, too', async t => {
  const { app } = await makeApp(t)
  const url = await createUpload(app, { 'upload-length': '0' })
  t.match(await app.inject(url), { statusCode: 200, body: '', headers: { 'content-length': '0' } })
})

t.test('CR-12: answers 413 to a length above the limit, and tells the limit', async t => {
  const { app, directory } = await makeApp(t, { maxSize: 10 })
  t.equal((await post(app, { 'upload-length': '10' })).statusCode, 201)
  const before = await listFiles(directory)
  for (const length of ['11', String(Number.MAX_SAFE_INTEGER)]) {
    const response = await post(app, { 'upload-length': length })
    t.equal(response.statusCode, 413)
    t.equal(response.headers['tus-max-size'], '10')
  }
  t.same(await listFiles(directory), before)
})

t.test('CR-12: the limit may depend on the request', async t => {
  const { app } = await makeApp(t, { maxSize: ({ headers }) => headers.authorization ? null : 10 })
  t.equal((await post(app, { 'upload-length': '11' })).statusCode, 413)
  t.equal((await post(app, { 'upload-length': '11', authorization: 'me' })).statusCode, 201)
})

t.test('CR-14: generateId names the upload, from the request and the metadata', async t => {
  const { app } = await makeApp(t, { generateId: async (request, { name }) => `${String(request.headers['x-user'])}-${name}` })
  const headers = { 'upload-length': '5', 'upload-metadata': encodeMetadata({ name: 'report' }), 'x-user': 'ann' }
  t.equal(getPath(await post(app, headers)), '/files/ann-report')
  await patch(app, '/files/ann-report', 0, 'hel')
  const again = await post(app, headers)
  t.equal(again.statusCode, 409, 'a second upload of that id is refused')
  t.notOk('location' in again.headers)
  t.equal(await getOffset(app, '/files/ann-report'), '3', 'and the first is untouched')
})

t.test('CR-14: two requests that draw the same id at once make one upload', async t => {
  const { app } = await makeApp(t, { generateId: () => 'same' })
  const answers = await Promise.all(Array.from({ length: 8 }, () => post(app, { 'upload-length': '5' })))
  t.strictSame(answers.map(({ statusCode }) => statusCode).sort(), [201, 409, 409, 409, 409, 409, 409, 409])
})

t.test('CR-14: an id that can not name an upload is an error of the application, and never reaches the storage', async t => {
  for (const id of ['', '.', '..', '../x', 'a/b', 'a\\b', 'a b', 'a\0', 'x.json', 'é', 'a'.repeat(129), '.hidden', 'x.', undefined, 7]) {
    const { app, directory } = await makeApp(t, { generateId: () => id as string })
    t.equal((await post(app, { 'upload-length': '5' })).statusCode, 500, String(id))
    t.same(await listFiles(directory), [])
  }
})
