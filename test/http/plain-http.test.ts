import { execFile, spawnSync } from 'node:child_process'
import { stat } from 'node:fs/promises'
import { join } from 'node:path'
import { promisify } from 'node:util'
import t, { type Test } from 'tap'
import { createFsStorage } from '../../adapters/fs/index.js'
import { createMemoryStorage } from '../../adapters/memory/index.js'
import { createMemoryLocker, type Locker, type Storage, type TusOptions } from '../../lib/index.js'
import { makeApp, makeDirectory, startApp } from '../support/app.js'
import { BYTES, TUS, createComplete, createUpload, patch, until, type Headers } from '../support/http-tus.js'
import { append, ask, begin, getPath, open, PARTIAL, retrieve, V8 } from '../support/ietf.js'

// GET and HEAD without a header of either protocol: players, link previews, download managers, `curl -I`.

const CONTENT = '0123456789'

t.test('a plain GET, a plain HEAD and app.tus.find leave the one who sends alone, in both protocols', async t => {
  for (const storage of [createMemoryStorage(), createFsStorage({ directory: await makeDirectory(t) })]) {
    const locks: string[] = []
    const { app, port } = await startApp(t, { storage, locker: watchLocks(locks) })
    const tus = getPath(await ask(t, port, 'POST', '/files', { ...TUS, 'upload-length': '10' }))
    const draft = await begin(t, port, '', { 'upload-length': '10' })
    const cases = [
      { path: tus, headers: { ...TUS, ...BYTES }, end: 204, head: 412, get: 404 },
      { path: draft, headers: { ...PARTIAL, 'upload-complete': '?1' }, end: 201, head: 204, get: 204 }
    ]
    for (const { path, headers, end, head, get } of cases) {
      locks.length = 0
      const sender = await open(t, port, 'PATCH', path, { ...headers, 'upload-offset': '0', 'content-length': '10' }, '01234')
      await until('the sender has the lock', () => locks.length > 0)
      t.equal((await ask(t, port, 'HEAD', path)).status, head)
      t.equal((await ask(t, port, 'GET', path)).status, get)
      t.match(await app.tus.find(path.split('/').at(-1)!), { complete: false })
      t.equal(locks.length, 1, 'no other lock was asked for')
      await sender.send('56789')
      t.equal((await sender.receive('PATCH'))?.status, end)
      t.match(await ask(t, port, 'GET', path), { status: 200, body: CONTENT })
    }
  }
})

/** Notes each request that wants a lock. */
function watchLocks (ids: string[]): Locker {
  const { withLock } = createMemoryLocker()
  return { withLock: (id, timeout, work) => { ids.push(id); return withLock(id, timeout, work) } }
}

t.test('what names the draft still ends the one who sends', async t => {
  const { port } = await startApp(t)
  const sender = await open(t, port, 'POST', '/files', { ...V8, 'upload-complete': '?1', 'content-length': '10' }, '01234')
  const path = getPath((await sender.receiveAny())!)
  t.match(await retrieve(t, port, path, V8), { status: 204, headers: { 'upload-offset': '5' } })
  t.match(await sender.receive('POST'), { headers: { 'upload-complete': '?0' } })
})

t.test('who goes on from what a plain HEAD told, while another one sends, is told where that had come to', async t => {
  const { port, directory } = await startApp(t)
  const path = await begin(t, port, '', { 'upload-length': '10' })
  const sender = await open(t, port, 'PATCH', path, { ...PARTIAL, 'upload-complete': '?1', 'upload-offset': '0', 'content-length': '10' }, '01234')
  await until('its first bytes are written', async () => (await stat(join(directory, path.split('/').at(-1)!))).size === 5)
  t.match(await retrieve(t, port, path, {}), { status: 204, headers: { 'upload-offset': '0' } })
  t.match(await append(t, port, path, 0, CONTENT, '?1'), { status: 409, headers: { 'upload-offset': '5' } })
  await sender.receive('PATCH')
  t.match(await append(t, port, path, 5, '56789', '?1'), { status: 201 })
})

t.test('HEAD of a file', async t => {
  const storage = createFsStorage({ directory: await makeDirectory(t) })
  let reads = 0
  const read: Storage['read'] = (id, range) => { reads++; return storage.read!(id, range) }
  const { app, port } = await startApp(t, { storage: Object.assign(Object.create(storage) as Storage, { read }) })
  const url = await createComplete(app, CONTENT, { filename: 'a.png', filetype: 'image/png' })
  const draft = await begin(t, port, '01234', { 'upload-length': '10', 'content-type': 'text/plain' })
  await append(t, port, draft, 5, '56789', '?1')
  const compare = async (path: string, headers: Headers = {}) => {
    const [get, head] = [await app.inject({ url: path, headers }), await app.inject({ method: 'HEAD', url: path, headers })]
    const [{ date: _, ...expected }, { date: __, ...found }] = [get.headers, head.headers]
    t.equal(head.statusCode, get.statusCode, JSON.stringify(headers))
    t.same(found, expected, JSON.stringify(headers))
    t.equal(head.body, '')
    return head
  }

  await t.test('answers as GET does, without the body and without opening the file', async t => {
    for (const path of [url, draft]) t.match(await compare(path), { statusCode: 200, headers: { 'content-length': '10', 'accept-ranges': 'bytes', etag: /^"/, 'last-modified': / GMT$/ } })
    t.match(await compare(url), { headers: { 'content-type': 'image/png', 'content-disposition': 'inline; filename="a.png"' } })
    t.equal(reads, 3, 'those of GET')
  })

  await t.test('is conditional as GET is', async t => {
    const { etag, 'last-modified': modified } = (await app.inject({ method: 'HEAD', url })).headers as Record<string, string>
    const past = new Date(Date.now() - 86_400_000).toUTCString()
    t.match(await compare(url, { 'if-none-match': etag! }), { statusCode: 304, headers: { etag } })
    t.match(await compare(url, { 'if-modified-since': modified! }), { statusCode: 304 })
    t.equal((await app.inject({ method: 'HEAD', url, headers: { 'if-match': '"other"' } })).statusCode, 412)
    t.equal((await app.inject({ method: 'HEAD', url, headers: { 'if-unmodified-since': past } })).statusCode, 412)
    t.match(await compare(url, { 'if-match': etag! }), { statusCode: 200 })
  })

  await t.test('RFC 9110, 14.2: pays no heed to Range', async t => {
    for (const range of ['bytes=0-0', 'bytes=99-', 'nonsense']) t.match(await app.inject({ method: 'HEAD', url, headers: { range } }), { statusCode: 200, headers: { 'content-length': '10' } })
  })

  await t.test('of an upload of the draft tells the offset beside, for a client that asks whether all has arrived', async t => {
    t.match(await compare(draft), { headers: { 'upload-offset': '10', 'upload-complete': '?1', 'upload-length': '10', 'content-type': 'text/plain' } })
    t.notOk('upload-offset' in (await compare(url)).headers)
  })

  await t.test('keeps its meaning where the request names a protocol', async t => {
    t.match(await ask(t, port, 'HEAD', url, TUS), { status: 200, headers: { 'upload-offset': '10', 'cache-control': 'no-store' } })
    t.match(await ask(t, port, 'HEAD', draft, V8), { status: 204, headers: { 'upload-offset': '10', 'cache-control': 'no-store' } })
    t.match(await ask(t, port, 'HEAD', url, { 'tus-resumable': '0.2.2' }), { status: 412 })
  })

  await t.test('is what `curl -I` shows', { skip: spawnSync('curl', ['--version']).status !== 0 && 'there is no curl here' }, async t => {
    const { stdout } = await promisify(execFile)('curl', ['-sI', `http://127.0.0.1:${port}${url}`])
    t.match(stdout, /^HTTP\/1\.1 200 OK\r\n[^]*content-length: 10\r\n/)
  })
})

t.test('HEAD of what is no file yet, or not there, says so and may not be cached', async t => {
  const { app } = await makeApp(t)
  const begun = await createUpload(app)
  t.match(await app.inject({ method: 'HEAD', url: begun }), { statusCode: 412, headers: { 'tus-version': '1.0.0', 'cache-control': 'no-store' } })
  const partial = await createUpload(app, { 'upload-length': '5', 'upload-concat': 'partial' })
  for (const url of ['/files/none', partial]) t.match(await app.inject({ method: 'HEAD', url }), { statusCode: 404, headers: { 'cache-control': 'no-store' } })
  await patch(app, partial, 0, 'hello')
  t.match(await app.inject({ method: 'HEAD', url: partial }), { statusCode: 404 }, 'a part is no file')
  t.match(await app.inject({ method: 'HEAD', url: '/files/.x' }), { statusCode: 404 })
})

t.test('without downloads, a plain HEAD asks for the offset as the protocol of the upload has it', async t => {
  const { app, port } = await startApp(t, { download: false })
  const url = await createComplete(app, CONTENT)
  t.equal((await app.inject({ method: 'HEAD', url })).statusCode, 412)
  t.equal((await app.inject({ method: 'GET', url })).statusCode, 405)
  const draft = await begin(t, port, 'hello')
  t.match(await ask(t, port, 'HEAD', draft), { status: 204, headers: { 'upload-offset': '5' } })
})

t.test('preAccess is asked about a download where there is a file, and about a look where there is none yet', async t => {
  const { app, port } = await startApp(t)
  const actions: string[] = []
  let refusal: number | null = null
  app.tus.addHook('preAccess', (_request, _upload, action) => {
    actions.push(action)
    if (refusal !== null) throw Object.assign(new Error('not you'), { statusCode: refusal })
  })
  const url = await createComplete(app, CONTENT)
  const begun = await createUpload(app)
  const draft = await begin(t, port, 'hello')
  actions.length = 0
  for (const path of [url, begun, draft]) await app.inject({ method: 'HEAD', url: path })
  t.same(actions, ['download', 'inspect', 'inspect'])
  refusal = 403
  for (const path of [url, begun, draft]) t.match(await app.inject({ method: 'HEAD', url: path }), { statusCode: 403, headers: { 'cache-control': 'no-store' } })
  refusal = 404
  const { date: _, ...missing } = (await app.inject({ method: 'HEAD', url: '/files/none' })).headers
  for (const path of [url, begun, draft]) {
    const { statusCode, headers: { date: __, ...headers } } = await app.inject({ method: 'HEAD', url: path })
    t.same([statusCode, headers], [404, missing], 'what is hidden looks as what is not there')
  }
})

t.test('Cache-Control of a download', async t => {
  const all = async (t: Test, options: TusOptions) => {
    const { app } = await makeApp(t, options)
    const url = await createComplete(app, CONTENT)
    const { etag } = (await app.inject(url)).headers as Record<string, string>
    const answers = [{}, { range: 'bytes=0-1' }, { 'if-none-match': etag! }, { range: 'bytes=99-' }, { 'if-match': '"other"' }]
    const seen = []
    for (const headers of answers) {
      const { statusCode, headers: { 'cache-control': control } } = await app.inject({ url, headers })
      seen.push([statusCode, control])
    }
    const head = await app.inject({ method: 'HEAD', url })
    seen.push([head.statusCode, head.headers['cache-control']])
    const begun = await createUpload(app)
    await patch(app, begun, 0, 'x')
    for (const url of [begun, '/files/none']) {
      const { statusCode, headers: { 'cache-control': control } } = await app.inject(url)
      seen.push([statusCode, control])
    }
    return seen
  }
  const expect = (control: string) => [[200, control], [206, control], [304, control], [416, 'no-store'], [412, 'no-store'], [200, control], [404, 'no-store'], [404, 'no-store']]

  await t.test('keeps it from shared caches, unless the application says otherwise; errors are never kept', async t => {
    for (const download of [undefined, true, {}, { cacheControl: undefined }]) t.same(await all(t, download === undefined ? {} : { download } as TusOptions), expect('private, no-cache'))
    t.same(await all(t, { download: { cacheControl: 'public, max-age=3600' } }), expect('public, max-age=3600'))
  })

  await t.test('errors are not kept where the draft alone is spoken either', async t => {
    const { app, port } = await startApp(t, { protocols: ['ietf'] })
    const path = getPath(await ask(t, port, 'POST', '/files', { 'upload-complete': '?1' }, CONTENT))
    t.match(await app.inject(path), { statusCode: 200, headers: { 'cache-control': 'private, no-cache' } })
    for (const [url, headers] of [[path, { range: 'bytes=99-' }], [path, { 'if-match': '"other"' }], ['/files/none', {}]] as const) {
      for (const method of ['GET', 'HEAD'] as const) {
        const { statusCode, headers: { 'cache-control': control } } = await app.inject({ method, url, headers })
        if (statusCode >= 400) t.equal(control, 'no-store', `${method} ${statusCode}`)
      }
    }
  })

  await t.test('has the form of one', async t => {
    for (const cacheControl of ['no-store', 'public, max-age=31536000, immutable', 'private="set-cookie", max-age=5', 's-maxage=5,public']) await makeApp(t, { download: { cacheControl } })
    for (const cacheControl of ['', ' ', 'private; no-cache', 'private,', ', private', 'no cache', 'max-age=', 'a\r\nset-cookie: x', 'a=b\0', 'prívate', 5, null, ['private'], 'private="a']) {
      await t.rejects(makeApp(t, { download: { cacheControl } as never }), { code: 'TUS_ERR_OPTION_INVALID', message: /'download'/ }, JSON.stringify(cacheControl))
    }
    for (const download of [null, 'private', 1, [], { redirect: true }, { cachecontrol: 'private' }]) await t.rejects(makeApp(t, { download: download as never }), { code: 'TUS_ERR_OPTION_INVALID' })
  })
})
