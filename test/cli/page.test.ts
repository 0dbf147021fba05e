import Fastify, { type FastifyInstance } from 'fastify'
import { fileURLToPath } from 'node:url'
import { gunzipSync } from 'node:zlib'
import t, { type Test } from 'tap'
import { parseServeFlags } from '../../lib/cli/flags.js'
import { registerPage } from '../../lib/cli/page.js'
import { makeDirectory } from '../support/app.js'
import { ServerProcess } from '../support/server-process.js'

const BUILT = fileURLToPath(new URL('../../dist/lib/cli/page', import.meta.url))

t.test('the page may run its own scripts and styles, and nothing else', async t => {
  const { headers } = await createApp(t).inject('/')
  t.equal(headers['content-security-policy'], [
    "default-src 'none'", "script-src 'self'", "style-src 'self'", "img-src 'self' blob: data:", "connect-src 'self'",
    "base-uri 'none'", "form-action 'none'", "frame-ancestors 'none'", "require-trusted-types-for 'script'"
  ].join('; '))
  t.match(headers, { 'x-content-type-options': 'nosniff', 'x-frame-options': 'DENY', 'referrer-policy': 'no-referrer', 'cross-origin-resource-policy': 'same-origin' })
})

t.test('all that the page names is there, to be kept for ever where its name has a digest', async t => {
  const app = createApp(t)
  const { body, headers } = await app.inject('/')
  t.equal(headers['content-type'], 'text/html; charset=utf-8')
  t.equal(headers['cache-control'], 'no-cache')
  t.notMatch(body, /\{\{|<style|style=|onclick|<script(?! type="module" src=)/, 'and nothing stands in line')
  const assets = await Promise.all([...body.matchAll(/(?:href|src)="(page\/[^"]+)"/g)].map(async ([, path]) => {
    const { statusCode, headers } = await app.inject(`/${path}`)
    t.equal(statusCode, 200, path!)
    t.ok(headers['content-security-policy'])
    return [path!.replace(/-[A-Z0-9]{8}\./, '.'), headers['content-type'], headers['cache-control']]
  }))
  const forEver = 'public, max-age=31536000, immutable'
  t.same(assets, [
    ['page/icon.svg', 'image/svg+xml; charset=utf-8', forEver],
    ['page/style.css', 'text/css; charset=utf-8', forEver],
    ['page/main.js', 'text/javascript; charset=utf-8', forEver],
    ['page/licences.txt', 'text/plain; charset=utf-8', 'no-cache']
  ])
})

t.test('the licence of everything in the bundle is in licences.txt', async t => {
  const { body } = await createApp(t).inject('/page/licences.txt')
  for (const name of ['@uppy/core', '@uppy/dashboard', '@uppy/tus', '@uppy/golden-retriever', 'tus-js-client', 'preact']) {
    t.match(body, new RegExp(`^${name} \\d+\\.\\d+\\.\\d+$`, 'm'), name)
  }
  t.match(body, 'Permission is hereby granted')
})

t.test('it is packed for those who unpack it, and not sent again to those who have it', async t => {
  const app = createApp(t)
  const plain = await app.inject('/')
  t.notOk(plain.headers['content-encoding'])
  const packed = await app.inject({ url: '/', headers: { 'accept-encoding': 'gzip, br' } })
  t.equal(packed.headers['content-encoding'], 'gzip')
  t.equal(gunzipSync(packed.rawPayload).toString(), plain.body)
  t.equal(packed.headers.vary, 'accept-encoding')
  t.not(packed.headers.etag, plain.headers.etag)
  t.notOk((await app.inject({ url: '/', headers: { 'accept-encoding': 'gzip;q=0, br' } })).headers['content-encoding'])
  const again = await app.inject({ url: '/', headers: { 'accept-encoding': 'gzip', 'if-none-match': String(packed.headers.etag) } })
  t.equal(again.statusCode, 304)
  t.equal(again.body, '')
  t.equal((await app.inject({ url: '/', headers: { 'if-none-match': String(packed.headers.etag) } })).statusCode, 200)
})

t.test('HEAD tells what GET would', async t => {
  const { statusCode, headers, body } = await createApp(t).inject({ url: '/', method: 'HEAD' })
  t.equal(statusCode, 200)
  t.equal(headers['content-type'], 'text/html; charset=utf-8')
  t.equal(body, '')
})

t.test('the page knows where to create uploads, how large they may be, and whether they can be fetched', async t => {
  t.match((await createApp(t).inject('/')).body, '<body data-endpoint="./files" data-max-size="" data-download="true">')
  const other = await createApp(t, ['--prefix', '/a"b/c/', '--max-size', '5GB', '--no-download']).inject('/')
  t.match(other.body, '<body data-endpoint="./a&#34;b/c" data-max-size="5000000000" data-download="false">')
})

t.test('there is no page where uploads are created at the root, or below a prefix with parameters', async t => {
  for (const prefix of ['/', '//', '/:tenant/files', '/files/*']) {
    t.equal((await createApp(t, ['--prefix', prefix]).inject('/')).statusCode, 404, prefix)
  }
})

t.test('a page that was not built is an error at the start', async t => {
  const directory = await makeDirectory(t)
  t.throws(() => registerPage(Fastify(), parseServeFlags([], {}), directory), { code: 'ENOENT' })
})

t.test('serve: the page is at /, uploads go on below their prefix, and --no-page leaves only them', async t => {
  const server = await ServerProcess.start(t)
  const page = new URL('/', server.url)
  t.match(await (await fetch(page)).text(), '<h1>Upload files</h1>')
  t.equal((await fetch(page, { method: 'POST' })).status, 404)
  t.equal((await fetch(server.url, { method: 'OPTIONS' })).headers.get('tus-version'), '1.0.0')
  const without = await ServerProcess.start(t, { flags: ['--no-page'] })
  t.equal((await fetch(new URL('/', without.url))).status, 404)
  t.equal((await fetch(without.url, { method: 'OPTIONS' })).headers.get('tus-version'), '1.0.0')
  const atRoot = await ServerProcess.start(t, { flags: ['--prefix', '/'] })
  t.equal((await fetch(new URL('/', atRoot.url), { method: 'OPTIONS' })).headers.get('tus-version'), '1.0.0')
})

function createApp (t: Test, flags: readonly string[] = []): FastifyInstance {
  const app = Fastify()
  t.teardown(() => app.close())
  registerPage(app, parseServeFlags(flags, {}), BUILT)
  return app
}
