import { createHash } from 'node:crypto'
import { stat } from 'node:fs/promises'
import { join } from 'node:path'
import t from 'tap'
import { BYTES, TUS, makeBytes, until } from '../support/http-tus.js'
import { formatHead, openRaw } from '../support/raw-socket.js'
import { ServerProcess } from '../support/server-process.js'
import { download, sha256 } from '../support/tus-client-bytes.js'
import { ask, askOffset, createUpload } from '../support/tus-client-raw.js'

// The server is killed in the middle of what counts whole or not at all, and started again.

const CONTENT = makeBytes(12_000_000)
const CHECKSUM = `sha256 ${createHash('sha256').update(CONTENT).digest('base64')}`

for (const [where, announce] of Object.entries({
  'a header': { 'upload-checksum': CHECKSUM, 'content-length': String(CONTENT.length) },
  'a trailer': { trailer: 'Upload-Checksum', 'transfer-encoding': 'chunked' }
})) {
  t.test(`CS-6, CS-11: a body with its checksum in ${where}, of which 9 MB are written when the server is killed, does not count`, async t => {
    const server = await ServerProcess.start(t)
    const path = await createUpload(server.port, CONTENT.length + 3)
    const whole = Buffer.concat([Buffer.from('abc'), CONTENT])
    const first = openRaw(t, server.port)
    await first.send(formatHead('PATCH', path, { ...TUS, ...BYTES, 'upload-offset': '0', 'content-length': '3' }) + 'abc')
    t.match(await first.receive('PATCH'), { status: 204 })

    const client = openRaw(t, server.port)
    const sent = CONTENT.subarray(0, 9_000_000)
    await client.send(formatHead('PATCH', path, { ...TUS, ...BYTES, 'upload-offset': '3', ...announce }))
    await client.send('trailer' in announce ? Buffer.concat([Buffer.from(`${CONTENT.length.toString(16)}\r\n`), sent]) : sent)
    const file = join(server.directory, path.slice('/files/'.length))
    await until('the file has grown', async () => (await stat(file)).size === sent.length + 3)
    await server.kill('SIGKILL')
    await server.restart()

    t.equal(await askOffset(server.port, path), 3)
    const again = openRaw(t, server.port)
    await again.send(formatHead('PATCH', path, { ...TUS, ...BYTES, 'upload-offset': '3', 'upload-checksum': CHECKSUM, 'content-length': String(CONTENT.length) }))
    await again.send(CONTENT)
    t.match(await again.receive('PATCH'), { status: 204, headers: { 'upload-offset': String(whole.length) } })
    t.equal((await stat(file)).size, whole.length)
    t.strictSame(await download(`http://127.0.0.1:${server.port}${path}`), { size: whole.length, sha256: sha256(whole) })
  })
}

t.test('CF-1, CC-13: a final upload whose server is killed while it waits for its last part is made by the next one', async t => {
  const server = await ServerProcess.start(t)
  const create = async (headers: Record<string, string | number>) => {
    const response = await ask(server.port, 'POST', '/files', headers)
    t.equal(response?.status, 201)
    return new URL(response!.headers.location!).pathname
  }
  const fill = async (path: string, bytes: Buffer) => {
    const client = openRaw(t, server.port)
    await client.send(formatHead('PATCH', path, { ...TUS, ...BYTES, 'upload-offset': '0', 'content-length': String(bytes.length) }))
    await client.send(bytes)
    return client
  }
  const halves = [CONTENT.subarray(0, 6_000_000), CONTENT.subarray(6_000_000)]
  const parts = [await create({ 'Upload-Length': halves[0]!.length, 'Upload-Concat': 'partial' }), await create({ 'Upload-Length': halves[1]!.length, 'Upload-Concat': 'partial' })]
  t.match(await (await fill(parts[0]!, halves[0]!)).receive('PATCH'), { status: 204 })
  const final = await create({ 'Upload-Concat': `final;${parts.join(' ')}` })
  for (let count = 0; count < 2; count++) {
    await server.kill('SIGKILL')
    await server.restart()
    t.notOk('upload-offset' in (await ask(server.port, 'HEAD', final))!.headers, 'CC-12')
  }
  // The last part may be there when the server is killed, and the final upload not yet.
  const last = await fill(parts[1]!, halves[1]!)
  await last.receive('PATCH')
  await server.kill('SIGKILL')
  await server.restart()
  t.equal(await askOffset(server.port, final), CONTENT.length)
  t.strictSame(await download(`http://127.0.0.1:${server.port}${final}`), { size: CONTENT.length, sha256: sha256(CONTENT) })
})
