import t from 'tap'
import { createUpload, createComplete, encodeMetadata, getOffset, getPath, head, makeBytes, patch, post, terminate, until } from '../support/http-tus.js'
import { checkOffset, checkRefusal, finish, makeChecksum, openApp } from '../support/small-disk.app.js'
import { findLackOfMounts, limitProcess, SmallDisk } from '../support/small-disk.js'
import { ServerProcess } from '../support/server-process.js'
import { ask, askOffset, RawConnection } from '../support/tus-client-raw.js'

// A disk that is really full: a small tmpfs.

const MIB = 1024 * 1024
const FULL = [507, 'TUS_ERR_STORAGE_FULL'] as const
const lacking = findLackOfMounts(t)

t.test('PATCH onto a disk that fills up is 507, keeps what was acknowledged, and goes on when there is room', { skip: lacking }, async t => {
  const disk = SmallDisk.tmpfs(t, '16m')
  const app = await openApp(t, disk.directory)
  const content = makeBytes(5 * MIB)
  const url = await createUpload(app, { 'upload-length': String(content.length) })
  await patch(app, url, 0, content.subarray(0, MIB))
  disk.fill(MIB / 2)
  checkRefusal(t, await patch(app, url, MIB, content.subarray(MIB)), ...FULL, 'PATCH')
  await checkOffset(t, app, url, MIB, 'on the full disk')
  const restarted = await openApp(t, disk.directory)
  await checkOffset(t, restarted, url, MIB, 'after a restart on the full disk')
  disk.fill()
  checkRefusal(t, await patch(restarted, url, MIB, content.subarray(MIB)), ...FULL, 'PATCH onto the last byte')
  const full = await openApp(t, disk.directory)
  await checkOffset(t, full, url, MIB, 'after a restart without room for a byte')
  disk.free()
  await finish(t, full, url, content)
  t.same(disk.getRemains(), [])
})

t.test('PATCH with a checksum counts nothing of what did not fit', { skip: lacking }, async t => {
  const disk = SmallDisk.tmpfs(t, '16m')
  const app = await openApp(t, disk.directory)
  const content = makeBytes(7 * MIB)
  const url = await createUpload(app, { 'upload-length': String(content.length) })
  await patch(app, url, 0, content.subarray(0, MIB))
  const rest = content.subarray(MIB)
  const checksum = { 'upload-checksum': makeChecksum(rest) }
  // Room for the hold and for the first batches.
  disk.fill(3 * MIB)
  checkRefusal(t, await patch(app, url, MIB, rest, checksum), ...FULL, 'in the middle of the bytes')
  await checkOffset(t, app, url, MIB, 'on the full disk')
  disk.fill()
  checkRefusal(t, await patch(app, url, MIB, rest, checksum), ...FULL, 'at the hold')
  await checkOffset(t, app, url, MIB, 'without room for a byte')
  await checkOffset(t, await openApp(t, disk.directory), url, MIB, 'after a restart')
  t.same(disk.getRemains(), [])
  disk.free()
  await finish(t, app, url, content, checksum)
})

t.test('the length of an upload that had none can be told when there is room', { skip: lacking }, async t => {
  const disk = SmallDisk.tmpfs(t, '4m')
  const app = await openApp(t, disk.directory)
  const content = makeBytes(MIB)
  const url = await createUpload(app, { 'upload-defer-length': '1' })
  await patch(app, url, 0, content.subarray(0, 1000))
  disk.fill()
  const length = { 'upload-length': String(content.length) }
  checkRefusal(t, await patch(app, url, 1000, content.subarray(1000), length), ...FULL, 'PATCH with a length')
  const { headers } = await head(app, url)
  t.match(headers, { 'upload-offset': '1000', 'upload-defer-length': '1' })
  t.same(disk.getRemains(), [])
  disk.free()
  await finish(t, app, url, content, length)
})

t.test('POST leaves nothing that is in the way of the same id', { skip: lacking }, async t => {
  const disk = SmallDisk.tmpfs(t, '4m', 40)
  const app = await openApp(t, disk.directory, { generateId: (_request, { name }) => name! })
  const headers = { 'upload-length': '4096', 'upload-metadata': encodeMetadata({ name: 'chosen' }) }
  for (const [what, fill] of [['bytes', () => disk.fill()], ['files', () => disk.fillInodes()]] as const) {
    fill()
    const before = disk.list()
    checkRefusal(t, await post(app, headers), ...FULL, `POST without room for ${what}`)
    t.same(disk.list(), before)
    t.equal((await head(app, '/files/chosen')).statusCode, 404)
    disk.free()
    t.equal((await post(app, headers)).statusCode, 201, 'the same id, when there is room')
    t.equal((await terminate(app, '/files/chosen')).statusCode, 204)
  }
  await app.close()
  t.same(disk.getOpenFiles(), [], 'no descriptor is lost')
})

t.test('POST with bytes that do not fit is 507, and what fits stays where the client can find it', { skip: lacking }, async t => {
  const disk = SmallDisk.tmpfs(t, '16m')
  const server = await ServerProcess.start(t, { directory: disk.directory })
  const content = makeBytes(9 * MIB)
  disk.fill(4.5 * MIB)
  const headers = { 'Upload-Length': content.length, 'Content-Type': 'application/offset+octet-stream' }
  const connection = await RawConnection.open(server.port)
  connection.request('POST', '/files', { ...headers, 'Content-Length': content.length })
  for (let at = 0; at < content.length && await connection.write(content.subarray(at, at + MIB)); at += MIB);
  const response = (await connection.response('POST'))!
  connection.close()
  t.equal(response.status, 507)
  const path = new URL(response.headers.location!).pathname
  const offset = (await askOffset(server.port, path))!
  t.ok(offset > 0 && offset <= 4.5 * MIB, `${offset} bytes stay`)
  await server.kill('SIGKILL')
  await server.restart()
  t.equal(await askOffset(server.port, path), offset, 'after a kill, on the full disk')
  disk.free()
  await server.kill('SIGKILL')
  await finish(t, await openApp(t, disk.directory), path, content)
})

t.test('DELETE works on a full disk, and makes room', { skip: lacking }, async t => {
  const disk = SmallDisk.tmpfs(t, '4m')
  const app = await openApp(t, disk.directory)
  const url = await createComplete(app, makeBytes(2 * MIB))
  disk.fill()
  t.equal((await terminate(app, url)).statusCode, 204)
  t.same(disk.list(), [])
  const content = makeBytes(MIB)
  await finish(t, app, await createUpload(app, { 'upload-length': String(MIB) }), content)
})

t.test('a completion that has no room for its mark keeps the bytes, and is made up for', { skip: lacking }, async t => {
  const disk = SmallDisk.tmpfs(t, '4m')
  const finished: string[] = []
  const app = await openApp(t, disk.directory, {}, app => {
    app.tus.addHook('preFinish', () => { if (finished.length === 0) finished.push('pre') })
    app.tus.addHook('postFinish', () => { finished.push('post') })
  })
  const content = makeBytes(MIB)
  const url = await createUpload(app, { 'upload-length': String(MIB) })
  await patch(app, url, 0, content.subarray(0, MIB - 4096))
  disk.fill(4096)
  checkRefusal(t, await patch(app, url, MIB - 4096, content.subarray(MIB - 4096)), ...FULL, 'the last bytes fit, the mark does not')
  t.same(finished, ['pre'])
  t.match(await head(app, url), { statusCode: 423, headers: { 'retry-after': '5' } }, 'HEAD: no offset that a client takes for a file')
  t.equal((await app.inject(url)).statusCode, 404, 'it is not complete')
  t.match(await app.tus.sweep(), { finished: 0, failed: 1 })
  disk.free()
  await checkOffset(t, app, url, MIB, 'when there is room')
  t.same(finished, ['pre', 'post'])
  await finish(t, app, url, content)
  t.same(disk.getRemains(), [])
})

t.test('postFinish hooks that ran run no second time because there was no room to note it', { skip: lacking }, async t => {
  const disk = SmallDisk.tmpfs(t, '4m')
  let runs = 0
  const app = await openApp(t, disk.directory, {}, app => app.tus.addHook('postFinish', () => {
    if (runs++ === 0) disk.fill()
  }))
  const url = await createUpload(app)
  checkRefusal(t, await patch(app, url, 0, 'hello'), ...FULL, 'PATCH')
  for (let count = 0; count < 3; count++) await checkOffset(t, app, url, 5, 'on the full disk')
  t.match(await app.tus.sweep(), { failed: 1 })
  disk.free()
  await checkOffset(t, app, url, 5, 'when there is room')
  t.equal((await app.tus.find(url.slice('/files/'.length)))?.finished, true)
  t.equal(runs, 1)
})

t.test('a concatenation without room is 507, and is made up for', { skip: lacking }, async t => {
  const disk = SmallDisk.tmpfs(t, '8m')
  const app = await openApp(t, disk.directory)
  const content = makeBytes(MIB)
  const part = await createUpload(app, { 'upload-length': String(MIB), 'upload-concat': 'partial' })
  await patch(app, part, 0, content)
  disk.fill(MIB)
  const response = await post(app, { 'upload-concat': `final;${part} ${part}` })
  checkRefusal(t, response, ...FULL, 'POST of the final upload')
  const final = getPath(response)
  const { statusCode, headers } = await head(app, final)
  t.match([statusCode, headers], [200, { 'upload-offset': undefined, 'upload-concat': /^final;/ }], 'it is there, and not complete')
  t.same(disk.getRemains(), [])
  disk.free()
  t.match(await app.tus.sweep(), { finished: 1, failed: 0 })
  await finish(t, app, final, Buffer.concat([content, content]))
})

t.test('a final upload that can not be noted at its parts leaves nothing that is filled behind the back of the client', { skip: lacking }, async t => {
  const disk = SmallDisk.tmpfs(t, '4m', 40)
  const app = await openApp(t, disk.directory)
  const part = await createUpload(app, { 'upload-length': '5', 'upload-concat': 'partial' })
  // Two files for the upload, and none for the note.
  disk.fillInodes(2)
  checkRefusal(t, await post(app, { 'upload-concat': `final;${part}` }), ...FULL, 'POST of the final upload')
  disk.free()
  t.same(disk.list().length, 2, 'the part and nothing else')
  const final = getPath(await post(app, { 'upload-concat': `final;${part}` }))
  await patch(app, part, 0, 'hello')
  await until('the final upload is complete', async () => await getOffset(app, final) === '5')
  await finish(t, app, final, Buffer.from('hello'))
})

t.test('workers get no claim while the disk is full, an error that says so, and the upload afterwards', { skip: lacking }, async t => {
  const disk = SmallDisk.tmpfs(t, '4m', 40)
  const app = await openApp(t, disk.directory)
  await createComplete(app, 'hello')
  disk.fillInodes()
  await t.rejects(app.tus.claim({ timeout: 0 }), { code: 'TUS_ERR_STORAGE_FULL' })
  disk.free()
  const claim = (await app.tus.claim({ timeout: 0 }))!
  disk.fillInodes()
  await t.rejects(claim.done(), { code: 'TUS_ERR_STORAGE_FULL' })
  disk.free()
  const again = (await app.tus.claim({ timeout: 60_000 }))!
  t.equal(again.upload.id, claim.upload.id, 'what could not be noted as done is given out again')
  await again.done()
  t.equal(await app.tus.claim({ timeout: 0 }), null)
  t.same(disk.list().length, 2)
  await app.close()
  t.same(disk.getOpenFiles(), [], 'no descriptor is lost')
})

t.test('a worker that takes claim after claim outlives a full disk', { skip: lacking }, async t => {
  const disk = SmallDisk.tmpfs(t, '4m', 40)
  const app = await openApp(t, disk.directory)
  await createComplete(app, 'hello')
  disk.fillInodes()
  const claims = app.tus.claims()[Symbol.asyncIterator]()
  const next = claims.next()
  t.equal(await Promise.race([next.then(() => 'claimed', () => 'failed'), until('', () => false, 300).catch(() => 'waits')]), 'waits')
  disk.free()
  t.equal((await next).value.upload.offset, 5)
  await claims.return!()
})

t.test('a file that may grow no further is a full disk', { skip: process.platform !== 'linux' }, async t => {
  const server = await ServerProcess.start(t)
  const content = makeBytes(3 * MIB)
  const connection = await RawConnection.open(server.port)
  const path = new URL((await ask(server.port, 'POST', '/files', { 'Upload-Length': content.length }))!.headers.location!).pathname
  limitProcess(server.pid, `--fsize=${2 * MIB}:`)
  connection.patch(path, 0, content.length)
  await connection.write(content)
  const response = (await connection.response())!
  connection.close()
  t.equal(response.status, 507)
  t.match(JSON.parse(response.body), { code: 'TUS_ERR_STORAGE_FULL' })
  const offset = (await askOffset(server.port, path))!
  t.ok(offset <= 2 * MIB)
  limitProcess(server.pid, '--fsize=unlimited:')
  const retry = await RawConnection.open(server.port)
  retry.patch(path, offset, content.length - offset)
  await retry.write(content.subarray(offset))
  t.equal((await retry.response())?.status, 204)
  retry.close()
  const bytes = Buffer.from(await (await fetch(`http://127.0.0.1:${server.port}${path}`)).arrayBuffer())
  t.ok(bytes.equals(content))
})
