import t from 'tap'
import { createMemoryStorage } from '../../adapters/memory/index.js'
import { loadExample } from '../support/example.js'
import { TUS } from '../support/http-tus.js'

const ORIGIN = 'https://app.example.com'

t.test('example/cors.mjs: a preflight needs no token, and the page reads why it was refused', async t => {
  const { createServer } = await loadExample('cors')
  const isAllowed = (authorization: string) => authorization === 'Bearer good'
  const app = await createServer({ origins: [ORIGIN], isAllowed, storage: createMemoryStorage() })
  t.teardown(() => app.close())
  const asked = { origin: ORIGIN, 'access-control-request-method': 'POST', 'access-control-request-headers': 'authorization,traceparent,tus-resumable' }
  t.match(await app.inject({ method: 'OPTIONS', url: '/files', headers: asked }), { statusCode: 204, headers: { 'access-control-allow-origin': ORIGIN, 'access-control-allow-headers': /Authorization.*traceparent/ } })
  const create = { ...TUS, origin: ORIGIN, 'upload-length': '5' }
  t.match(await app.inject({ method: 'POST', url: '/files', headers: create }), { statusCode: 401, headers: { 'access-control-allow-origin': ORIGIN } })
  t.match(await app.inject({ method: 'POST', url: '/files', headers: { ...create, authorization: 'Bearer good' } }), { statusCode: 201, headers: { 'access-control-expose-headers': /Location/ } })
})
