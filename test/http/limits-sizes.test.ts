import { readFile, readdir, rm, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import t from 'tap'
import { makeApp, startApp } from '../support/app.js'
import { BYTES, TUS, createComplete, createUpload, getOffset, getPath, head, listFiles, patch, post, terminate, type Headers } from '../support/http-tus.js'
import { exchangeRaw, formatHead } from '../support/raw-socket.js'

const LONG = 'x'.repeat(200_000)

t.test('what a client sends is bounded by the plugin, even where no parser bounds the headers', async t => {
  const { app, directory } = await makeApp(t, {}, { trustProxy: true })
  const part = await createUpload(app, { 'upload-length': '0', 'upload-concat': 'partial' })
  const url = await createUpload(app)
  const before = await listFiles(directory)
  const creation: Headers = { 'upload-length': '5' }
  const refused: ReadonlyArray<readonly [what: string, method: 'POST' | 'PATCH' | 'HEAD' | 'DELETE' | 'GET', url: string, headers: Headers, status: number, code: string]> = [
    ['Upload-Metadata', 'POST', '/files', { ...creation, 'upload-metadata': `name ${'QUJD'.repeat(1023)}` }, 400, 'TUS_ERR_METADATA_TOO_LARGE'],
    ['Upload-Metadata of many keys', 'POST', '/files', { ...creation, 'upload-metadata': Array.from({ length: 2000 }, (_, index) => `k${index}`).join(',') }, 400, 'TUS_ERR_METADATA_TOO_LARGE'],
    ['Upload-Concat of 10 001 parts', 'POST', '/files', { 'upload-concat': `final;${`${part} `.repeat(10_001).trim()}` }, 400, 'TUS_ERR_CONCAT_INVALID'],
    ['Upload-Concat of one long URL', 'POST', '/files', { 'upload-concat': `final;/files/${LONG}` }, 400, 'TUS_ERR_CONCAT_PART_NOT_FOUND'],
    ['Upload-Concat that is none', 'POST', '/files', { ...creation, 'upload-concat': `final${' '.repeat(100_000)};` }, 400, 'TUS_ERR_CONCAT_INVALID'],
    ['Upload-Length', 'POST', '/files', { 'upload-length': '1'.repeat(200_000) }, 400, 'TUS_ERR_HEADER_INVALID'],
    ['Upload-Length with zeros in front', 'POST', '/files', { 'upload-length': `${'0'.repeat(200_000)}5` }, 400, 'TUS_ERR_HEADER_INVALID'],
    ['Upload-Defer-Length', 'POST', '/files', { 'upload-defer-length': '1'.repeat(200_000) }, 400, 'TUS_ERR_HEADER_INVALID'],
    ['Upload-Offset', 'PATCH', url, { ...BYTES, 'upload-offset': '0'.repeat(200_000) }, 400, 'TUS_ERR_HEADER_INVALID'],
    ['Upload-Checksum', 'PATCH', url, { ...BYTES, 'upload-offset': '0', 'upload-checksum': `sha1 ${'A'.repeat(200_000)}` }, 460, 'TUS_ERR_CHECKSUM_MISMATCH'],
    ['the algorithm of Upload-Checksum', 'PATCH', url, { ...BYTES, 'upload-offset': '0', 'upload-checksum': `${LONG} AAAA` }, 400, 'TUS_ERR_CHECKSUM_ALGORITHM'],
    ['Content-Type', 'PATCH', url, { 'content-type': `application/${LONG}`, 'upload-offset': '0' }, 415, 'TUS_ERR_CONTENT_TYPE'],
    ['Content-Encoding', 'PATCH', url, { ...BYTES, 'content-encoding': LONG, 'upload-offset': '0' }, 415, 'TUS_ERR_CONTENT_ENCODING'],
    ['X-HTTP-Method-Override', 'POST', url, { 'x-http-method-override': LONG }, 405, 'TUS_ERR_METHOD_NOT_ALLOWED'],
    ['Tus-Resumable', 'HEAD', url, { 'tus-resumable': LONG }, 412, ''],
    ['an id of 129 characters', 'PATCH', `/files/${'a'.repeat(129)}`, { ...BYTES, 'upload-offset': '0' }, 404, 'TUS_ERR_UPLOAD_NOT_FOUND'],
    ['a long id', 'DELETE', `/files/${LONG}`, {}, 404, 'TUS_ERR_UPLOAD_NOT_FOUND'],
    ['a long path', 'GET', `/files/${'a/'.repeat(50_000)}`, {}, 404, 'TUS_ERR_UPLOAD_NOT_FOUND'],
    ['a long query', 'GET', `/files/none?${'a=b&'.repeat(50_000)}`, {}, 404, 'TUS_ERR_UPLOAD_NOT_FOUND']
  ]
  for (const [what, method, path, headers, status, code] of refused) {
    const response = await app.inject({ method, url: path, headers: { ...TUS, ...headers }, ...method === 'PATCH' && { payload: 'hello' } })
    t.equal(response.statusCode, status, what)
    if (code !== '') t.equal(response.json().code, code, what)
    t.ok(response.body.length < 1000 && JSON.stringify(response.headers).length < 4000, `${what} does not come back`)
  }
  t.strictSame(await listFiles(directory), before)

  t.equal((await post(app, { 'upload-concat': `final;${`${part} `.repeat(10_000).trim()}` })).statusCode, 201, '10 000 parts are allowed')
  t.equal((await post(app, { ...creation, 'upload-metadata': `name ${'QUJD'.repeat(1022)}` })).statusCode, 201, '4096 bytes of metadata, too')
})

t.test('a Location is made of no more than a host and a prefix can be', async t => {
  const { app } = await makeApp(t, { generateId: request => String(request.id).replaceAll('-', '') }, { trustProxy: true })
  const host = `${'a'.repeat(251)}.com`
  for (const [headers, location] of [
    [{ host }, new RegExp(`^http://${host}/files/`)],
    [{ host: `a${host}` }, /^\/files\//],
    [{ 'x-forwarded-host': LONG }, /^\/files\//],
    [{ 'x-forwarded-proto': LONG }, /^\/files\//],
    [{ 'x-forwarded-for': '1.1.1.1', 'x-forwarded-prefix': `/${'a'.repeat(254)}` }, new RegExp(`^http://localhost:80/${'a'.repeat(254)}/files/`)],
    [{ 'x-forwarded-for': '1.1.1.1', 'x-forwarded-prefix': `/${'a'.repeat(255)}` }, /^http:\/\/localhost:80\/files\//],
    [{ 'x-forwarded-for': '1.1.1.1', 'x-forwarded-prefix': '/a'.repeat(50_000) }, /^http:\/\/localhost:80\/files\//],
    [{ 'x-forwarded-for': '1.1.1.1, '.repeat(1000) + '1.1.1.1' }, /^http:\/\/localhost:80\/files\//]
  ] as ReadonlyArray<readonly [Headers, RegExp]>) {
    const created = await post(app, { 'upload-length': '5', ...headers })
    t.equal(created.statusCode, 201)
    t.match(created.headers.location, location)
    t.ok(created.headers.location!.length < 600)
  }
})

t.test('what the parser bounds: heads, trailers, extensions of chunks', async t => {
  const { app, port } = await startApp(t)
  const url = await createUpload(app)
  const append = { ...TUS, ...BYTES, 'upload-offset': '0' }
  const chunked = { ...append, 'transfer-encoding': 'chunked' }
  const concat = `final;${Array.from({ length: 600 }, (_, index) => `/files/${String(index).padStart(32, '0')}`).join(' ')}`
  const cases: ReadonlyArray<readonly [what: string, bytes: string, statuses: readonly number[]]> = [
    ['Upload-Concat of 600 URLs', formatHead('POST', '/files', { ...TUS, 'upload-concat': concat }), [431]],
    ['Upload-Checksum of 20 kB', formatHead('PATCH', url, { ...append, 'upload-checksum': `sha1 ${'A'.repeat(20_000)}`, 'content-length': '5' }), [431]],
    ['Upload-Checksum of 15 kB', formatHead('PATCH', url, { ...append, 'upload-checksum': `sha1 ${'A'.repeat(15_000)}`, 'content-length': '5' }) + 'hello', [460]],
    ['X-Forwarded-For of 20 kB', formatHead('POST', '/files', { ...TUS, 'upload-length': '5', 'x-forwarded-for': '1.1.1.1,'.repeat(2500) }), [431]],
    ['a query of 20 kB', formatHead('GET', `/files/none?${'a=b&'.repeat(5000)}`, {}), [431]],
    ['many small headers', formatHead('GET', '/files/none', Object.fromEntries(Array.from({ length: 2000 }, (_, index) => [`x-${index}`, 'y'.repeat(8)]))), [431]],
    ['an extension of 20 kB', `${formatHead('PATCH', url, chunked)}1;a=${'x'.repeat(20_000)}\r\nh\r\n0\r\n\r\n`, [400, 413]],
    ['trailers of 20 kB', `${formatHead('PATCH', url, { ...chunked, trailer: 'Upload-Checksum' })}0\r\nupload-checksum: sha1 ${'A'.repeat(20_000)}\r\n\r\n`, [400, 431]],
    ['a trailing checksum of 10 kB', `${formatHead('PATCH', url, { ...chunked, trailer: 'Upload-Checksum' })}5\r\nhello\r\n0\r\nupload-checksum: sha1 ${'A'.repeat(10_000)}\r\n\r\n`, [460]]
  ]
  for (const [what, bytes, statuses] of cases) {
    const response = await exchangeRaw(t, port, bytes)
    t.ok(statuses.includes(response?.status ?? 0), `${what}: ${response?.status}`)
    t.equal(await getOffset(app, url), '0', what)
  }
})

t.test('chunks of one byte fill no memory: the upload is what was sent', async t => {
  const { app, port } = await startApp(t)
  const url = await createUpload(app, { 'upload-length': '20000' })
  const bytes = formatHead('PATCH', url, { ...TUS, ...BYTES, 'upload-offset': '0', 'transfer-encoding': 'chunked' }) + '1;a=b\r\nx\r\n'.repeat(20_000) + '0\r\n\r\n'
  t.match(await exchangeRaw(t, port, bytes, 'PATCH'), { status: 204, headers: { 'upload-offset': '20000' } })
})

t.test('ids are 128 bits of chance, each of them', async t => {
  const { app } = await makeApp(t)
  const ids: string[] = []
  for (let count = 0; count < 1000; count++) ids.push(getPath(await post(app, { 'upload-length': '5' })).slice('/files/'.length))
  t.equal(new Set(ids).size, ids.length)
  t.ok(ids.every(id => /^[0-9a-f]{32}$/.test(id)))
  const numbers = ids.map(id => BigInt(`0x${id}`))
  for (let bit = 0n; bit < 128n; bit++) {
    const set = numbers.filter(number => (number >> bit & 1n) === 1n).length
    // 500 are expected, with a deviation of 16: chance goes beyond 7 deviations once in a billion runs.
    t.ok(Math.abs(set - 500) < 115, `bit ${bit} is set ${set} times`)
    const alike = numbers.filter((number, index) => index > 0 && (number >> bit & 1n) === (numbers[index - 1]! >> bit & 1n)).length
    t.ok(Math.abs(alike - 499.5) < 115, `and like the one before ${alike} times`)
  }
})

t.test('no name or secret is made by Math.random', async t => {
  for (const folder of ['lib', 'adapters']) {
    for (const name of await readdir(folder, { recursive: true })) {
      if (!name.endsWith('.ts')) continue
      const lines = (await readFile(join(folder, name), 'utf8')).split('\n').filter(line => line.includes('Math.random'))
      // How long to wait is no secret.
      t.strictSame(lines.filter(line => !/setTimeout\(.*Math\.random\(\)/.test(line)), [], name)
    }
  }
})

t.test('a storage that fails shows nothing of itself', async t => {
  const { app, directory } = await makeApp(t)
  const complete = await createComplete(app, 'hello')
  // A record that nobody can read: every access to it fails.
  await writeFile(join(directory, 'broken.json'), '{"version":1,"marked":false,"hold":null,"finished":false,"processed":false,"upload":{"id":"broken"}\n')
  const answers = [
    await head(app, '/files/broken'), await patch(app, '/files/broken', 0, 'hello'), await terminate(app, '/files/broken'), await app.inject('/files/broken'),
    await post(app, { 'upload-concat': 'final;/files/broken' })
  ]
  await rm(directory, { recursive: true })
  answers.push(await post(app, { 'upload-length': '5' }), await app.inject(complete))
  t.same(answers.map(({ statusCode }) => statusCode), [423, 500, 500, 500, 500, 503, 503])
  for (const { statusCode, headers, body } of answers) {
    t.ok(statusCode >= 400)
    t.notMatch(JSON.stringify(headers) + body, new RegExp(`${directory}|EISDIR|ENOENT|ENOTDIR|\\.json|node_modules|\\bat .*:\\d`), body)
  }
})
