import t from 'tap'
import { createFsStorage } from '../../adapters/fs/index.js'
import { createComplete, createUpload, makeBytes, patch, post, terminate } from '../support/http-tus.js'
import { runCli, ServerProcess } from '../support/server-process.js'
import { checkOffset, checkRefusal, finish, makeChecksum, openApp } from '../support/small-disk.app.js'
import { findLackOfMounts, SmallDisk } from '../support/small-disk.js'
import { ask, askOffset } from '../support/tus-client-raw.js'

// A real ext4 that turns read-only under a running server, as one does that met an error; and one that was mounted so.

const MIB = 1024 * 1024
const AWAY = [503, 'TUS_ERR_STORAGE_UNAVAILABLE'] as const
const lacking = findLackOfMounts(t)

t.test('a disk that turns read-only refuses what writes, and tells where uploads are', { skip: lacking }, async t => {
  const disk = SmallDisk.ext4(t)
  const content = makeBytes(4 * MIB)
  const app = await openApp(t, disk.directory)
  const url = await createUpload(app, { 'upload-length': String(content.length) })
  const deferred = await createUpload(app, { 'upload-defer-length': '1' })
  const part = await createUpload(app, { 'upload-length': '5', 'upload-concat': 'partial' })
  const complete = await createComplete(app, 'hello')
  await patch(app, url, 0, content.subarray(0, MIB))
  await patch(app, part, 0, 'hello')
  disk.abort()

  const rest = content.subarray(MIB)
  checkRefusal(t, await post(app, { 'upload-length': '5' }), ...AWAY, 'POST')
  checkRefusal(t, await post(app, { 'upload-length': '5', 'content-type': 'application/offset+octet-stream' }, 'hello'), ...AWAY, 'POST with bytes')
  checkRefusal(t, await post(app, { 'upload-concat': `final;${part}` }), ...AWAY, 'POST of a final upload')
  checkRefusal(t, await patch(app, url, MIB, rest), ...AWAY, 'PATCH')
  checkRefusal(t, await patch(app, url, MIB, rest, { 'upload-checksum': makeChecksum(rest) }), ...AWAY, 'PATCH with a checksum')
  checkRefusal(t, await patch(app, deferred, 0, 'hello', { 'upload-length': '5' }), ...AWAY, 'PATCH with a length')
  checkRefusal(t, await terminate(app, complete), ...AWAY, 'DELETE')
  await t.rejects(app.tus.claim({ timeout: 0 }), { code: 'TUS_ERR_STORAGE_UNAVAILABLE' })
  t.match(await app.tus.sweep(), { expired: 0, finished: 0 })
  await checkOffset(t, app, url, MIB, 'read-only')
  await checkOffset(t, app, deferred, 0, 'of one without a length')
  t.equal((await app.inject(complete)).body, 'hello', 'GET')

  await app.close().catch(() => {})
  t.same(disk.getOpenFiles(), [], 'no descriptor is lost')
  disk.attach()
  const next = await openApp(t, disk.directory)
  await checkOffset(t, next, url, MIB, 'when it is writable again')
  t.same(disk.getRemains(), [])
  await finish(t, next, url, content)
  await finish(t, next, deferred, Buffer.from('hello'), { 'upload-length': '5' })
  t.equal((await terminate(next, complete)).statusCode, 204)
  await next.close()
})

t.test('bytes that could not be synced because the disk turned read-only do not count', { skip: lacking }, async t => {
  const disk = SmallDisk.ext4(t)
  const content = makeBytes(8 * MIB)
  const server = await ServerProcess.start(t, { directory: disk.directory })
  const path = new URL((await ask(server.port, 'POST', '/files', { 'Upload-Length': content.length }))!.headers.location!).pathname
  // What a slow client has sent so far lies in the cache of the system when the disk fails.
  const body = new ReadableStream({
    async start (controller) {
      controller.enqueue(content.subarray(0, 5 * MIB))
      await server.waitForBytes(path, 5 * MIB)
      disk.abort()
      controller.enqueue(content.subarray(5 * MIB))
      controller.close()
    }
  })
  const headers = { 'tus-resumable': '1.0.0', 'content-type': 'application/offset+octet-stream', 'upload-offset': '0', 'content-length': String(content.length) }
  const response = await fetch(`http://127.0.0.1:${server.port}${path}`, { method: 'PATCH', headers, body, duplex: 'half' } as RequestInit)
  t.equal(response.status, 503)
  t.match(await response.json(), { code: 'TUS_ERR_STORAGE_UNAVAILABLE' })
  t.equal(await askOffset(server.port, path), 0, 'nothing of it was made durable')
  await server.kill('SIGKILL')
  disk.attach()
  await server.restart()
  const offset = (await askOffset(server.port, path))!
  await server.kill('SIGKILL')
  const app = await openApp(t, disk.directory)
  await checkOffset(t, app, path, offset, 'after a restart')
  await finish(t, app, path, content)
  await app.close()
})

t.test('a disk that is mounted read-only can be read by a process of its own', { skip: lacking }, async t => {
  const disk = SmallDisk.ext4(t)
  const content = makeBytes(MIB)
  const first = await openApp(t, disk.directory)
  const url = await createUpload(first, { 'upload-length': String(MIB) })
  await patch(first, url, 0, content.subarray(0, 1000))
  const complete = await createComplete(first, 'hello')
  await first.close()
  disk.attach('ro')
  const app = await openApp(t, disk.directory, { storage: createFsStorage({ directory: disk.directory, locks: 'process' }) })
  await checkOffset(t, app, url, 1000, 'mounted read-only')
  t.equal((await app.inject(complete)).body, 'hello', 'GET')
  checkRefusal(t, await post(app, { 'upload-length': '5' }), ...AWAY, 'POST')
  checkRefusal(t, await patch(app, url, 1000, content.subarray(1000)), ...AWAY, 'PATCH')
  checkRefusal(t, await terminate(app, url), ...AWAY, 'DELETE')
  await checkOffset(t, app, url, 1000, 'after that')
  await app.close()
  disk.attach()
  const next = await openApp(t, disk.directory)
  await finish(t, next, url, content)
  await next.close()
})

t.test('a server that shares its directory says at the start that it is read-only', { skip: lacking }, async t => {
  const disk = SmallDisk.ext4(t)
  await (await openApp(t, disk.directory)).close()
  disk.attach('ro')
  const { code, stderr } = await runCli(['serve', '--port', '0', '--dir', disk.directory])
  t.equal(code, 1)
  t.match(stderr, /read-only file system/)
  t.notMatch(stderr, /\n {4}at /, 'no stack')
})
