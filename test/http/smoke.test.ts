import t from 'tap'
import { makeApp } from '../support/app.js'

t.test('creates, appends, tells', async t => {
  const { app } = await makeApp(t)
  const created = await app.inject({ method: 'POST', url: '/files', headers: { 'tus-resumable': '1.0.0', 'upload-length': '5' } })
  t.equal(created.statusCode, 201)
  const url = new URL(created.headers.location!).pathname
  const patched = await app.inject({ method: 'PATCH', url, headers: { 'tus-resumable': '1.0.0', 'upload-offset': '0', 'content-type': 'application/offset+octet-stream' }, payload: 'hello' })
  t.equal(patched.statusCode, 204)
  t.equal(patched.headers['upload-offset'], '5')
  t.equal((await app.inject(url)).body, 'hello')
})
