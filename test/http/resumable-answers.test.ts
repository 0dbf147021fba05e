import t from 'tap'
import { startRoutes } from '../support/app.js'
import { append, ask, begin } from '../support/ietf.js'

// What handlers of `app.tus.resumable` say, and what becomes of it.

t.test('an async handler that returns nothing answers with nothing, as it does without us', async t => {
  const { port } = await startRoutes(t, app => {
    app.post('/nothing', app.tus.resumable(async () => {}))
    app.post('/status', app.tus.resumable(async (_request, reply) => { reply.code(204) }))
  })
  for (const [route, status] of [['/nothing', 200], ['/status', 204]] as const) {
    t.match(await ask(t, port, 'POST', route, {}, 'hello'), { status, body: '' })
    const path = await begin(t, port, 'hello', {}, route)
    for (let round = 0; round < 2; round++) t.match(await append(t, port, path, 5, '', '?1'), { status, body: '', headers: { 'upload-complete': '?1' } })
  }
})
