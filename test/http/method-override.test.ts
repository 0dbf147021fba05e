import type { InjectOptions } from 'fastify'
import t from 'tap'
import { makeApp } from '../support/app.js'
import { BYTES, TUS, createComplete, createUpload, getOffset, head } from '../support/http-tus.js'

const METHODS: ReadonlyArray<NonNullable<InjectOptions['method']>> = ['GET', 'POST', 'PUT', 'PATCH', 'DELETE', 'HEAD', 'OPTIONS']

t.test('CO-15, CO-16: X-HTTP-Method-Override counts as PATCH, whatever the actual method', async t => {
  const { app } = await makeApp(t)
  for (const method of METHODS) {
    const url = await createUpload(app)
    const headers = { ...TUS, ...BYTES, 'upload-offset': '0', 'x-http-method-override': 'PATCH' }
    const response = await app.inject({ method, url, headers, payload: 'hello' })
    t.equal(response.statusCode, 204, method)
    t.equal(response.headers['upload-offset'], '5')
    t.equal((await app.inject(url)).body, 'hello')
  }
})

t.test('CO-15, CO-16: as HEAD', async t => {
  const { app } = await makeApp(t)
  const url = await createUpload(app)
  for (const method of METHODS) {
    const response = await app.inject({ method, url, headers: { ...TUS, 'x-http-method-override': 'HEAD' } })
    t.equal(response.statusCode, 200, method)
    t.match(response.headers, { 'upload-offset': '0', 'upload-length': '5', 'cache-control': 'no-store' })
  }
})

t.test('CO-15, CO-16: as DELETE', async t => {
  const { app } = await makeApp(t)
  for (const method of METHODS) {
    const url = await createUpload(app)
    t.equal((await app.inject({ method, url, headers: { ...TUS, 'x-http-method-override': 'DELETE' } })).statusCode, 204, method)
    t.equal((await head(app, url)).statusCode, 404)
  }
})

t.test('CO-15, CO-16: as POST', async t => {
  const { app } = await makeApp(t)
  for (const method of METHODS) {
    const response = await app.inject({ method, url: '/files', headers: { ...TUS, 'upload-length': '5', 'x-http-method-override': 'POST' } })
    t.equal(response.statusCode, 201, method)
    t.ok(response.headers.location)
  }
})

t.test('CO-15, CO-16, CO-36: as OPTIONS, and as GET', async t => {
  const { app } = await makeApp(t)
  const url = await createComplete(app, 'hello')
  for (const method of METHODS) {
    const options = await app.inject({ method, url, headers: { 'tus-resumable': '9', 'x-http-method-override': 'OPTIONS' } })
    t.match(options, { statusCode: 204, headers: { 'tus-version': '1.0.0' } }, method)
    const get = await app.inject({ method, url, headers: { 'x-http-method-override': 'GET' } })
    t.equal(get.statusCode, 200)
    t.equal(get.body, method === 'HEAD' ? '' : 'hello')
  }
})

t.test('CO-15, CO-16: the name of the method may be written in lower case', async t => {
  const { app } = await makeApp(t)
  const url = await createUpload(app)
  const headers = { ...TUS, ...BYTES, 'upload-offset': '0', 'x-http-method-override': 'patch' }
  t.equal((await app.inject({ method: 'POST', url, headers, payload: 'hello' })).statusCode, 204)
})

t.test('CO-8, CO-15: the version is asked for by the method that counts', async t => {
  const { app } = await makeApp(t)
  const url = await createUpload(app)
  t.equal((await app.inject({ method: 'OPTIONS', url, headers: { 'x-http-method-override': 'DELETE' } })).statusCode, 412)
  t.equal((await app.inject({ method: 'GET', url, headers: { 'x-http-method-override': 'HEAD' } })).statusCode, 412)
})

t.test('CO-16: an unknown method is 405, and the actual one does not step in', async t => {
  const { app } = await makeApp(t)
  const url = await createUpload(app)
  for (const override of ['PUT', 'TRACE', 'FOO', '', 'PATCH, PATCH', 'PATCH HEAD', '__proto__', 'constructor', 'toString']) {
    const headers = { ...TUS, ...BYTES, 'upload-offset': '0', 'x-http-method-override': override }
    t.equal((await app.inject({ method: 'PATCH', url, headers, payload: 'hello' })).statusCode, 405, override)
  }
  t.equal(await getOffset(app, url), '0')
})
