import type { InjectOptions } from 'fastify'
import { writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import t from 'tap'
import { startApp, type TestApp } from '../support/app.js'
import { BYTES, TUS, createComplete, createUpload, head, listFiles, patch, type Headers } from '../support/http-tus.js'
import { exchangeRaw, formatHead } from '../support/raw-socket.js'

/** What may never happen: a 5xx, a change of anything that is stored, a crash. */
interface Case {
  readonly name: string
  readonly method: NonNullable<InjectOptions['method']>
  readonly url: string
  readonly headers: Headers
  readonly payload?: string
  /** The status that it must have; without it, any 4xx. */
  readonly status?: number | 'no error'
}

interface RawCase {
  readonly name: string
  readonly bytes: string
  /** `closed`: it may also be no answer at all. */
  readonly status?: number | 'closed' | 'no error'
}

/** An upload at byte 3 of 5, a complete one, and a file that no request may reach. */
async function startVictim (t: Parameters<typeof startApp>[0]) {
  const server = await startApp(t, { maxSize: 1_000_000, maxMetadataSize: 200 })
  const begun = await createUpload(server.app, { 'upload-length': '5', 'upload-metadata': 'name eA==' })
  await patch(server.app, begun, 0, 'hel')
  const deferred = await createUpload(server.app, { 'upload-defer-length': '1' })
  const complete = await createComplete(server.app, 'hello')
  await writeFile(join(server.directory, 'secret.txt'), SECRET)
  return { ...server, begun, deferred, complete }
}

async function observe ({ app, directory, begun }: TestApp & { begun: string }) {
  const { headers: { date, ...headers }, statusCode } = await head(app, begun)
  return { statusCode, headers, files: await listFiles(directory) }
}

const SECRET = 'nobody may read this'

const NO_INTEGERS = [
  '', '-1', '-0', '+3', '3.0', '3.', '.3', '0x3', '3e0', '1e3', 'NaN', 'Infinity', 'null', 'three', '3 3', '3,3', '3, 3', '3;3', '3\t3', '٣', '３',
  '"3"', '3n', '1_0', '9007199254740992', '18446744073709551616', '9'.repeat(40), '0'.repeat(21), '3\u00a0', '[3]', '__proto__'
]
const WRONG_VERSIONS = ['', '1', '1.0', '1.0.1', '0.2.2', '2.0.0', 'v1.0.0', '1.0.0 ', '1.0.0,1.0.0', '1.0.0, 0.2.2', ' ', '*', '1.0.0\u00a0']
const WRONG_METHODS = ['', 'FOO', 'PUT', 'TRACE', 'CONNECT', 'PATCH, HEAD', 'PATCH\tHEAD', '*', 'constructor', '__proto__', 'hasOwnProperty', 'a'.repeat(5000)]
const WRONG_TYPES = ['text/plain', 'application/json', 'application/octet-stream', 'application/x-www-form-urlencoded', 'multipart/form-data; boundary=x', 'nonsense', '/', ';', 'application/offset+octet-stream-x', 'application/offset octet-stream', '*/*', 'application/offset+octet-stream, text/plain']
const WRONG_METADATA = [
  ',', ',,', 'a,', ',a', 'a,,b', 'a, ,b', 'a b c', 'a  eA==', 'a =', 'a ==', 'a e', 'a eA=', 'a eA===', 'a e=A=', 'a eA==x', 'a -_-_', 'a %20', 'a "eA=="', 'a,a', 'a eA==,a eA==',
  'a eA==;b eA==', 'a e\u00ffA=', 'a '.repeat(50), 'a'.repeat(201), 'key dmFs\u0001'.replace('\u0001', '!'), 'a eA== ,b e', '\u00a0', 'a eA==,\u00a0'
]
const WRONG_IDS = [
  '', '.', '..', '...', '%2e', '%2e%2e', '%2e%2e%2f', '..%2f..%2f..%2fetc%2fpasswd', '%2e%2e%2f%2e%2e%2fetc%2fpasswd', '..%5c..%5cwindows', '%00', 'a%00', 'a%00.txt', '%0d%0aset-cookie:x=y',
  '%252e%252e%252f', '%c0%ae%c0%ae/', '%ff', '%zz', '%', '%2', 'a/b', 'a//b', '/', '//', 'a%2fb', 'a%5cb', 'a b'.replace(' ', '%20'), '~', '*', '$(id)', '%7e', 'ü', '%c3%bc', '%f0%9f%8e%88',
  'a'.repeat(129), 'a'.repeat(5000), '.hidden', 'x.', 'con:', 'x.json', 'x.JSON', 'x.lock', 'x.tmp', 'x.info', 'x.pending', 'secret.txt', 'secret.txt%00', '__proto__', 'constructor', 'undefined', 'null', '0', '-', '_',
  ';', 'a;b', 'a?', '%3f', '%23', 'a%0a'
]
const WRONG_RANGES = ['', 'bytes', 'bytes=', 'bytes=-', 'bytes=--1', 'bytes=a-b', 'bytes=1-0', 'bytes=0-1-2', 'bytes=0-1,', 'bytes=9999-', 'bytes=-0', 'bytes=1e3-', 'bytes=0x0-1', 'items=0-1', 'bytes 0-1', `bytes=${'0-0,'.repeat(500)}0-0`]

function makeCases ({ begun, deferred, complete }: Record<'begun' | 'deferred' | 'complete', string>): Case[] {
  const append = { ...TUS, ...BYTES, 'upload-offset': '3' }
  const cases: Case[] = []
  const add = (name: string, method: Case['method'], url: string, headers: Headers, more: Pick<Case, 'payload' | 'status'> = {}) => {
    cases.push({ name: `${method} ${name}`, method, url, headers, ...more })
  }

  for (const version of WRONG_VERSIONS) {
    for (const method of ['HEAD', 'PATCH', 'DELETE'] as const) add(`Tus-Resumable '${version}'`, method, begun, { ...append, 'tus-resumable': version }, { status: 412 })
    add(`Tus-Resumable '${version}'`, 'POST', '/files', { 'upload-length': '5', 'tus-resumable': version }, { status: 412 })
  }
  for (const override of WRONG_METHODS) {
    for (const method of ['PATCH', 'DELETE', 'POST'] as const) add(`override '${override.slice(0, 20)}'`, method, begun, { ...append, 'x-http-method-override': override }, { status: 405 })
    for (const method of ['GET', 'HEAD', 'OPTIONS'] as const) add(`override '${override.slice(0, 20)}'`, method, begun, { ...append, 'x-http-method-override': override }, { status: 400 })
    add(`override '${override.slice(0, 20)}'`, 'POST', '/files', { ...TUS, 'upload-length': '5', 'x-http-method-override': override }, { status: 405 })
  }
  for (const value of NO_INTEGERS) {
    add(`Upload-Offset '${value}'`, 'PATCH', begun, { ...append, 'upload-offset': value }, { payload: 'lo', status: 400 })
    add(`Upload-Length '${value}'`, 'PATCH', begun, { ...append, 'upload-length': value }, { payload: 'lo', status: 400 })
    add(`Upload-Length '${value}', deferred`, 'PATCH', deferred, { ...append, 'upload-offset': '0', 'upload-length': value }, { payload: 'lo', status: 400 })
    add(`Upload-Length '${value}'`, 'POST', '/files', { ...TUS, 'upload-length': value }, { status: 400 })
    if (value !== '1') add(`Upload-Defer-Length '${value}'`, 'POST', '/files', { ...TUS, 'upload-defer-length': value }, { status: 400 })
  }
  for (const offset of ['0', '1', '2', '4', '5', '6', '9007199254740991']) add(`Upload-Offset ${offset}`, 'PATCH', begun, { ...append, 'upload-offset': offset }, { payload: 'lo', status: 409 })
  for (const length of ['0', '2', '3', '4', '6', '9007199254740991']) add(`Upload-Length ${length}`, 'PATCH', begun, { ...append, 'upload-length': length }, { payload: 'lo', status: 400 })
  for (const type of WRONG_TYPES) {
    add(`Content-Type '${type}'`, 'PATCH', begun, { ...append, 'content-type': type }, { payload: 'lo', status: 415 })
    add(`Content-Type '${type}'`, 'POST', '/files', { ...TUS, 'upload-length': '5', 'content-type': type }, { payload: 'lo', status: 415 })
  }
  for (const coding of ['gzip', 'br', 'deflate', 'identity, gzip', 'nonsense', '']) add(`Content-Encoding '${coding}'`, 'PATCH', begun, { ...append, 'content-encoding': coding }, { payload: 'lo', status: 415 })
  for (const metadata of WRONG_METADATA) add(`Upload-Metadata '${metadata.slice(0, 30)}'`, 'POST', '/files', { ...TUS, 'upload-length': '5', 'upload-metadata': metadata }, { status: 400 })
  for (const id of WRONG_IDS) {
    for (const method of ['HEAD', 'PATCH', 'DELETE', 'GET'] as const) add(`id '${id.slice(0, 40)}'`, method, `/files/${id}`, append, { ...method === 'PATCH' && { payload: 'lo' } })
  }
  for (const range of WRONG_RANGES) {
    add(`Range '${range.slice(0, 30)}'`, 'GET', complete, { range }, { status: 'no error' })
    add(`Range '${range.slice(0, 30)}'`, 'GET', begun, { range }, { status: 404 })
    add(`If-Range '${range.slice(0, 30)}'`, 'GET', complete, { range: 'bytes=0-1', 'if-range': range }, { status: 'no error' })
    add(`If-None-Match '${range.slice(0, 30)}'`, 'GET', complete, { 'if-none-match': range, 'if-modified-since': range, 'if-unmodified-since': range }, { status: 'no error' })
    add(`If-Match '${range.slice(0, 30)}'`, 'GET', complete, { 'if-match': range }, { status: 412 })
  }
  add('too long a body', 'PATCH', begun, append, { payload: 'lo!', status: 413 })
  add('a body for a complete upload', 'PATCH', complete, { ...append, 'upload-offset': '5' }, { payload: '!', status: 413 })
  add('a length above the limit', 'POST', '/files', { ...TUS, 'upload-length': '1000001' }, { status: 413 })
  add('a late length above the limit', 'PATCH', deferred, { ...append, 'upload-offset': '0', 'upload-length': '1000001' }, { payload: '', status: 413 })
  add('no offset', 'PATCH', begun, { ...TUS, ...BYTES }, { payload: 'lo', status: 400 })
  add('no length', 'POST', '/files', TUS, { status: 400 })
  add('a length and the promise of one', 'POST', '/files', { ...TUS, 'upload-length': '5', 'upload-defer-length': '1' }, { status: 400 })
  for (const method of ['PUT', 'TRACE', 'POST', 'QUERY'] as const) add('to an upload', method as Case['method'], begun, append)
  for (const method of ['PUT', 'TRACE', 'PATCH', 'DELETE', 'GET', 'HEAD'] as const) add('to the collection', method as Case['method'], '/files', append)
  for (const url of ['/files', begun, '/files/%zz', '/files/..%2f..']) add(`${url.length > 20 ? 'an upload' : url} with nonsense`, 'OPTIONS', url, { 'tus-resumable': 'x', 'upload-offset': 'x', origin: '<>', 'content-length': '0' }, { status: 'no error' })
  return cases
}

t.test('malformed requests are refused, and change nothing', async t => {
  const victim = await startVictim(t)
  const before = await observe(victim)
  const cases = makeCases(victim)
  t.ok(cases.length >= 300, `${cases.length} cases`)
  for (const { name, method, url, headers, payload, status } of cases) {
    const response = await victim.app.inject({ method, url, headers, ...payload !== undefined && { payload } })
    const { statusCode } = response
    if (status === 'no error') t.ok(statusCode < 500, `${name}: ${statusCode}`)
    else if (status !== undefined) t.equal(statusCode, status, name)
    else t.ok(statusCode >= 400 && statusCode < 500, `${name}: ${statusCode}`)
    t.notMatch(response.body, SECRET)
    t.notOk('set-cookie' in response.headers)
    t.same(await observe(victim), before)
  }
})

function makeRawCases ({ begun }: { begun: string }): RawCase[] {
  const append = { ...TUS, ...BYTES, 'upload-offset': '3' }
  const tus = 'Host: a\r\nTus-Resumable: 1.0.0\r\n'
  const chunked = formatHead('PATCH', begun, { ...append, 'transfer-encoding': 'chunked' })
  const withBody = (headers: Record<string, string | string[]>, body = 'lo') => formatHead('PATCH', begun, { ...append, 'content-length': '2', ...headers }) + body
  const head = (path: string, more = '') => `HEAD ${path} HTTP/1.1\r\n${tus}${more}\r\n`
  const cases: Array<[name: string, bytes: string, status?: RawCase['status']]> = [
    ['Upload-Offset twice', withBody({ 'upload-offset': ['3', '3'] }), 400],
    ['Upload-Offset twice, differing', withBody({ 'upload-offset': ['3', '0'] }), 400],
    ['Upload-Length twice', formatHead('POST', '/files', { ...TUS, 'upload-length': ['5', '5'] }), 400],
    ['Upload-Defer-Length twice', formatHead('POST', '/files', { ...TUS, 'upload-defer-length': ['1', '1'] }), 400],
    ['Upload-Metadata twice, with the same key', formatHead('POST', '/files', { ...TUS, 'upload-length': '5', 'upload-metadata': ['a eA==', 'a eA=='] }), 400],
    ['Tus-Resumable twice', withBody({ 'tus-resumable': ['1.0.0', '1.0.0'] }), 412],
    ['X-HTTP-Method-Override twice', withBody({ 'x-http-method-override': ['HEAD', 'PATCH'] }), 405],
    ['Content-Length twice', withBody({ 'content-length': ['2', '2'] }), 400],
    ['Content-Length twice, differing', withBody({ 'content-length': ['2', '0'] }), 400],
    ['Content-Length and Transfer-Encoding', withBody({ 'transfer-encoding': 'chunked' }, '2\r\nlo\r\n0\r\n\r\n'), 400],
    ['Content-Length negative', withBody({ 'content-length': '-2' }), 400],
    ['Content-Length with a sign', withBody({ 'content-length': '+2' }), 400],
    ['Content-Length in hexadecimal', withBody({ 'content-length': '0x2' }), 400],
    ['Content-Length as a list', withBody({ 'content-length': '2, 2' }), 400],
    ['Content-Length beyond 64 bits', withBody({ 'content-length': '99999999999999999999999' }), 400],
    ['Content-Length of 2^63', withBody({ 'content-length': '9223372036854775808' }), 413],
    ['Transfer-Encoding unknown', withBody({ 'content-length': [], 'transfer-encoding': 'nonsense' }), 400],
    ['Transfer-Encoding not ending in chunked', withBody({ 'content-length': [], 'transfer-encoding': 'chunked, gzip' }), 400],
    ['Transfer-Encoding identity', withBody({ 'content-length': [], 'transfer-encoding': 'identity' }), 400],
    ['Transfer-Encoding with another coding inside', withBody({ 'content-length': [], 'transfer-encoding': 'gzip, chunked' }, '2\r\nlo\r\n0\r\n\r\n'), 415],
    ['Transfer-Encoding with a vertical tab', withBody({ 'content-length': [], 'transfer-encoding': '\x0bchunked' }, '2\r\nlo\r\n0\r\n\r\n'), 400],
    ['a chunk size that is none', `${chunked}zz\r\nlo\r\n0\r\n\r\n`],
    ['a chunk size below zero', `${chunked}-2\r\nlo\r\n0\r\n\r\n`],
    ['a chunk size beyond 64 bits', `${chunked}fffffffffffffffff\r\nlo`],
    ['a chunk extension of 20 kB', `${chunked}2;${'x'.repeat(20_000)}\r\nlo\r\n0\r\n\r\n`],
    ['a chunk size and nothing', `${chunked}\r\n\r\n`],
    ['a chunked body that is too long', `${chunked}3\r\nlo!\r\n0\r\n\r\n`, 413],
    ['trailers of 20 kB', `${formatHead('PATCH', begun, { ...append, 'upload-offset': '0', 'transfer-encoding': 'chunked' })}0\r\nx: ${'x'.repeat(20_000)}\r\n\r\n`],
    ['no Host', `HEAD ${begun} HTTP/1.1\r\nTus-Resumable: 1.0.0\r\n\r\n`, 400],
    ['Host twice', formatHead('GET', '/files/none', { host: ['a', 'b'] }), 'no error'],
    ['a header of 20 kB', head(begun, `X: ${'x'.repeat(20_000)}\r\n`), 431],
    ['Upload-Metadata of 20 kB', formatHead('POST', '/files', { ...TUS, 'upload-length': '5', 'upload-metadata': 'a'.repeat(20_000) }), 431],
    ['3000 headers', head('/files/none', Array.from({ length: 3000 }, (_, at) => `x${at}: y\r\n`).join(''))],
    ['a NUL in a header', head(begun, 'X: a\0b\r\n'), 400],
    ['a NUL in the metadata', formatHead('POST', '/files', { ...TUS, 'upload-length': '5', 'upload-metadata': 'a e\0==' }), 400],
    ['a control character in a header', head(begun, 'X: a\x01b\r\n'), 400],
    ['a bare CR in a header', head(begun, 'X: a\rb\r\n'), 400],
    ['a bare LF in the metadata', formatHead('POST', '/files', { ...TUS, 'upload-metadata': 'a eA==\nUpload-Length: x' }), 400],
    ['a header without a colon', head(begun, 'nonsense\r\n'), 400],
    // The parser of Node 20.19 lets the next two pass, and what comes of them must be harmless.
    ['a header without a name', head(begun, ': x\r\n'), 'no error'],
    ['a space before the colon', head(begun, 'Upload-Offset : 3\r\n'), 'no error'],
    ['a folded header', formatHead('POST', '/files', { ...TUS, 'upload-length': 'x', 'upload-metadata': 'a\r\n eA==' }), 400],
    ['bytes above 127 in the metadata', formatHead('POST', '/files', { ...TUS, 'upload-length': '5', 'upload-metadata': 'a \xff\xfe' }), 400],
    ['a path with a NUL', head('/files/a\0b'), 400],
    ['a path with a raw line feed', head('/files/a\nb'), 400],
    ['a path with bytes above 127', head('/files/\xff\xfe')],
    ['a path with a tab', head('/files/a\tb')],
    ['a path with a space', head('/files/a b'), 400],
    ['a path with dots that are not resolved', head('/files/../../../../etc/passwd'), 404],
    ['a path with encoded dots', head('/files/%2e%2e/%2e%2e/secret.txt'), 404],
    ['a path of 10 kB', head(`/files/${'a'.repeat(10_000)}`)],
    ['a path of 100 kB', head(`/files/${'a'.repeat(100_000)}`), 431],
    ['a query of 10 kB', head(`/files/none?${'a'.repeat(10_000)}`), 404],
    ['a fragment', head('/files/none#x'), 404],
    ['an absolute URL', head('http://evil.example/files/none')],
    ['an asterisk', 'OPTIONS * HTTP/1.1\r\nHost: a\r\n\r\n'],
    ['no path', `HEAD HTTP/1.1\r\n${tus}\r\n`, 400],
    ['CONNECT', 'CONNECT evil.example:443 HTTP/1.1\r\nHost: a\r\n\r\n', 'closed'],
    ['an unknown method', `FOO ${begun} HTTP/1.1\r\n${tus}\r\n`, 400],
    ['a method in lower case', `delete ${begun} HTTP/1.1\r\n${tus}\r\n`, 400],
    ['a method of 10 kB', `${'A'.repeat(10_000)} ${begun} HTTP/1.1\r\n${tus}\r\n`, 400],
    ['a method with a NUL', `DEL\0ETE ${begun} HTTP/1.1\r\n${tus}\r\n`, 400],
    ['PROPFIND', `PROPFIND ${begun} HTTP/1.1\r\n${tus}\r\n`, 404],
    ['HTTP/0.9', `DELETE ${begun}\r\n\r\n`],
    ['HTTP/3.7', `DELETE ${begun} HTTP/3.7\r\n${tus}\r\n`, 400],
    ['HTTP/2 with prior knowledge', 'PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n', 400],
    ['a TLS greeting', '\x16\x03\x01\x00\xa5\x01\x00\x00\xa1\x03\x03', 400],
    ['noise', Array.from({ length: 500 }, (_, at) => String.fromCharCode((at * 7919) % 256)).join(''), 400],
    ['an upgrade', formatHead('HEAD', '/files/none', { ...TUS, connection: 'Upgrade', upgrade: 'websocket' }), 404],
    ['Expect with another value', withBody({ expect: 'nonsense' }), 417],
    ['Expect: 100-continue with a wrong offset', withBody({ expect: '100-continue', 'upload-offset': '0' }, ''), 409],
    ['a Content-Type with a NUL', withBody({ 'content-type': 'application/offset+octet-stream\0' }), 400],
    ['a request that hides in a body', withBody({ 'upload-offset': '0', 'content-length': '200' }, `DELETE ${begun} HTTP/1.1\r\n${tus}\r\n`.padEnd(200)), 409],
    ['a request that hides behind a body of no bytes', formatHead('HEAD', '/files/none', { ...TUS, 'content-length': '0' }) + `DELETE ${begun} HTTP/1.1\r\nHost: a\r\n\r\n`, 404]
  ]
  return cases.map(([name, bytes, status]) => ({ name, bytes, ...status !== undefined && { status } }))
}

t.test('what is no HTTP is refused, and changes nothing', async t => {
  const victim = await startVictim(t)
  const before = await observe(victim)
  for (const { name, bytes, status } of makeRawCases(victim)) {
    const response = await exchangeRaw(t, victim.port, bytes, bytes.startsWith('HEAD') ? 'HEAD' : 'GET')
    if (status === 'closed') t.ok(response === null || response.status < 500, name)
    else if (status === 'no error') t.ok(response !== null && response.status < 500, name)
    else if (status !== undefined) t.equal(response?.status, status, name)
    else t.ok(response !== null && response.status >= 400 && response.status < 500, `${name}: ${response?.status}`)
    t.same(await observe(victim), before)
  }
})
