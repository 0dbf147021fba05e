// The applications of example/nestjs.ts and nest-beside.ts, compiled into dist/, as their clients see them.
import assert from 'node:assert/strict'
import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { mkdtemp } from 'node:fs/promises'
import http from 'node:http'
import { connect, createServer } from 'node:net'
import { resolve } from 'node:path'
import { test } from 'node:test'
import { setTimeout as sleep } from 'node:timers/promises'
import { Upload } from 'tus-js-client'

const TUS = { 'tus-resumable': '1.0.0' }
const TOKEN = { authorization: 'Bearer secret' }
const BYTES = { 'content-type': 'application/offset+octet-stream' }
const ORIGIN = { origin: 'https://app.example.com' }
const NAMED = { 'upload-metadata': 'filename eC50eHQ=' }

test('nestjs.ts: uploads with exceptions, services and cors of Nest', async t => {
  const cwd = await mkdtemp(resolve('uploads-'))
  const { base } = await start(t, 'nestjs', cwd)
  const bytes = Buffer.alloc(300_001, 'x')
  const url = await upload(`${base}/uploads`, bytes)
  const downloaded = await fetch(url, { headers: TOKEN })
  assert.deepEqual(Buffer.from(await downloaded.arrayBuffer()), bytes)
  assert.deepEqual(await (await fetch(`${base}/api/files`)).json(), ['x.txt'])

  const create = headers => fetch(`${base}/uploads`, { method: 'POST', headers: { ...TUS, 'upload-length': '5', ...headers } })
  const unknown = await create(NAMED)
  assert.equal(unknown.status, 401)
  assert.equal(unknown.headers.get('tus-resumable'), '1.0.0')
  assert.equal((await unknown.json()).message, 'Unauthorized')
  const nameless = await create(TOKEN)
  assert.equal(nameless.status, 403)
  assert.equal((await nameless.json()).message, 'A file needs a name')

  const created = await create({ ...TOKEN, ...NAMED, ...ORIGIN })
  assert.equal(created.status, 201)
  assert.equal(created.headers.get('access-control-allow-origin'), ORIGIN.origin)
  assert.match(created.headers.get('access-control-expose-headers'), /Location.*Upload-Offset/)
  const elsewhere = await fetch(created.headers.get('location'), { method: 'PATCH', headers: { ...TUS, ...TOKEN, ...BYTES, 'upload-offset': '3' }, body: 'lo' })
  assert.equal(elsewhere.status, 409)
  assert.equal(elsewhere.headers.get('upload-offset'), '0')
  assert.match((await elsewhere.json()).message, /byte 0/)

  const preflight = await fetch(`${base}/uploads`, { method: 'OPTIONS', headers: { ...ORIGIN, 'access-control-request-method': 'PATCH', 'access-control-request-headers': 'tus-resumable, upload-offset' } })
  assert.equal(preflight.status, 204)
  assert.match(preflight.headers.get('access-control-allow-methods'), /PATCH/)
  assert.match(preflight.headers.get('access-control-allow-headers'), /upload-offset/i)
})

test('nestjs.ts: a body of JSON or a form is stored as it is, past the parsers of Nest', async t => {
  const { base } = await start(t, 'nestjs', await mkdtemp(resolve('uploads-')))
  for (const type of ['application/json', 'application/x-www-form-urlencoded', 'text/plain']) {
    const headers = { ...TOKEN, 'content-type': type, 'content-disposition': 'attachment; filename="x.txt"', 'upload-complete': '?1' }
    const created = await fetch(`${base}/uploads`, { method: 'POST', headers, body: '{"not": json' })
    assert.ok(created.ok, `${created.status} ${await created.text()}`)
    assert.equal(await (await fetch(new URL(created.headers.get('location'), base), { headers: TOKEN })).text(), '{"not": json')
  }
})

test('nestjs.ts: SIGTERM ends a request in order, and the next process knows what it kept', async t => {
  const cwd = await mkdtemp(resolve('uploads-'))
  const first = await start(t, 'nestjs', cwd)
  const created = await fetch(`${first.base}/uploads`, { method: 'POST', headers: { ...TUS, ...TOKEN, ...NAMED, 'upload-length': '1000000' } })
  const path = new URL(created.headers.get('location')).pathname
  const request = http.request(`${first.base}${path}`, { method: 'PATCH', headers: { ...TUS, ...TOKEN, ...BYTES, 'upload-offset': '0', 'content-length': '1000000', expect: '100-continue' } })
  request.flushHeaders()
  await once(request, 'continue')
  request.write(Buffer.alloc(100_000))
  first.child.kill('SIGTERM')
  const [response] = await once(request, 'response')
  assert.equal(response.statusCode, 503)
  request.destroy()
  await first.ended
  const second = await start(t, 'nestjs', cwd)
  const head = await fetch(`${second.base}${path}`, { method: 'HEAD', headers: { ...TUS, ...TOKEN } })
  assert.equal(head.headers.get('upload-offset'), response.headers['upload-offset'])
})

test('nest-beside.ts: middleware sees uploads, guards do not, and the parsers of Nest are as ever', async t => {
  const { base } = await start(t, 'nest-beside', await mkdtemp(resolve('uploads-')), { GUARDS: 'closed' })
  assert.equal((await fetch(`${base}/anything`, { method: 'POST', headers: { 'content-type': 'application/json' }, body: '{}' })).status, 403)
  await upload(`${base}/uploads`, Buffer.alloc(1000))

  const open = await start(t, 'nest-beside', await mkdtemp(resolve('uploads-')))
  const url = await upload(`${open.base}/uploads`, Buffer.alloc(1000))
  const complete = await fetch(url, { method: 'PATCH', headers: { ...TUS, ...BYTES, 'upload-offset': '3' }, body: 'lo' })
  assert.equal(complete.status, 409)
  assert.equal(complete.headers.get('upload-offset'), '1000')
  assert.match((await complete.json()).message, /byte 1000/)
  const json = await fetch(`${open.base}/anything`, { method: 'POST', headers: { 'content-type': 'application/json' }, body: '{"a": 1}' })
  assert.deepEqual(await json.json(), { body: { a: 1 }, raw: '{"a": 1}', seen: ['POST /uploads', 'PATCH /uploads', 'PATCH /uploads', 'POST /anything'] })
})

/** A server of its own process, which ends with the test. */
async function start (t, name, cwd, env = {}) {
  const port = await findPort()
  const child = spawn(process.execPath, [resolve('dist', `${name}.js`)], { cwd, env: { ...process.env, ...env, PORT: String(port) }, stdio: ['ignore', 'ignore', 'inherit'] })
  const ended = once(child, 'exit')
  t.after(() => child.kill('SIGKILL'))
  while (!await canConnect(port)) {
    if (child.exitCode !== null) throw new Error(`${name} ended with ${child.exitCode}`)
    await sleep(50)
  }
  return { child, ended, base: `http://127.0.0.1:${port}` }
}

async function findPort () {
  const server = createServer().listen(0, '127.0.0.1')
  await once(server, 'listening')
  const { port } = server.address()
  server.close()
  await once(server, 'close')
  return port
}

function canConnect (port) {
  return new Promise(resolve => {
    const socket = connect(port, '127.0.0.1')
    socket.once('connect', () => resolve(true)).once('error', () => resolve(false))
    socket.once('connect', () => socket.destroy())
  })
}

function upload (endpoint, bytes) {
  return new Promise((resolve, reject) => {
    const upload = new Upload(bytes, { endpoint, chunkSize: 100_000, headers: TOKEN, metadata: { filename: 'x.txt' }, onError: reject, onSuccess: () => resolve(upload.url) })
    upload.start()
  })
}
