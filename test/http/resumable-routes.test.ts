import { text } from 'node:stream/consumers'
import t from 'tap'
import { startRoutes } from '../support/app.js'
import { ask, getPath, retrieve } from '../support/ietf.js'

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
    t.match(await retrieve(t, port, getPath({ headers: { location: parts[0]! } }), { 'upload-draft-interop-version': '8' }), { status: 204, headers: { 'upload-complete': '?1' } })
    const whole = await ask(t, port, 'POST', target, { ...TUS, 'upload-concat': `final;${parts.join(' ')}` })
    t.match(whole, { status: 200, body: 'fine', headers: { 'tus-resumable': '1.0.0' } })
    t.same(seen, [[false, 'hello world']])
    const elsewhere = await ask(t, port, 'POST', '/files', { ...part, 'upload-length': '1' }, 'x')
    t.equal((await ask(t, port, 'POST', target, { ...TUS, 'upload-concat': `final;${elsewhere.headers.location!}` })).status, 400, 'a part of somebody else')
  }
})
