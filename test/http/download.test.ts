import { once } from 'node:events'
import { existsSync, readdirSync } from 'node:fs'
import t from 'tap'
import { createMemoryLocker } from '../../lib/index.js'
import { makeApp, startApp } from '../support/app.js'
import { TUS, createComplete, createUpload, encodeMetadata, makeBytes, patch, post, until, type Headers } from '../support/http-tus.js'
import { exchangeRaw, formatHead, openRaw } from '../support/raw-socket.js'

const CONTENT = '0123456789'

t.test('GET', async t => {
  const { app } = await makeApp(t)
  const url = await createComplete(app, CONTENT)
  const get = (headers: Headers = {}) => app.inject({ url, headers })

  await t.test('gives the bytes of a complete upload, with what describes them', async t => {
    const response = await get()
    t.equal(response.statusCode, 200)
    t.equal(response.body, CONTENT)
    t.match(response.headers, {
      'content-length': '10',
      'accept-ranges': 'bytes',
      etag: /^"[^"]+"$/,
      'last-modified': / GMT$/,
      'content-type': 'application/octet-stream',
      'x-content-type-options': 'nosniff',
      'content-security-policy': /sandbox/
    })
    t.match(response.headers['content-disposition'], /^attachment/)
  })

  await t.test('needs no Tus-Resumable, and does not mind one', async t => {
    t.equal((await get(TUS)).statusCode, 200)
  })

  const ranges: ReadonlyArray<readonly [range: string, status: number, body?: string]> = [
    ['bytes=0-0', 206, '0'], ['bytes=0-4', 206, '01234'], ['bytes=5-', 206, '56789'], ['bytes=-3', 206, '789'], ['bytes=9-9', 206, '9'],
    ['bytes=0-9', 206, CONTENT], ['bytes=4-99', 206, '456789'], ['bytes=-99', 206, CONTENT], ['bytes=0-99999999999999999999', 206, CONTENT],
    ['bytes=10-', 416], ['bytes=99-100', 416], ['bytes=-0', 416],
    ['bytes=0-1,4-5', 200, CONTENT], ['items=0-1', 200, CONTENT], ['nonsense', 200, CONTENT], ['', 200, CONTENT]
  ]
  for (const [range, status, body] of ranges) {
    await t.test(`answers Range '${range}' with ${status}`, async t => {
      const response = await get({ range })
      t.equal(response.statusCode, status)
      if (body !== undefined) {
        t.equal(response.body, body)
        t.equal(response.headers['content-length'], String(body.length))
      }
      if (status === 206) {
        const start = CONTENT.indexOf(body!)
        t.equal(response.headers['content-range'], `bytes ${start}-${start + body!.length - 1}/10`)
      }
      if (status === 416) t.equal(response.headers['content-range'], 'bytes */10')
    })
  }

  await t.test('is conditional', async t => {
    const { etag, 'last-modified': modified } = (await get()).headers as Record<string, string>
    const past = new Date(Date.now() - 86_400_000).toUTCString()
    const future = new Date(Date.now() + 86_400_000).toUTCString()
    const cases: ReadonlyArray<readonly [headers: Headers, status: number]> = [
      [{ 'if-none-match': etag! }, 304], [{ 'if-none-match': '*' }, 304], [{ 'if-none-match': `W/${etag}` }, 304],
      [{ 'if-none-match': `"other", ${etag}` }, 304], [{ 'if-none-match': '"other"' }, 200],
      [{ 'if-modified-since': modified! }, 304], [{ 'if-modified-since': future }, 304], [{ 'if-modified-since': past }, 200],
      [{ 'if-modified-since': 'never' }, 200], [{ 'if-none-match': '"other"', 'if-modified-since': future }, 200],
      [{ 'if-match': etag! }, 200], [{ 'if-match': '*' }, 200], [{ 'if-match': `"other", ${etag}` }, 200],
      [{ 'if-match': '"other"' }, 412], [{ 'if-match': `W/${etag}` }, 412],
      [{ 'if-unmodified-since': modified! }, 200], [{ 'if-unmodified-since': past }, 412], [{ 'if-unmodified-since': 'never' }, 200],
      [{ 'if-match': etag!, 'if-unmodified-since': past }, 200], [{ 'if-match': etag!, 'if-none-match': etag! }, 304],
      [{ range: 'bytes=0-1', 'if-range': etag! }, 206], [{ range: 'bytes=0-1', 'if-range': '"other"' }, 200],
      [{ range: 'bytes=0-1', 'if-range': `W/${etag}` }, 200], [{ range: 'bytes=0-1', 'if-range': modified! }, 206],
      [{ range: 'bytes=0-1', 'if-range': past }, 200], [{ range: 'bytes=0-1', 'if-range': future }, 200], [{ range: 'bytes=0-1', 'if-range': 'never' }, 200],
      [{ range: 'bytes=99-', 'if-range': '"other"' }, 200], [{ range: 'bytes=0-1', 'if-none-match': etag! }, 304]
    ]
    for (const [headers, status] of cases) {
      const response = await get(headers)
      t.equal(response.statusCode, status, JSON.stringify(headers))
      if (status === 304) {
        t.equal(response.body, '')
        t.equal(response.headers.etag, etag)
        t.notOk('content-type' in response.headers)
      }
    }
  })
})

t.test('GET of what is not complete, or not there, is 404 and may not be cached', async t => {
  const { app } = await makeApp(t)
  const begun = await createUpload(app)
  await patch(app, begun, 0, 'hel')
  for (const url of [begun, await createUpload(app, { 'upload-defer-length': '1' }), '/files/none', '/files/', '/files']) {
    const { statusCode, headers } = await app.inject(url)
    t.ok([404, 405].includes(statusCode), `${url} ${statusCode}`)
    t.equal(headers['cache-control'], 'no-store')
  }
})

t.test('GET of an upload of no bytes', async t => {
  const { app } = await makeApp(t)
  const url = await createComplete(app, '')
  t.match(await app.inject(url), { statusCode: 200, body: '', headers: { 'content-length': '0' } })
  t.match(await app.inject({ url, headers: { range: 'bytes=0-' } }), { statusCode: 416, headers: { 'content-range': 'bytes */0' } })
})

t.test('the type is what the client said, where that can not run here', async t => {
  const { app } = await makeApp(t)
  const octets = 'application/octet-stream'
  const cases: ReadonlyArray<readonly [said: string, type: string, disposition: 'inline' | 'attachment']> = [
    ['image/png', 'image/png', 'inline'], ['image/jpeg', 'image/jpeg', 'inline'], ['video/mp4', 'video/mp4', 'inline'], ['audio/mpeg', 'audio/mpeg', 'inline'],
    ['text/plain', 'text/plain', 'inline'], ['text/plain; charset=utf-8', 'text/plain; charset=utf-8', 'inline'],
    ['application/pdf', 'application/pdf', 'attachment'], ['application/zip', 'application/zip', 'attachment'], ['application/json', 'application/json', 'attachment'],
    ['image/svg+xml', octets, 'attachment'], ['text/html', octets, 'attachment'], ['TEXT/HTML', octets, 'attachment'], ['text/html; charset=utf-8', octets, 'attachment'],
    ['application/xhtml+xml', octets, 'attachment'], ['text/xml', octets, 'attachment'], ['application/javascript', octets, 'attachment'],
    ['text/javascript', octets, 'attachment'], ['text/css', octets, 'attachment'], ['application/wasm', octets, 'attachment'],
    ['application/x-shockwave-flash', octets, 'attachment'], ['multipart/x-mixed-replace', octets, 'attachment'], ['message/rfc822', octets, 'attachment'],
    ['text/cache-manifest', octets, 'attachment'], ['video/svg+xml', octets, 'attachment'],
    ['nonsense', octets, 'attachment'], ['', octets, 'attachment'], ['text/plain\r\nset-cookie: a=b', octets, 'attachment'], ['text/plain, text/html', octets, 'attachment'],
    ['text/plain;text/html', octets, 'attachment'], [' text/plain', octets, 'attachment'], ['text/plain; charset="x', octets, 'attachment'], ['tëxt/plain', octets, 'attachment']
  ]
  for (const key of ['filetype', 'type']) {
    for (const [said, type, disposition] of cases) {
      const { headers, statusCode } = await app.inject(await createComplete(app, 'x', { [key]: said }))
      t.equal(statusCode, 200)
      t.equal(headers['content-type'], type, `${key} '${said}'`)
      t.match(headers['content-disposition'], new RegExp(`^${disposition}`))
      t.equal(headers['x-content-type-options'], 'nosniff')
    }
  }
})

t.test('the name is what the client said, as RFC 6266 and RFC 8187 write it', async t => {
  const { app } = await makeApp(t)
  const cases: ReadonlyArray<readonly [name: string, disposition: string | RegExp]> = [
    ['a.txt', 'attachment; filename="a.txt"'],
    ['a b "c".txt', 'attachment; filename="a b \\"c\\".txt"'],
    ['Grüße.txt', 'attachment; filename="Grüße.txt"'],
    ['🎈.txt', 'attachment; filename="??.txt"; filename*=UTF-8\'\'%F0%9F%8E%88.txt'],
    ['100%41.txt', /^attachment; filename="100%41\.txt"; filename\*=UTF-8''100%2541\.txt$/],
    ['../../etc/passwd', 'attachment; filename="passwd"'],
    ['a\r\nSet-Cookie: x=y', 'attachment; filename="a__Set-Cookie: x=y"'],
    ['a\0b\x7f', 'attachment; filename="a_b_"'],
    ['\u0085\u009f', /^attachment; filename=/]
  ]
  for (const key of ['filename', 'name']) {
    for (const [name, disposition] of cases) {
      const { headers, statusCode } = await app.inject(await createComplete(app, 'x', { [key]: name }))
      t.equal(statusCode, 200)
      const written = String(headers['content-disposition'])
      if (typeof disposition === 'string') t.equal(written, disposition)
      else t.match(written, disposition)
    }
  }
  t.equal((await app.inject(await createComplete(app, 'x', { name: '' }))).statusCode, 200)
  const long = await createComplete(app, 'x', { name: `${'ü🎈'.repeat(400)}.txt` })
  t.equal((await app.inject(long)).statusCode, 200)
})

t.test('bytes that are no UTF-8 make a name, too', async t => {
  const { app } = await makeApp(t)
  const created = await post(app, { 'upload-length': '0', 'upload-metadata': `filename ${Buffer.from([0xff, 0xc3, 0x28, 0xed, 0xa0, 0x80]).toString('base64')}` })
  t.equal((await app.inject(new URL(created.headers.location!).pathname)).statusCode, 200)
})

t.test('the ETag is strong: it survives a restart, and differs between uploads', async t => {
  const { app } = await makeApp(t)
  const first = await app.inject(await createComplete(app, CONTENT))
  const second = await app.inject(await createComplete(app, CONTENT))
  t.not(first.headers.etag, second.headers.etag)
  t.match(first.headers.etag, /^"/)
})

t.test('hundreds of readers do not wait for each other, or for the lock', async t => {
  const inner = createMemoryLocker()
  const { app } = await startApp(t, { locker: { withLock: (id, timeout, work) => locking ? new Promise(() => {}) : inner.withLock(id, timeout, work) } })
  let locking = false
  const content = makeBytes(300_000)
  const url = await createComplete(app, content)
  locking = true
  const answers = await Promise.all(Array.from({ length: 300 }, () => app.inject(url)))
  t.ok(answers.every(({ statusCode, rawPayload }) => statusCode === 200 && rawPayload.equals(content)))
  t.equal((await app.inject({ method: 'HEAD', url, headers: TUS })).statusCode, 200, 'HEAD of a complete upload needs none either')
})

t.test('a reader that leaves in the middle holds nobody up', async t => {
  const { app, port } = await startApp(t)
  const content = makeBytes(8_000_000)
  const url = await createComplete(app, content)
  const client = openRaw(t, port)
  await client.send(formatHead('GET', url, {}))
  await once(client.socket, 'data')
  client.reset()
  t.ok((await app.inject(url)).rawPayload.equals(content))
  const range = await exchangeRaw(t, port, formatHead('GET', url, { range: 'bytes=7999990-', connection: 'close' }))
  t.match(range, { status: 206, headers: { 'content-length': '10', 'content-range': 'bytes 7999990-7999999/8000000' } })
  t.equal(range!.body, content.subarray(-10).toString('latin1'))
})

t.test('readers that ask for many downloads at once and leave keep no file open', { skip: !existsSync('/proc/self/fd') && 'there is no /proc here' }, async t => {
  const errors: string[] = []
  const { app, port } = await startApp(t, {}, { logger: { level: 'error', stream: { write: line => errors.push(line) } } })
  const url = await createComplete(app, makeBytes(8_000_000))
  const count = () => readdirSync('/proc/self/fd').length
  await exchangeRaw(t, port, formatHead('GET', url, { connection: 'close' }))
  const before = count()
  for (const leave of ['reset', 'destroy', 'connect'] as const) {
    const client = openRaw(t, port)
    await client.send(formatHead('GET', url, {}).repeat(30))
    await once(client.socket, 'data')
    await until('all are open', () => count() >= before + 30)
    if (leave === 'connect') {
      await client.send(formatHead('CONNECT', 'example.org:443', {}))
      await client.waitForEnd()
    }
    if (leave === 'reset') client.reset()
    else client.socket.destroy()
    await until(`${leave}: no more are open than before`, () => count() <= before)
  }
  for (let attempt = 0; attempt < 20; attempt++) await exchangeRaw(t, port, formatHead('GET', url, {}) + formatHead('CONNECT', 'example.org:443', {}))
  t.same(errors, [], 'a reader that leaves is no error of the server')
})

t.test('metadata reaches the reader as the client wrote it, encoded once', async t => {
  const { app } = await makeApp(t)
  const url = await createComplete(app, 'x', { filename: 'a.png', filetype: 'image/png' })
  t.match((await app.inject({ method: 'HEAD', url, headers: TUS })).headers, { 'upload-metadata': encodeMetadata({ filename: 'a.png', filetype: 'image/png' }) })
  t.match((await app.inject(url)).headers, { 'content-type': 'image/png', 'content-disposition': 'inline; filename="a.png"' })
})
