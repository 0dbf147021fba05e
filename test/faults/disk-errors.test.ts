import { renameSync, symlinkSync } from 'node:fs'
import { stat } from 'node:fs/promises'
import { join } from 'node:path'
import { Readable } from 'node:stream'
import t from 'tap'
import { makeDirectory } from '../support/app.js'
import { BYTES, TUS, createComplete, createUpload, head, makeBytes, patch, post, terminate, until } from '../support/http-tus.js'
import { checkOffset, checkRefusal, finish, makeChecksum, openApp } from '../support/small-disk.app.js'
import { FailingDisk } from '../support/small-disk.js'

// A device that really fails: it takes bytes into the cache of the system, and no sync succeeds (EIO).

const MIB = 1024 * 1024
const FAILED = [500, 'TUS_ERR_STORAGE_FAILED'] as const
const { lacking } = FailingDisk
if (lacking !== false) t.comment(`NOT TESTED HERE: ${lacking}`)

t.test('what could not be synced is not acknowledged, and goes on when the device works again', { skip: lacking }, async t => {
  const disk = new FailingDisk(t)
  const content = makeBytes(6 * MIB)
  const rest = content.subarray(MIB)
  const checksum = { 'upload-checksum': makeChecksum(rest) }
  const app = await openApp(t, disk.directory)
  const plain = await createUpload(app, { 'upload-length': String(content.length) })
  const verified = await createUpload(app, { 'upload-length': String(content.length) })
  const deferred = await createUpload(app, { 'upload-defer-length': '1' })
  for (const url of [plain, verified]) await patch(app, url, 0, content.subarray(0, MIB))
  disk.fail()
  checkRefusal(t, await patch(app, plain, MIB, rest), ...FAILED, 'PATCH')
  checkRefusal(t, await patch(app, verified, MIB, rest, checksum), ...FAILED, 'PATCH with a checksum')
  checkRefusal(t, await patch(app, deferred, 0, 'hello', { 'upload-length': '5' }), ...FAILED, 'PATCH with a length')
  checkRefusal(t, await post(app, { 'upload-length': '5' }), ...FAILED, 'POST')
  for (const url of [plain, verified]) await checkOffset(t, app, url, MIB, 'while the device fails')
  disk.heal()
  for (const url of [plain, verified]) await checkOffset(t, app, url, MIB, 'when it works again')
  await finish(t, app, deferred, Buffer.from('hello'), { 'upload-length': '5' })
  await finish(t, app, plain, content)
  await finish(t, app, verified, content, checksum)
  t.equal((await terminate(app, plain)).statusCode, 204)
  await app.close()
})

t.test('a directory that can not be synced hides the new upload, and its id stays free', { skip: lacking }, async t => {
  const disk = new FailingDisk(t)
  const app = await openApp(t, disk.directory, { generateId: () => 'chosen' })
  disk.fail()
  checkRefusal(t, await post(app, { 'upload-length': '5' }), ...FAILED, 'POST')
  t.equal((await head(app, '/files/chosen')).statusCode, 404)
  disk.heal()
  t.equal((await post(app, { 'upload-length': '5' })).statusCode, 201)
  await finish(t, app, '/files/chosen', Buffer.from('hello'))
  await app.close()
})

t.test('a body whose commit fails counts for nothing', { skip: lacking }, async t => {
  const disk = new FailingDisk(t)
  const content = makeBytes(6 * MIB)
  const app = await openApp(t, disk.directory)
  const url = await createUpload(app, { 'upload-length': String(content.length) })
  // The device fails when the hold is on the disk and the first bytes are behind it.
  const stream = Readable.from((async function * () {
    for (let sent = 0; sent < 5; sent++) yield content.subarray(sent * MIB, (sent + 1) * MIB)
    await until('some are on the disk', async () => (await stat(join(disk.directory, url.split('/').at(-1)!))).size >= 2 * MIB)
    disk.fail()
    yield content.subarray(5 * MIB)
  })())
  const headers = { ...TUS, ...BYTES, 'upload-offset': '0', 'content-length': String(content.length), 'upload-checksum': makeChecksum(content) }
  checkRefusal(t, await app.inject({ method: 'PATCH', url, headers, payload: stream }), ...FAILED, 'PATCH with a checksum')
  await checkOffset(t, app, url, 0, 'while the device fails')
  disk.heal()
  await checkOffset(t, await openApp(t, disk.directory), url, 0, 'for another process')
  await finish(t, app, url, content, { 'upload-checksum': makeChecksum(content) })
  await app.close()
})

t.test('a concatenation that can not be synced is made up for', { skip: lacking }, async t => {
  const disk = new FailingDisk(t)
  const app = await openApp(t, disk.directory)
  const content = makeBytes(3 * MIB)
  const part = await createUpload(app, { 'upload-length': String(content.length), 'upload-concat': 'partial' })
  const open = await createUpload(app, { 'upload-length': '5', 'upload-concat': 'partial' })
  await patch(app, part, 0, content)
  const final = (await post(app, { 'upload-concat': `final;${part} ${open}` })).headers.location!
  await patch(app, open, 0, 'hel')
  disk.fail()
  checkRefusal(t, await patch(app, open, 3, 'lo'), ...FAILED, 'the last bytes of the last part')
  t.equal((await head(app, new URL(final).pathname)).statusCode, 200)
  disk.heal()
  await checkOffset(t, app, open, 3, 'when the device works again')
  await patch(app, open, 3, 'lo')
  await app.tus.sweep()
  await finish(t, app, new URL(final).pathname, Buffer.concat([content, Buffer.from('hello')]))
  await app.close()
})

t.test('a file that can not be read is an error that shows nothing, and keeps nobody from the others', { skip: process.platform !== 'linux' }, async t => {
  const directory = await makeDirectory(t)
  const app = await openApp(t, directory)
  const urls = [await createComplete(app, 'hello'), await createComplete(app, 'hello')] as const
  const record = join(directory, `${urls[0].slice('/files/'.length)}.json`)
  await app.close()
  renameSync(record, `${directory}/kept`)
  // Reading this one at byte 0 is an I/O error.
  symlinkSync('/proc/self/mem', record)
  const next = await openApp(t, directory)
  checkRefusal(t, await next.inject(urls[0]), ...FAILED, 'GET')
  t.equal((await head(next, urls[0])).statusCode, 423)
  checkRefusal(t, await terminate(next, urls[0]), ...FAILED, 'DELETE')
  t.equal((await next.inject(urls[1])).body, 'hello', 'the other one')
  const claim = (await next.tus.claim({ timeout: 0 }))!
  t.equal(`/files/${claim.upload.id}`, urls[1], 'a worker gets the other one')
  await claim.done()
  t.match(await next.tus.sweep(), { failed: 1, tidied: 0 })
  renameSync(`${directory}/kept`, record)
  t.equal((await next.inject(urls[0])).body, 'hello', 'when it can be read again')
})
