import t from 'tap'
import { makeBytes } from '../support/http-tus.js'
import { begin, open, PARTIAL, receiveAll, retrieve, V8 } from '../support/ietf.js'
import { noNginx as skip, startNginx } from '../support/nginx.js'
import { ServerProcess } from '../support/server-process.js'
import { download, sha256 } from '../support/tus-client-bytes.js'

// The draft behind a real nginx, set up as docs/protocols.md has it.

const CONTENT = makeBytes(3_000_000)

t.test('behind nginx, an upload whose connections are cut is whole, and what they brought is kept', { skip }, async t => {
  const server = await ServerProcess.start(t)
  const port = await startNginx(t, server.port)
  const path = await begin(t, port, '', { 'upload-length': String(CONTENT.length) })
  let offset = 0
  for (let cut = 0; cut < 6; cut++) {
    const size = Math.min(400_000 + cut, CONTENT.length - offset - 1)
    const headers = { ...PARTIAL, 'upload-offset': String(offset), 'upload-complete': '?1', 'content-length': String(CONTENT.length - offset) }
    const sending = await open(t, port, 'PATCH', path, headers, '')
    await sending.send(CONTENT.subarray(offset, offset + size))
    await server.waitForBytes(path, offset + size)
    if (cut % 2 === 0) sending.reset()
    const answer = await retrieve(t, port, path)
    t.match(answer, { status: 204, headers: { 'upload-offset': String(offset + size), 'upload-complete': '?0' } })
    offset += size
  }
  const last = await open(t, port, 'PATCH', path, { ...PARTIAL, 'upload-offset': String(offset), 'upload-complete': '?1', 'content-length': String(CONTENT.length - offset) }, '')
  await last.send(CONTENT.subarray(offset))
  t.match(await receiveAll(last, 'PATCH'), { status: 201, headers: { 'upload-complete': '?1' } })
  t.strictSame(await download(`http://127.0.0.1:${port}${path}`), { size: CONTENT.length, sha256: sha256(CONTENT) })
})

t.test('behind nginx, a 104 harms no other request, whatever nginx makes of it', { skip }, async t => {
  const server = await ServerProcess.start(t)
  const port = await startNginx(t, server.port)
  const sending = await open(t, port, 'POST', '/files', { ...V8, 'upload-complete': '?1', 'content-length': '11' }, 'hello')
  const first = await sending.receiveAny('POST', 1_000).catch(() => null)
  t.comment(JSON.stringify(first))
  await sending.send(' world')
  const answer = await receiveAll(sending, 'POST').catch(() => null)
  t.comment(JSON.stringify(answer))
  for (let round = 0; round < 3; round++) t.match((await retrieve(t, port, await begin(t, port, 'hello'))).headers, { 'upload-offset': '5' })
})
