import t, { type Test } from 'tap'
import { createMemoryStorage } from '../../adapters/memory/index.js'
import type { Storage } from '../../lib/index.js'
import { startApp, type TestApp } from '../support/app.js'
import { BYTES, TUS, createUpload, getOffset, getPath, makeBytes, patch, sleep } from '../support/http-tus.js'
import { formatHead, openRaw, type RawClient } from '../support/raw-socket.js'
import { DEADLINE } from '../support/waiting.js'

const LENGTH = 100_000

/** Opens a PATCH of {@link LENGTH} bytes and sends none of them. */
async function begin (t: Test, { app, port }: TestApp, headers: Record<string, string> = {}): Promise<{ url: string, client: RawClient }> {
  const url = await createUpload(app, { 'upload-length': String(LENGTH) })
  const client = openRaw(t, port)
  await client.send(formatHead('PATCH', url, { ...TUS, ...BYTES, 'upload-offset': '0', 'content-length': String(LENGTH), ...headers }))
  return { url, client }
}

/** Sends a byte every 50 ms until the server has closed the connection; how many it sent. */
async function trickle (client: RawClient): Promise<number> {
  const end = Date.now() + DEADLINE
  for (let sent = 0; ; sent++) {
    if (client.closed || Date.now() > end) return sent
    await client.send('x')
    await sleep(50)
  }
}

t.test('a body that brings fewer bytes than it must ends with 503, and what arrived is kept', async t => {
  const server = await startApp(t, { minRate: { bytes: 100, window: 1500 } })
  const { url, client } = await begin(t, server)
  const [answer, sent] = await Promise.all([client.receive('PATCH'), trickle(client)])
  t.match(answer, { status: 503, headers: { connection: 'close' } })
  t.match(JSON.parse(answer!.body), { code: 'TUS_ERR_BODY_STALLED' })
  const offset = Number(answer!.headers['upload-offset'])
  t.ok(offset > 0 && offset < 100 && offset <= sent, `${offset} of ${sent} bytes`)
  t.equal(await getOffset(server.app, url), String(offset))
  t.equal((await patch(server.app, url, offset, Buffer.alloc(LENGTH - offset))).statusCode, 204, 'and the upload goes on')
})

t.test('a body that began fast and then trickles ends, too: every window counts', async t => {
  const server = await startApp(t, { minRate: { bytes: 100, window: 1500 } })
  const { url, client } = await begin(t, server)
  await client.send(Buffer.alloc(50_000))
  const [answer] = await Promise.all([client.receive('PATCH'), trickle(client)])
  t.equal(answer?.status, 503)
  const offset = Number(answer!.headers['upload-offset'])
  t.ok(offset > 50_000 && offset < 50_200, String(offset))
  t.equal(await getOffset(server.app, url), String(offset))
})

t.test('a slow body that brings enough goes on for many windows', async t => {
  const server = await startApp(t, { minRate: { bytes: 10, window: 2000 } })
  const { client } = await begin(t, server)
  const answer = client.receive('PATCH')
  for (let sent = 0; sent < 70; sent++) {
    await client.send(Buffer.alloc(50))
    await sleep(100)
  }
  await client.send(Buffer.alloc(LENGTH - 70 * 50))
  t.match(await answer, { status: 204, headers: { 'upload-offset': String(LENGTH) } })
})

t.test('without a minimum a byte now and then is enough', async t => {
  const server = await startApp(t, { minRate: null })
  const { client } = await begin(t, server)
  const answer = client.receive('PATCH')
  for (let sent = 0; sent < 10; sent++) {
    await client.send('x')
    await sleep(50)
  }
  await client.send(Buffer.alloc(LENGTH - 10))
  t.match(await answer, { status: 204 })
})

t.test('a storage that is slow is not the fault of the client', async t => {
  const memory = createMemoryStorage()
  const pauses: number[] = []
  const storage: Storage = {
    ...memory,
    append: (id, addition) => memory.append(id, {
      ...addition,
      body: {
        async next (wanted) {
          const batch = await addition.body.next(wanted)
          pauses.push(1)
          await sleep(2100)
          return batch
        }
      }
    })
  }
  const content = makeBytes(6 * 1024 * 1024)
  const server = await startApp(t, { storage, minRate: { bytes: 1000, window: 1000 } })
  const url = await createUpload(server.app, { 'upload-length': String(content.length) })
  const client = openRaw(t, server.port)
  await client.send(formatHead('PATCH', url, { ...TUS, ...BYTES, 'upload-offset': '0', 'content-length': String(content.length) }))
  const [answer] = await Promise.all([client.receive('PATCH'), client.send(content)])
  t.match(answer, { status: 204, headers: { 'upload-offset': String(content.length) } })
  t.ok(pauses.length >= 3, `${pauses.length} batches`)
})

t.test('nothing counts of a slow body with a checksum', async t => {
  const server = await startApp(t, { minRate: { bytes: 100, window: 400 } })
  const { url, client } = await begin(t, server, { 'upload-checksum': `sha1 ${Buffer.alloc(20).toString('base64')}` })
  const [answer] = await Promise.all([client.receive('PATCH'), trickle(client)])
  t.match(answer, { status: 503, headers: { 'upload-offset': '0' } })
  t.equal(await getOffset(server.app, url), '0')
})

t.test('a slow body that came with the creation: the client is told where to go on', async t => {
  const server = await startApp(t, { minRate: { bytes: 100, window: 1500 } })
  const client = openRaw(t, server.port)
  await client.send(formatHead('POST', '/files', { ...TUS, ...BYTES, 'upload-length': '1000', 'content-length': '1000' }))
  const [answer] = await Promise.all([client.receive('POST'), trickle(client)])
  t.equal(answer?.status, 201)
  const offset = answer!.headers['upload-offset']
  t.ok(Number(offset) > 0 && Number(offset) < 100)
  t.equal(await getOffset(server.app, getPath(answer as never)), offset)
})
