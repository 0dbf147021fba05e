import { text } from 'node:stream/consumers'
import t from 'tap'
import { startRoutes } from '../support/app.js'
import { append, ask, begin, getPath, retrieve, V8 } from '../support/ietf.js'

// Where routes with `app.tus.resumable` may be, and which uploads belong to them.

t.test('tus clients may send parts at once: the handler runs for the whole alone', async t => {
  const TUS = { 'tus-resumable': '1.0.0' }
  for (const prefix of ['', '/api/:tenant']) {
    const seen: unknown[] = []
    const { port } = await startRoutes(t, app => app.register(async scope => {
      scope.post('/documents', scope.tus.resumable(async ({ upload }) => {
        seen.push([upload!.partial, await text(scope.tus.createReadStream(upload!.id))])
        return 'fine'
      }))
    }, { prefix }))
    const target = `${prefix.replace(':tenant', 'a')}/documents`
    const part = { ...TUS, 'content-type': 'application/offset+octet-stream', 'upload-concat': 'partial' }
    const parts: string[] = []
    for (const body of ['hello', ' world']) {
      const made = await ask(t, port, 'POST', target, { ...part, 'upload-length': String(body.length) }, body)
      t.match(made, { status: 201, headers: { 'upload-offset': String(body.length) } })
      parts.push(made.headers.location!)
    }
    t.same(seen, [])
    t.match(await retrieve(t, port, getPath({ headers: { location: parts[0]! } }), V8), { status: 204, headers: { 'upload-complete': '?1' } })
    const whole = await ask(t, port, 'POST', target, { ...TUS, 'upload-concat': `final;${parts.join(' ')}` })
    t.match(whole, { status: 200, body: 'fine', headers: { 'tus-resumable': '1.0.0' } })
    t.same(seen, [[false, 'hello world']])
    const elsewhere = await ask(t, port, 'POST', '/files', { ...part, 'upload-length': '1' }, 'x')
    t.equal((await ask(t, port, 'POST', target, { ...TUS, 'upload-concat': `final;${elsewhere.headers.location!}` })).status, 400, 'a part of somebody else')
  }
})

t.test('routes that differ in their constraints alone have uploads of their own', async t => {
  const { port } = await startRoutes(t, app => {
    for (const host of ['a.example', 'b.example']) app.post('/documents', { constraints: { host } }, app.tus.resumable(async () => host))
    app.post('/documents', { constraints: { host: /c\.example$/ } }, app.tus.resumable(async () => 'c'))
  })
  const path = await begin(t, port, 'hello', { host: 'a.example' }, '/documents')
  for (const host of ['b.example', 'c.example']) {
    t.equal((await retrieve(t, port, path, { host, ...V8 })).status, 404)
    t.equal((await append(t, port, path, 5, '', '?1', { host })).status, 404)
  }
  t.match(await append(t, port, path, 5, '', '?1', { host: 'a.example' }), { status: 200, body: 'a.example' })
})

t.test('bodyLimit of the route is the largest upload of it, whoever sends it, and is announced', async t => {
  const { port } = await startRoutes(t, app => { app.post('/documents', { bodyLimit: 10 }, app.tus.resumable(async () => 'fine')) }, { maxSize: 1000 })
  t.equal((await ask(t, port, 'POST', '/documents', {}, 'hello')).status, 200)
  t.match((await ask(t, port, 'OPTIONS', '/documents')).headers, { 'upload-limit': /^max-size=10,/, 'tus-max-size': '10' })
  for (const headers of [{}, { 'transfer-encoding': 'chunked' }, { 'upload-complete': '?1' }, { 'upload-complete': '?0', 'upload-length': '11' }, { 'upload-complete': '?0', 'transfer-encoding': 'chunked' }]) {
    t.equal((await ask(t, port, 'POST', '/documents', headers, 'hello world')).status, 413, JSON.stringify(headers))
  }
  const path = await begin(t, port, 'hello', {}, '/documents')
  t.match(await append(t, port, path, 5, ' world', '?1'), { status: 413, headers: { 'upload-limit': /^max-size=10,/ } })
  t.equal((await ask(t, port, 'POST', '/files', { 'upload-complete': '?1' }, 'hello world')).status, 201, 'of that route alone')
})

t.test('what a route has of its own to validate, serialize and tell errors, its uploads have too', async t => {
  const { port } = await startRoutes(t, app => {
    app.post('/typed/:number', {
      schema: { params: { mine: true }, response: { 200: { mine: true } } },
      validatorCompiler: () => (data: { number?: string }) => data.number === 'x' ? { error: new Error('no number') } : { value: { number: Number(data.number) } },
      serializerCompiler: () => data => `mine ${JSON.stringify(data)}`,
      schemaErrorFormatter: errors => Object.assign(new Error('mine'), { errors })
    }, app.tus.resumable(async ({ params }) => params))
  })
  const path = await begin(t, port, 'hello', {}, '/typed/7')
  t.match(await append(t, port, path, 5, '', '?1'), { status: 200, body: 'mine {"number":7}' })
  t.equal((await retrieve(t, port, path.replace('/7/', '/x/'))).status, 400)
})

t.test('an id of the application may be as long as ids may be', async t => {
  const { port } = await startRoutes(t, app => { app.post('/documents', app.tus.resumable(async () => 'fine')) }, { generateId: () => 'x'.repeat(128) })
  const path = await begin(t, port, 'hello', {}, '/documents')
  t.match(await retrieve(t, port, path), { status: 204, headers: { 'upload-offset': '5' } })
  t.match(await append(t, port, path, 5, '', '?1'), { status: 200, body: 'fine' })
  for (const other of [`${path}y`, `${path}/`, `${path}/x`, path.slice(0, -128)]) t.equal((await retrieve(t, port, other)).status, 404)
})

t.test('tus clients may send PATCH and DELETE as POST', async t => {
  const { port } = await startRoutes(t, app => { app.post('/documents', app.tus.resumable(async () => 'fine')) })
  const TUS = { 'tus-resumable': '1.0.0' }
  const path = getPath(await ask(t, port, 'POST', '/documents', { ...TUS, 'upload-length': '5' }))
  const patch = { ...TUS, 'x-http-method-override': 'PATCH', 'content-type': 'application/offset+octet-stream', 'upload-offset': '0' }
  t.match(await ask(t, port, 'POST', path, patch, 'hello'), { status: 200, body: 'fine' })
  t.equal((await ask(t, port, 'POST', path, { ...TUS, 'x-http-method-override': 'DELETE' })).status, 204)
  t.match(await ask(t, port, 'POST', path, { 'upload-complete': '?1' }, 'x'), { status: 405, headers: { allow: /PATCH/ } })
})
