import Fastify, { type FastifyInstance } from 'fastify'
import type { AddressInfo } from 'node:net'
import t, { type Test } from 'tap'
import { createMemoryStorage } from '../../adapters/memory/index.js'
import fastifyTus, { type TusOptions } from '../../lib/index.js'
import { BYTES, TUS } from '../support/http-tus.js'

/** What a URI may consist of (RFC 3986). */
const URI = /^http:\/\/127\.0\.0\.1:\d+(?:[A-Za-z0-9._~:/?#[\]@!$&'()*+,;=-]|%[0-9A-F]{2})*$/i

async function listen (t: Test, options: TusOptions, around?: string): Promise<{ app: FastifyInstance, origin: string }> {
  const app = Fastify()
  t.teardown(() => app.close())
  const register = (scope: FastifyInstance) => scope.register(fastifyTus, { storage: createMemoryStorage(), ...options })
  await (around === undefined ? register(app) : app.register(async scope => { await register(scope) }, { prefix: around }))
  await app.listen({ host: '127.0.0.1', port: 0 })
  return { app, origin: `http://127.0.0.1:${(app.server.address() as AddressInfo).port}` }
}

/** Uploads a file in two parts and has them joined, by the URLs of the server alone; resolves to them. */
async function uploadInParts (t: Test, collection: string): Promise<string[]> {
  const create = async (headers: Record<string, string>) => {
    const { status, headers: answered } = await fetch(collection, { method: 'POST', headers: { ...TUS, ...headers } })
    t.equal(status, 201)
    return answered.get('location')!
  }
  const parts: string[] = []
  for (const content of ['hello', ' world']) {
    const part = await create({ 'upload-length': String(content.length), 'upload-concat': 'partial' })
    const appended = await fetch(part, { method: 'PATCH', headers: { ...TUS, ...BYTES, 'upload-offset': '0' }, body: content })
    t.equal(appended.status, 204)
    parts.push(part)
  }
  const final = await create({ 'upload-concat': `final;${parts.join(' ')}` })
  t.equal(await (await fetch(final)).text(), 'hello world')
  t.equal((await fetch(final, { method: 'HEAD', headers: TUS })).headers.get('upload-offset'), '11')
  return [...parts, final]
}

t.test('CR-14: the URL of an upload is a URI that works as it is, whatever the prefix', async t => {
  const prefixes: ReadonlyArray<readonly [prefix: string, asked: string, told: string, around?: string]> = [
    ['/', '/', '/'],
    ['/files', '/files', '/files/'],
    ['/files/', '/files', '/files/'],
    ['/files///', '/files/', '/files/'],
    ['/v1.0/files.d/.well-known', '/v1.0/files.d/.well-known', '/v1.0/files.d/.well-known/'],
    ['/файлы', '/файлы', '/%D1%84%D0%B0%D0%B9%D0%BB%D1%8B/'],
    ['/資料/上傳', '/資料/上傳/', '/%E8%B3%87%E6%96%99/%E4%B8%8A%E5%82%B3/'],
    ['/%D1%84%D0%B0%D0%B9%D0%BB%D1%8B', '/файлы', '/%D1%84%D0%B0%D0%B9%D0%BB%D1%8B/'],
    ['/my%20files', '/my%20files', '/my%20files/'],
    ['/100%25', '/100%25', '/100%25/'],
    ['/a&b=c+d,e;f@g$h!i(j)\'k~l', '/a&b=c+d,e;f@g$h!i(j)\'k~l', '/a&b=c+d,e;f@g$h!i(j)\'k~l/'],
    ['/a"<b>|^`{}[x]', '/a%22%3Cb%3E%7C%5E%60%7B%7D%5Bx%5D', '/a%22%3Cb%3E%7C%5E%60%7B%7D%5Bx%5D/'],
    ['/🎈', '/🎈', '/%F0%9F%8E%88/'],
    ['/t/:tenant/files', '/t/acme/files', '/t/acme/files/'],
    ['/t/:tenant/files', '/t/acme%20inc%2Fx/files/', '/t/acme%20inc%2Fx/files/'],
    ['/t/:tenant/files', '/t/компания/files?x=1', '/t/%D0%BA%D0%BE%D0%BC%D0%BF%D0%B0%D0%BD%D0%B8%D1%8F/files/'],
    ['/файлы/:tenant', '/файлы/acme', '/%D1%84%D0%B0%D0%B9%D0%BB%D1%8B/acme/'],
    ['/t/:a-:b.:c/files', '/t/1-2.3/files', '/t/1-2.3/files/'],
    ['/a::b', '/a:b', '/a:b/'],
    ['/files', '/t/acme/files', '/t/acme/files/', '/t/:tenant'],
    ['/:kind/files', '/t/acme/image/files', '/t/acme/image/files/', '/t/:tenant'],
    ['/files', '/приложение/files', '/%D0%BF%D1%80%D0%B8%D0%BB%D0%BE%D0%B6%D0%B5%D0%BD%D0%B8%D0%B5/files/', '/приложение']
  ]
  for (const [prefix, asked, told, around] of prefixes) {
    const { origin } = await listen(t, { prefix }, around)
    for (const url of await uploadInParts(t, `${origin}${asked}`)) {
      t.match(url, URI, prefix)
      t.equal(url.slice(0, url.lastIndexOf('/') + 1), `${origin}${told}`, prefix)
    }
  }
})

t.test('the answer to the end of an upload of the draft names it as its creation did, below parameters too', async t => {
  const { origin } = await listen(t, { prefix: '/t/:tenant/files' })
  const created = await fetch(`${origin}/t/a%20b/files`, { method: 'POST', headers: { 'upload-complete': '?0' }, body: 'hello' })
  const url = created.headers.get('location')!
  const ended = await fetch(url, { method: 'PATCH', headers: { 'content-type': 'application/partial-upload', 'upload-complete': '?1', 'upload-offset': '5' }, body: '!' })
  t.equal(ended.status, 201)
  t.equal(ended.headers.get('location'), url)
})

t.test('a part is named below the parameters of its own requests', async t => {
  const { origin } = await listen(t, { prefix: '/t/:tenant/files' })
  const make = async (tenant: string, concat: string) => fetch(`${origin}/t/${tenant}/files`, { method: 'POST', headers: { ...TUS, 'upload-concat': concat, ...concat === 'partial' && { 'upload-length': '0' } } })
  const part = (await make('a%20b', 'partial')).headers.get('location')!
  t.equal((await make('a%20b', `final;${part}`)).status, 201)
  t.equal((await make('a%20b', `final;${part.replace('a%20b', '%61%20b')}`)).status, 201, 'however it is written')
  for (const tenant of ['c', 'a']) {
    t.equal((await make(tenant, `final;${part}`)).status, 400)
    t.equal((await make(tenant, `final;${part.replace('a%20b', tenant)}`)).status, 400)
  }
})

t.test('a prefix that is no path, or that would lead elsewhere, is refused at registration', async t => {
  const prefixes = [
    'files', '', './files', 'http://example.org/files', '//files', '/a//b', '/a/./b', '/a/../b', '/..', '/.', '/%2e%2e/b', '/a\\b', '/%5C', '/a b', '/a\tb', '/a\u3000b', '/a\nb', '/%00', '/%0a',
    '/a?b', '/a#b', '/a%3Fb', '/a%2Fb', '/a%23b', '/a%3Ab', '/%zz', '/%', '/%f', '/%ff', '/%D1', '/\ud800', '/*', '/a*', '/%2a', '/a/*/b', '/:id', '/:a/:b', '/:', '/a/:', '/a/:/b', '/a/x:', '/a/:b?', '/a/:b(^\\d+$)',
    '/a/:b:c', '/a/:b/:b', '/a/:b*', null, 7, {}, ['/files']
  ]
  for (const prefix of prefixes) {
    await t.rejects(listen(t, { prefix } as TusOptions), { code: 'TUS_ERR_OPTION_INVALID', message: /'prefix' must be a path/ }, JSON.stringify(prefix))
  }
  await t.rejects(listen(t, { prefix: '/:tenant/files' }, '/t/:tenant'), { code: 'TUS_ERR_OPTION_INVALID', message: /'prefix' must be without a parameter/ })
})

t.test('rewriteUrl: the URL of an upload is below the one that the client asked', async t => {
  const app = Fastify({ rewriteUrl: ({ url = '/' }) => url.replace(/^\/public(?=\/|$)/, '') || '/' })
  t.teardown(() => app.close())
  await app.register(fastifyTus, { storage: createMemoryStorage() })
  app.put('/documents', app.tus.resumable(async () => 'stored'))
  await app.listen({ host: '127.0.0.1', port: 0 })
  const origin = `http://127.0.0.1:${(app.server.address() as AddressInfo).port}`
  for (const collection of ['/public/files', '/files']) {
    for (const url of await uploadInParts(t, `${origin}${collection}/`)) t.ok(url.startsWith(`${origin}${collection}/`), url)
    const created = await fetch(`${origin}${collection}`, { method: 'POST', headers: { 'upload-complete': '?0' }, body: 'hello' })
    const url = created.headers.get('location')!
    const ended = await fetch(url, { method: 'PATCH', headers: { 'content-type': 'application/partial-upload', 'upload-complete': '?1', 'upload-offset': '5' }, body: '!' })
    t.equal(ended.headers.get('location'), url)
  }
  const created = await fetch(`${origin}/public/documents?x=1`, { method: 'PUT', headers: { 'upload-complete': '?0' }, body: 'hello' })
  const url = created.headers.get('location')!
  t.match(url, new RegExp(`^${origin}/public/documents/~put/[0-9a-f]+\\?x=1$`))
  t.equal((await fetch(url, { method: 'HEAD', headers: { 'upload-draft-interop-version': '8' } })).status, 204)
})
