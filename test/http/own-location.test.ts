import t, { type Test } from 'tap'
import { createMemoryStorage } from '../../adapters/memory/index.js'
import type { TusOptions } from '../../lib/index.js'
import { listNames, makeApp } from '../support/app.js'
import { BYTES, TUS, type Headers } from '../support/http-tus.js'
import { KINDS, startKind } from '../support/own-locations.js'

const create = (origin: string, headers: Headers) => fetch(`${origin}/files`, { method: 'POST', headers: { ...TUS, ...headers } })

async function createPart (t: Test, origin: string, content = 'hello'): Promise<string> {
  const { status, headers } = await create(origin, { 'upload-length': String(content.length), 'upload-concat': 'partial' })
  t.equal(status, 201)
  const url = headers.get('location')!
  t.equal((await fetch(new URL(url, `${origin}/files`), { method: 'PATCH', headers: { ...TUS, ...BYTES, 'upload-offset': '0' }, body: content })).status, 204)
  return url
}

t.test('a part is named by the URL that its client was told, and by no other', async t => {
  for (const [name, kind] of Object.entries(KINDS)) {
    const { origin } = await startKind(t, kind, { generateId: () => `id-${next++}` })
    let next = 1
    const part = await createPart(t, origin)
    const absolute = new URL(part, `${origin}/files`).href
    const { pathname, search } = new URL(absolute)
    const join = async (url: string) => (await create(origin, { 'upload-concat': `final;${url}` })).status
    for (const url of new Set([part, absolute, `${pathname}${search}`])) t.equal(await join(url), 201, `${name}: ${url}`)
    const others = [
      `/elsewhere${pathname}${search}`, `${pathname}/x${search}`, absolute.replace('id-1', 'id-2'), absolute.replace('id-1', 'files'), absolute.replace('id-1', ''), `${absolute}${search === '' ? '?' : '&'}x=1`,
      absolute.replaceAll('uploads', 'other').replaceAll('content', 'other').replace('/files/', '/other/').replaceAll('kind', 'other').replace('%D0', '%D1'),
      absolute.replace(/sig=./, 'sig=-'), absolute.replace(/&?sig=[^&]*/, ''), 'id-1', '/id-1', '/', 'http://', 'data:id-1', `javascript:${pathname}`
    ]
    if (part.startsWith('http')) others.push(absolute.replace(/\/\/[^/]*/, '//evil.example'), absolute.replace('http:', 'https:'))
    const isOther = (url: string) => !URL.canParse(url, `${origin}/files`) || new URL(url, `${origin}/files`).href !== absolute
    for (const url of others.filter(isOther)) t.equal(await join(url), 400, `${name}: ${url}`)
  }
})

t.test('a part that notes no URL, as one of an older version, is named by the one that it has now', async t => {
  const storage = createMemoryStorage()
  const before = await startKind(t, { location: (_request, id) => `/files/${id}` }, { storage, scope: () => '' })
  const part = await createPart(t, before.origin)
  const id = part.split('/').at(-1)!
  const after = await startKind(t, { location: (_request, id) => `/files/${id}?sig=${id.length}` }, { storage, scope: () => '' })
  t.equal((await create(after.origin, { 'upload-concat': `final;${part}?sig=${id.length}` })).status, 201)
  t.equal((await create(after.origin, { 'upload-concat': `final;${part}?sig=1` })).status, 400)
  t.equal((await create(after.origin, { 'upload-concat': `final;${part}` })).status, 201, 'or by the one that its client was told')
})

t.test('location: what is no URL, and a function that fails, is a 500 with a code, and nothing is stored', async t => {
  const bad: ReadonlyArray<readonly [what: string, location: (request: unknown, id: string) => unknown]> = [
    ...[undefined, null, '', 7, {}, ['/x'], ' /x', '/x\r\nset-cookie: a=b', '/x\0', '/%zz', '/%', '/\ud800', 'javascript:alert(1)', 'ftp://example.org/x', 'http://', 'http://a b/', 'http://[::1', '//х'].map(value => [JSON.stringify(value), () => value] as const),
    ['throws', () => { throw new Error('the database is away') }],
    ['throws no error', () => { throw 'nothing' }], // eslint-disable-line no-throw-literal
    ['rejects', async () => { throw new Error('the database is away') }]
  ]
  for (const [what, location] of bad) {
    for (const make of [location, async (request: unknown, id: string) => location(request, id)]) {
      const { app, directory } = await makeApp(t, { location: make as never })
      for (const headers of [{ 'upload-length': '5' }, { 'upload-length': '5', 'upload-concat': 'partial' }, { 'upload-length': '5', ...BYTES }]) {
        const answer = await app.inject({ method: 'POST', url: '/files', headers: { ...TUS, ...headers }, ...'content-type' in headers && { payload: 'hello' } })
        t.match(answer, { statusCode: 500, headers: { 'cache-control': 'no-store' } }, what)
        t.match(answer.json(), { code: 'TUS_ERR_HOOK_RESULT' }, what)
        t.notMatch(answer.body, /database/)
      }
      t.match((await app.inject({ method: 'POST', url: '/files', headers: { 'upload-complete': '?1' }, payload: 'hello' })), { statusCode: 500 }, what)
      t.same(await listNames(directory), [], what)
    }
  }
})

t.test('location: what a function throws to refuse a request refuses it', async t => {
  const { app, directory } = await makeApp(t, { location: async () => { throw Object.assign(new Error('not you'), { statusCode: 403, headers: { 'x-why': 'so' } }) } })
  const answer = await app.inject({ method: 'POST', url: '/files', headers: { ...TUS, 'upload-length': '5' } })
  t.match(answer, { statusCode: 403, headers: { 'x-why': 'so' } })
  t.same(await listNames(directory), [])
})

t.test('location: a URL is told as the application wrote it; what no header can hold is percent-encoded', async t => {
  const cases = [
    ['/x/y', '/x/y'], ['https://example.org/%D1%84?a=b&c=%20#d', 'https://example.org/%D1%84?a=b&c=%20#d'], ['//cdn.example/x', '//cdn.example/x'], ['../x', '../x'], ['http://[::1]:80/x', 'http://[::1]:80/x'],
    ['/файл', '/%D1%84%D0%B0%D0%B9%D0%BB'], ['/a b"c', '/a%20b%22c'], ['x/ü', 'x/%C3%BC'], ['https://пример.example/ü', 'https://xn--e1afmkfd.example/%C3%BC'], ['/a|b^c', '/a%7Cb%5Ec'], ['/🎈', '/%F0%9F%8E%88']
  ] as const
  for (const [given, told] of cases) {
    const { app } = await makeApp(t, { location: () => given })
    t.equal((await app.inject({ method: 'POST', url: '/files', headers: { ...TUS, 'upload-length': '5' } })).headers.location, told)
  }
})

t.test('location is asked once for each answer that tells it, and not for any other', async t => {
  const asked: string[] = []
  const { app } = await makeApp(t, { generateId: () => 'one', location: async (_request, id) => { asked.push(id); return `/files/${id}` } })
  const send = (method: 'POST' | 'PATCH' | 'HEAD' | 'GET', url: string, headers: Headers, payload?: string) => app.inject({ method, url, headers, ...payload !== undefined && { payload } })
  await send('POST', '/files', { ...TUS, 'upload-length': '5' })
  t.same(asked.splice(0), ['one'])
  await send('HEAD', '/files/one', TUS)
  await send('PATCH', '/files/one', { ...TUS, ...BYTES, 'upload-offset': '0' }, 'hello')
  await send('GET', '/files/one', {})
  t.same(asked, [])
  await app.tus.terminate('one')
  t.match(await send('POST', '/files', { 'upload-complete': '?0' }, 'hello'), { statusCode: 201, headers: { location: '/files/one' } })
  t.same(asked.splice(0), ['one'])
  t.match(await send('PATCH', '/files/one', { 'content-type': 'application/partial-upload', 'upload-offset': '5', 'upload-complete': '?1' }, '!'), { statusCode: 201, headers: { location: '/files/one' } })
  t.same(asked, ['one'])
})

t.test('location of what preCreate chose, also where its completion is refused', async t => {
  const { app } = await makeApp(t, { location: async (_request, id) => `/files/${id}` })
  app.tus.addHook('preCreate', () => ({ id: 'chosen' }))
  app.tus.addHook('preFinish', () => { throw Object.assign(new Error('no'), { statusCode: 422 }) })
  t.match(await app.inject({ method: 'POST', url: '/files', headers: { ...TUS, ...BYTES, 'upload-length': '5' }, payload: 'hello' }), { statusCode: 422, headers: { location: '/files/chosen' } })
})

t.test('maxSize', async t => {
  const start = (maxSize: TusOptions['maxSize'] | ((...args: any[]) => unknown)) => makeApp(t, { maxSize: maxSize as never, generateId: () => 'one' })
  const make = (app: Awaited<ReturnType<typeof makeApp>>['app'], headers: Headers, payload?: string) => app.inject({ method: 'POST', url: '/files', headers: { ...TUS, ...headers }, ...payload !== undefined && { payload } })

  await t.test('may be a promise, and gets the id of the upload that a request names', async t => {
    const asked: unknown[] = []
    const { app } = await start(async ({ headers }: { headers: Headers }, id?: string) => { asked.push(id); return Number(headers['x-max'] ?? 5) })
    t.match(await make(app, { 'upload-length': '6' }), { statusCode: 413 })
    t.match(await make(app, { 'upload-length': '6', 'x-max': '6' }), { statusCode: 201 })
    t.same(asked.splice(0), [undefined, undefined])
    await app.tus.terminate('one')
    t.match(await make(app, { 'upload-defer-length': '1' }), { statusCode: 201 })
    asked.length = 0
    const patch = (headers: Headers, payload: string) => app.inject({ method: 'PATCH', url: '/files/one', headers: { ...TUS, ...BYTES, 'upload-offset': '0', ...headers }, payload })
    t.match(await patch({}, 'hello!'), { statusCode: 413 })
    t.match(await patch({ 'upload-length': '6' }, 'hello!'), { statusCode: 413 })
    t.same(asked, ['one', 'one'])
    t.match(await patch({ 'x-max': '6', 'upload-length': '6' }, 'hello!'), { statusCode: 204 })
  })

  await t.test('null is no limit; what is no number, and a function that fails, is a 500 with a code: never no limit', async t => {
    const { app } = await start(async () => null)
    t.match(await make(app, { 'upload-length': '1000000' }), { statusCode: 201 })
    const bad: ReadonlyArray<() => unknown> = [
      ...[undefined, NaN, -1, 1.5, '5', {}, true].map(value => () => value), () => { throw new Error('the database is away') }, async () => { throw new Error('the database is away') }, async () => undefined, async () => '5'
    ]
    for (const maxSize of bad) {
      const { app, directory } = await start(maxSize)
      for (const [headers, payload] of [[{ 'upload-length': '5' }], [{ 'upload-defer-length': '1' }], [{ ...BYTES, 'upload-length': '5' }, 'hello'], [{ 'upload-length': '5', 'upload-concat': 'partial' }]] as const) {
        const answer = await make(app, headers, payload)
        t.equal(answer.statusCode, 500)
        t.match(answer.json(), { code: 'TUS_ERR_HOOK_RESULT' })
        t.notMatch(answer.body, /database/)
      }
      t.same(await listNames(directory), [])
    }
  })

  await t.test('one that fails later leaves the upload as it was', async t => {
    let max: unknown = 100
    const { app } = await start(async () => { if (max instanceof Error) throw max; return max })
    await make(app, { 'upload-defer-length': '1' })
    for (const value of [new Error('the database is away'), 'x', undefined]) {
      max = value
      for (const headers of [{}, { 'upload-length': '5' }]) {
        t.match(await app.inject({ method: 'PATCH', url: '/files/one', headers: { ...TUS, ...BYTES, 'upload-offset': '0', ...headers }, payload: 'hello' }), { statusCode: 500 })
      }
    }
    t.match(await app.inject({ method: 'HEAD', url: '/files/one', headers: TUS }), { headers: { 'upload-offset': '0', 'upload-defer-length': '1' } })
    max = Object.assign(new Error('quota'), { statusCode: 402 })
    t.match(await app.inject({ method: 'PATCH', url: '/files/one', headers: { ...TUS, ...BYTES, 'upload-offset': '0' }, payload: 'hello' }), { statusCode: 402 })
    max = 5
    t.match(await app.inject({ method: 'PATCH', url: '/files/one', headers: { ...TUS, ...BYTES, 'upload-offset': '0' }, payload: 'hello' }), { statusCode: 204 })
  })

  await t.test('holds for final uploads, and for routes of the application beside their bodyLimit', async t => {
    const { app } = await makeApp(t, { maxSize: async () => 7 })
    app.put('/documents', { bodyLimit: 6 }, app.tus.resumable(async () => 'stored'))
    app.put('/large', { bodyLimit: 100 }, app.tus.resumable(async () => 'stored'))
    const put = (url: string, payload: string) => app.inject({ method: 'PUT', url, payload, headers: { 'content-type': 'text/plain' } })
    t.match(await put('/documents', '123456'), { statusCode: 200 })
    t.match(await put('/documents', '1234567'), { statusCode: 413 })
    t.match(await put('/large', '1234567'), { statusCode: 200 })
    t.match(await put('/large', '12345678'), { statusCode: 413 })
    const parts: string[] = []
    for (let part = 0; part < 2; part++) parts.push((await app.inject({ method: 'POST', url: '/files', headers: { ...TUS, 'upload-length': '4', 'upload-concat': 'partial' } })).headers.location!)
    t.match(await make(app, { 'upload-concat': `final;${parts.join(' ')}` }), { statusCode: 413 })
    t.match(await make(app, { 'upload-concat': `final;${parts[0]}` }), { statusCode: 201 })
  })
})
