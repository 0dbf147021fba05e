import t from 'tap'
import { sleep, until } from '../support/http-tus.js'
import { formatHead, openRaw } from '../support/raw-socket.js'
import { ServerProcess } from '../support/server-process.js'
import { createUpload } from '../support/tus-client-raw.js'

const TUS = { 'tus-resumable': '1.0.0' }
/** More bytes than are sent one by one. */
const LENGTH = 10_000
const BYTES = { 'content-type': 'application/offset+octet-stream' }

t.test('serve cuts a client whose head does not come to an end, and one that sends nothing; a slow body goes on', async t => {
  const server = await ServerProcess.start(t, { flags: ['--headers-timeout', '1s'] })
  const path = await createUpload(server.port, LENGTH)
  const body = openRaw(t, server.port)
  await body.send(formatHead('PATCH', path, { ...TUS, ...BYTES, 'upload-offset': '0', 'content-length': String(LENGTH) }))

  const start = Date.now()
  const slow = openRaw(t, server.port)
  const silent = openRaw(t, server.port)
  await slow.send(`PATCH ${path} HTTP/1.1\r\nHost: localhost\r\n`)
  const dripping = (async () => {
    let sent = 0
    // A little longer than both others.
    for (let after = 0; after < 10; sent++) {
      if (slow.closed && silent.closed) after++
      else await slow.send(`X-${sent}: y\r\n`)
      await body.send('x')
      await sleep(100)
    }
    await body.send('x'.repeat(LENGTH - sent))
  })()
  // Whatever it sent in time is no request: nothing but a 408 may come back.
  const answer = await slow.receive()
  await Promise.all([slow.waitForEnd(), silent.waitForEnd()])
  const took = Date.now() - start
  t.equal(answer?.status, 408)
  t.ok(took >= 500, `${took} ms`)
  await dripping
  t.match(await body.receive('PATCH'), { status: 204, headers: { 'upload-offset': String(LENGTH) } }, 'a body may take longer than a head')
})

t.test('a hundred slow heads keep nobody from an upload, and leave nothing open', async t => {
  const server = await ServerProcess.start(t, { flags: ['--headers-timeout', '1s'] })
  const clients = Array.from({ length: 100 }, () => openRaw(t, server.port))
  await Promise.all(clients.map(client => client.send('POST /files HTTP/1.1\r\nHost: a\r\nX: ')))
  const path = await createUpload(server.port, 5)
  t.match(path, /^\/files\//)
  await Promise.all(clients.map(client => client.waitForEnd()))
  await until('the server has closed them all', () => server.countConnections() <= 1)
})

t.test('--max-connections: who comes beyond is dropped, and there is room again when one leaves', async t => {
  const server = await ServerProcess.start(t, { flags: ['--max-connections', '2'] })
  const ask = async () => {
    const client = openRaw(t, server.port)
    await client.send(formatHead('OPTIONS', '/files', {}))
    return { client, status: (await client.receive('OPTIONS'))?.status ?? null }
  }
  const first = await ask()
  const second = await ask()
  t.strictSame([first.status, second.status], [204, 204])
  t.equal((await ask()).status, null, 'dropped without an answer')
  first.client.reset()
  await until('there is room', async () => (await ask()).status === 204)
})
