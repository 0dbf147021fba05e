import t, { type Test } from 'tap'
import type { TusOptions } from '../../lib/index.js'
import { startApp } from '../support/app.js'
import { createComplete, type Headers } from '../support/http-tus.js'
import { noNginx as skip, startNginx } from '../support/nginx.js'

// Downloads behind an nginx that keeps whatever it may, for an hour.

const CONTENT = '0123456789'
const ANN = { 'x-token': 'ann' }

/** A file of Ann, who alone may download; and what a client gets for it through the cache. */
async function start (t: Test, options: TusOptions = {}, location = '', cache = 'proxy_cache files;') {
  const { app, port } = await startApp(t, options)
  app.tus.addHook('preAccess', ({ headers }, _upload, action) => {
    if (action === 'download' && headers['x-token'] !== 'ann') throw Object.assign(new Error('not yours'), { statusCode: 403 })
  })
  const proxy = await startNginx(t, port, {
    http: 'proxy_cache_path cache keys_zone=files:1m;',
    location: `${cache} proxy_cache_valid any 1h; add_header X-Cache $upstream_cache_status always; ${location}`
  })
  const path = await createComplete(app, CONTENT)
  const ask = async (headers: Headers, method = 'GET') => {
    const response = await fetch(`http://127.0.0.1:${proxy}${path}`, { method, headers })
    return { status: response.status, body: await response.text(), headers: Object.fromEntries(response.headers) }
  }
  return { app, ask, id: path.split('/').at(-1)! }
}

t.test('behind nginx with proxy_cache', { skip }, async t => {
  await t.test('an authorized download is not handed to a stranger, and a refusal not to the owner', async t => {
    const { ask } = await start(t)
    for (let round = 0; round < 2; round++) {
      t.match(await ask({}), { status: 403 })
      t.match(await ask({}, 'HEAD'), { status: 403 })
      t.match(await ask(ANN), { status: 200, body: CONTENT, headers: { 'cache-control': 'private, no-cache' } })
      t.match(await ask(ANN, 'HEAD'), { status: 200, body: '', headers: { 'content-length': '10' } })
    }
  })

  await t.test('a removed file is not served, and one that comes later is', async t => {
    const { app, ask, id } = await start(t, { generateId: () => 'one' })
    t.match(await ask(ANN), { status: 200, body: CONTENT })
    await app.tus.terminate(id)
    t.match(await ask(ANN), { status: 404, headers: { 'cache-control': 'no-store' } })
    await createComplete(app, 'another')
    t.match(await ask(ANN), { status: 200, body: 'another' })
  })

  await t.test('ranges work by the line of the documentation, and are no way around the application', async t => {
    const { ask } = await start(t, {}, 'proxy_force_ranges on;')
    for (let round = 0; round < 2; round++) {
      t.match(await ask({ ...ANN, range: 'bytes=2-4' }), { status: 206, body: '234', headers: { 'content-range': 'bytes 2-4/10' } })
      t.match(await ask({ ...ANN, range: 'bytes=99-' }), { status: 416 })
      t.match(await ask({ range: 'bytes=2-4' }), { status: 403 })
    }
  })

  await t.test('with proxy_cache off for uploads, ranges and conditions are answered here', async t => {
    const { ask } = await start(t, {}, '', 'proxy_cache off;')
    const { headers: { etag } } = await ask(ANN)
    t.match(await ask({ ...ANN, range: 'bytes=2-4' }), { status: 206, body: '234' })
    t.match(await ask({ ...ANN, 'if-none-match': etag! }), { status: 304 })
  })

  await t.test('what the application calls public is served from the cache', async t => {
    const { ask } = await start(t, { download: { cacheControl: 'public, max-age=3600' } })
    t.match(await ask(ANN), { status: 200, headers: { 'x-cache': 'MISS' } })
    t.match(await ask({}), { status: 200, body: CONTENT, headers: { 'x-cache': 'HIT' } })
    t.match(await ask({ range: 'bytes=2-4' }), { status: 206, body: '234', headers: { 'x-cache': 'HIT' } })
  })
})
