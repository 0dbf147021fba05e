import { createHash } from 'node:crypto'
import { rm } from 'node:fs/promises'
import { join } from 'node:path'
import t from 'tap'
import { createFsStorage } from '../../adapters/fs/index.js'
import { startApp } from '../support/app.js'
import { append, ask, begin, getPath, open, retrieve, V8 } from '../support/ietf.js'
import { sleep } from '../support/waiting.js'

t.test('OR-1, OR-2, OR-3, OR-4, OR-5, OR-6, OR-7, CN-9: HEAD and GET tell all that is known, and nothing may store it', async t => {
  const { port } = await startApp(t, { maxSize: 100, maxAppendSize: 50 })
  const path = await begin(t, port, 'hello', { 'upload-length': '11' })
  for (const [method, headers] of [['HEAD', V8], ['GET', V8], ['HEAD', {}], ['GET', {}]] as const) {
    const answer = await ask(t, port, method, path, headers)
    t.match(answer, {
      status: 204,
      headers: { 'upload-offset': '5', 'upload-complete': '?0', 'upload-length': '11', 'upload-limit': /^max-size=100, max-append-size=50, max-age=\d+$/, 'cache-control': 'no-store' },
      body: ''
    }, method)
    t.notOk('location' in answer.headers)
  }
})

t.test('ST-1, ST-4, OR-8: another process on the same storage tells the same', async t => {
  const { port, directory } = await startApp(t)
  const path = await begin(t, port, 'hello', { 'upload-length': '11' })
  const other = await startApp(t, { storage: createFsStorage({ directory }) })
  t.match((await retrieve(t, other.port, path)).headers, { 'upload-offset': '5', 'upload-complete': '?0', 'upload-length': '11' })
  t.match(await append(t, other.port, path, 5, ' world', '?1'), { status: 201 })
  t.match((await retrieve(t, port, path)).headers, { 'upload-offset': '11', 'upload-complete': '?1' })
})

t.test('ST-5: an upload whose record is lost is gone', async t => {
  const { port, directory } = await startApp(t)
  const path = await begin(t, port, 'hello')
  await rm(join(directory, `${path.split('/').at(-1)}.json`))
  t.equal((await retrieve(t, port, path, V8)).status, 404)
  t.equal((await append(t, port, path, 5, '', '?1')).status, 404)
})

t.test('LI-1, LI-2, LI-5, LI-6, LI-8: OPTIONS tells the limits, and min-size=0 where there are none', async t => {
  const limited = await startApp(t, { maxSize: 100, maxAppendSize: 50, expiration: { incomplete: 60_000 } })
  t.match((await ask(t, limited.port, 'OPTIONS', '/files')).headers, { 'upload-limit': 'max-size=100, max-append-size=50, max-age=60', 'accept-patch': 'application/partial-upload' })
  const free = await startApp(t, { expiration: false })
  for (const headers of [{}, V8]) t.equal((await ask(t, free.port, 'OPTIONS', '/files', headers)).headers['upload-limit'], 'min-size=0')
  t.match(await ask(t, free.port, 'POST', '/files', { ...V8, 'upload-complete': '?0' }, ''), { headers: { 'upload-limit': 'min-size=0' }, interim: [{ headers: { 'upload-limit': 'min-size=0' } }] })
})

t.test('LI-7: OPTIONS * names no limits, because other routes of the application take no uploads', async t => {
  const { port } = await startApp(t)
  t.notOk('upload-limit' in (await ask(t, port, 'OPTIONS', '*')).headers)
})

t.test('LI-3: the end that max-age implies does not come nearer', async t => {
  const { port } = await startApp(t, { expiration: { incomplete: 30_500 } })
  const getAge = (headers: Readonly<Record<string, string>>) => Number(/max-age=(\d+)/.exec(headers['upload-limit']!)![1]) * 1000
  const before = Date.now()
  const made = await ask(t, port, 'POST', '/files', { 'upload-complete': '?0' }, 'hello')
  const first = before + getAge(made.headers)
  await sleep(700)
  // Whole seconds are told, rounded up: less than one of them may seem to be lost. A response that took long can only come too late.
  const told = getAge((await retrieve(t, port, getPath(made))).headers)
  t.ok(Date.now() + told > first - 1000)
  const restarted = getAge((await append(t, port, getPath(made), 5, '!', '?0')).headers)
  t.ok(Date.now() + restarted >= first, 'a byte restarts it')
})

t.test('LI-4: an Upload-Limit in a request is nobody\'s business', async t => {
  const { port } = await startApp(t)
  t.match(await ask(t, port, 'POST', '/files', { 'upload-complete': '?1', 'upload-limit': 'max-size=1' }, 'hello'), { status: 201 })
})

t.test('LI-9, LI-2: 413 tells the limits, and comes before a byte where the size is known', async t => {
  const { port } = await startApp(t, { maxSize: 10, maxAppendSize: 6 })
  const refused = { status: 413, headers: { 'upload-limit': /^max-size=10, max-append-size=6/, 'upload-complete': '?0' } }
  t.match(await ask(t, port, 'POST', '/files', { 'upload-complete': '?0', 'upload-length': '11' }, ''), refused)
  t.match(await ask(t, port, 'POST', '/files', { 'upload-complete': '?1' }, 'hello world'), refused)
  t.match(await ask(t, port, 'POST', '/files', { 'upload-complete': '?0' }, 'hello w'), refused, 'LI-2: of a creation, too')
  const path = await begin(t, port, 'hello')
  t.match(await append(t, port, path, 5, ' world!', '?0'), refused)
  t.match(await append(t, port, path, 5, ' world', '?0', { 'transfer-encoding': 'chunked' }), refused, 'max-size, counted')
  t.match((await retrieve(t, port, path)).headers, { 'upload-offset': '5' }, 'and the upload is what it was')
  t.match(await append(t, port, path, 5, ' worl', '?1'), { status: 201 })
})

t.test('XX-7, XX-12: whoever may not is refused on every request, and again at the end', async t => {
  const { app, port } = await startApp(t)
  let allowed = true
  app.tus.addHook('preAccess', async () => { if (!allowed) throw Object.assign(new Error('not you'), { statusCode: 403 }) })
  app.tus.addHook('preFinish', async () => { if (!allowed) throw Object.assign(new Error('no more'), { statusCode: 402 }) })
  const path = await begin(t, port, 'hello')
  allowed = false
  for (const answer of [await retrieve(t, port, path), await append(t, port, path, 5, '!', '?0'), await ask(t, port, 'DELETE', path, V8)]) {
    t.equal(answer.status, 403)
    t.notOk('upload-offset' in answer.headers)
  }
  t.match(await ask(t, port, 'POST', '/files', { 'upload-complete': '?1' }, 'hello'), { status: 402, headers: { 'upload-complete': '?0', location: String } })
  allowed = true
  t.match(await append(t, port, path, 5, '', '?1'), { status: 201 })
})

t.test('XX-11: what was sent in pieces can be looked at as a whole, before it is complete for anybody', async t => {
  const { app, port } = await startApp(t)
  const seen: Array<number | null> = []
  app.tus.addHook('preFinish', async (_request, { length }) => { seen.push(length) })
  const path = await begin(t, port, 'hello')
  await append(t, port, path, 5, ' wor', '?0')
  await append(t, port, path, 9, 'ld', '?1')
  t.same(seen, [11])
})

t.test('XX-13: one who sends too little for too long is ended, and what came is kept', async t => {
  const { port } = await startApp(t, { stallTimeout: 100 })
  const client = await open(t, port, 'POST', '/files', { ...V8, 'upload-complete': '?1', 'content-length': '11' }, 'hello')
  const path = getPath((await client.receiveAny())!)
  t.equal(await client.receive('POST'), null, 'one that knows its upload loses the connection, and has no success to misunderstand')
  t.match((await retrieve(t, port, path)).headers, { 'upload-offset': '5', 'upload-complete': '?0' })
  const limited = await startApp(t, { maxConcurrentUploads: 1 })
  const first = await open(t, limited.port, 'POST', '/files', { ...V8, 'upload-complete': '?1', 'content-length': '11' }, 'hello')
  t.match(await first.receiveAny(), { status: 104 })
  t.match(await ask(t, limited.port, 'POST', '/files', { 'upload-complete': '?1' }, 'hello'), { status: 429, headers: { 'retry-after': '5' } })
})

const digest = (algorithm: string, text: string) => createHash(algorithm).update(text).digest('base64')

t.test('XX-4: an upload that is not what Repr-Digest says fails, however it came, and is not there any more', async t => {
  const { app, port } = await startApp(t)
  const finished: string[] = []
  app.tus.addHook('postFinish', async (_request, { id }) => { finished.push(id) })
  for (const [name, algorithm] of [['sha-256', 'sha256'], ['sha-512', 'sha512']] as const) {
    const right = { 'repr-digest': `${name}=:${digest(algorithm, 'hello world')}:, md5=:AAAA:` }
    const wrong = { 'repr-digest': `${name}=:${digest(algorithm, 'hello World')}:` }
    t.match(await ask(t, port, 'POST', '/files', { 'upload-complete': '?1', ...right }, 'hello world'), { status: 201, headers: { 'repr-digest': `${name}=:${digest(algorithm, 'hello world')}:` } })
    const path = await begin(t, port, 'hello', right)
    t.match(await append(t, port, path, 5, ' world', '?1'), { status: 201, headers: { 'upload-complete': '?1' } })
    t.equal(finished.length, 2)
    t.match(await ask(t, port, 'POST', '/files', { 'upload-complete': '?1', ...wrong }, 'hello world'), { status: 400, body: /TUS_ERR_DIGEST_MISMATCH/ })
    for (const early of [true, false]) {
      const bad = await begin(t, port, 'hello', early ? wrong : {})
      t.match(await append(t, port, bad, 5, ' world', '?1', early ? {} : wrong), { status: 400, body: /TUS_ERR_DIGEST_MISMATCH/ })
      t.equal((await retrieve(t, port, bad, V8)).status, 404)
    }
    t.equal(finished.splice(0).length, 2)
  }
})

t.test('XX-5: a body that is not what Content-Digest says is not appended', async t => {
  const { port } = await startApp(t)
  const path = await begin(t, port, 'hello', { 'content-digest': `sha-256=:${digest('sha256', 'hello')}:` })
  for (const [name, algorithm] of [['sha-256', 'sha256'], ['sha-512', 'sha512']] as const) {
    t.match(await append(t, port, path, 5, ' world', '?1', { 'content-digest': `${name}=:${digest(algorithm, ' World')}:` }), { status: 400, body: /TUS_ERR_CHECKSUM_MISMATCH/ })
    const both = { 'content-digest': `sha-256=:${digest('sha256', algorithm === 'sha256' ? '!' : ' world')}:, sha-512=:${digest('sha512', algorithm === 'sha512' ? '!' : ' world')}:` }
    t.equal((await append(t, port, path, 5, ' world', '?1', both)).status, 400, 'each of them counts')
  }
  for (const malformed of ['sha-256', 'sha-256=5', 'sha-256=:AAAA:', 'sha-256="x"', '=', 'sha-256=:A:,']) {
    t.match(await append(t, port, path, 5, ' world', '?1', { 'content-digest': malformed }), { status: 400, body: /TUS_ERR_DIGEST_INVALID/ }, malformed)
  }
  t.match((await retrieve(t, port, path)).headers, { 'upload-offset': '5', 'upload-complete': '?0' })
  t.match(await append(t, port, path, 5, ' world', '?1', { 'content-digest': `sha-512=:${digest('sha512', ' world')}:, unixsum=:AAAA:` }), { status: 201 })
})

t.test('XX-6: Want-Repr-Digest is answered at the end with the one that is wanted most, and by HEAD afterwards', async t => {
  const { port } = await startApp(t)
  const sha256 = `sha-256=:${digest('sha256', 'hello world')}:`
  const sha512 = `sha-512=:${digest('sha512', 'hello world')}:`
  for (const [wish, expected] of [['sha-256=5', sha256], ['sha-512=10, sha-256=1', sha512], ['sha-256=3, sha-512=3', `${sha256}, ${sha512}`], ['sha-256=0', undefined], ['md5=9', undefined], ['sha-256=11', undefined], ['x y', undefined]] as const) {
    const made = await ask(t, port, 'POST', '/files', { 'upload-complete': '?1', 'want-repr-digest': wish }, 'hello world')
    t.equal(made.headers['repr-digest'], expected, wish)
    const path = await begin(t, port, 'hello', { 'want-repr-digest': wish })
    t.equal((await append(t, port, path, 5, ' world', '?1')).headers['repr-digest'], expected, wish)
    t.equal((await retrieve(t, port, path)).headers['repr-digest'], expected, wish)
  }
})
