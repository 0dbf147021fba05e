import type { FastifyInstance } from 'fastify'
import { mkdirSync, readdirSync, renameSync, rmSync } from 'node:fs'
import { dirname } from 'node:path'
import { Readable } from 'node:stream'
import t, { type Test } from 'tap'
import { makeDirectory } from '../support/app.js'
import { BYTES, TUS, createComplete, createUpload, head, makeBytes, patch, post, terminate } from '../support/http-tus.js'
import { checkOffset, checkRefusal, finish, makeChecksum, openApp } from '../support/small-disk.app.js'
import { findLackOfMounts, SmallDisk } from '../support/small-disk.js'

// The directory of a running server goes away: renamed, unmounted, removed.

const MIB = 1024 * 1024
const AWAY = [503, 'TUS_ERR_STORAGE_UNAVAILABLE'] as const
const lacking = findLackOfMounts(t)

async function checkAway (t: Test, app: FastifyInstance, { url, complete, part }: Uploads): Promise<void> {
  const rest = CONTENT.subarray(MIB)
  checkRefusal(t, await post(app, { 'upload-length': '5' }), ...AWAY, 'POST')
  checkRefusal(t, await post(app, { 'upload-length': '5', 'content-type': 'application/offset+octet-stream' }, 'hello'), ...AWAY, 'POST with bytes')
  checkRefusal(t, await post(app, { 'upload-concat': `final;${part}` }), ...AWAY, 'POST of a final upload')
  checkRefusal(t, await patch(app, url, MIB, rest), ...AWAY, 'PATCH')
  checkRefusal(t, await patch(app, url, MIB, rest, { 'upload-checksum': makeChecksum(rest) }), ...AWAY, 'PATCH with a checksum')
  checkRefusal(t, await terminate(app, url), ...AWAY, 'DELETE')
  checkRefusal(t, await app.inject(complete), ...AWAY, 'GET')
  t.match(await head(app, url), { statusCode: 423, headers: { 'retry-after': '5' } }, 'HEAD: nothing that would make the client forget the upload')
  await t.rejects(app.tus.claim({ timeout: 0 }), { code: 'TUS_ERR_STORAGE_UNAVAILABLE' })
  t.match(await app.tus.sweep(), { expired: 0, finished: 0, failed: 2, tidied: 0 })
}

interface Uploads {
  readonly url: string
  readonly complete: string
  readonly part: string
}

async function prepare (app: FastifyInstance): Promise<Uploads> {
  const url = await createUpload(app, { 'upload-length': String(CONTENT.length) })
  const part = await createUpload(app, { 'upload-length': '5', 'upload-concat': 'partial' })
  await patch(app, url, 0, CONTENT.subarray(0, MIB))
  await patch(app, part, 0, 'hello')
  return { url, part, complete: await createComplete(app, 'hello') }
}

const CONTENT = makeBytes(4 * MIB)

t.test('a directory that is renamed is away, and nothing is lost when it is back', async t => {
  const directory = `${await makeDirectory(t)}/uploads`
  const app = await openApp(t, directory)
  const uploads = await prepare(app)
  renameSync(directory, `${directory}-elsewhere`)
  await checkAway(t, app, uploads)
  t.same(readdirSync(dirname(directory)), ['uploads-elsewhere'], 'no other one was made in its place')
  renameSync(`${directory}-elsewhere`, directory)
  await checkOffset(t, app, uploads.url, MIB, 'when it is back')
  await finish(t, app, uploads.url, CONTENT)
  t.equal((await app.inject(uploads.complete)).body, 'hello')
})

t.test('a disk that is unmounted is away, and nothing is written to the place where it was', { skip: lacking }, async t => {
  const disk = SmallDisk.ext4(t)
  const app = await openApp(t, disk.directory)
  const uploads = await prepare(app)
  disk.detach()
  await checkAway(t, app, uploads)
  // As it is where the directory itself is the mount point.
  mkdirSync(disk.directory)
  await checkAway(t, app, uploads)
  t.same(readdirSync(disk.directory), [], 'nothing was written there')
  rmSync(disk.directory, { recursive: true })
  disk.attach()
  await checkOffset(t, app, uploads.url, MIB, 'when it is back')
  await finish(t, app, uploads.url, CONTENT)
  t.equal((await app.inject(uploads.complete)).body, 'hello')
  await app.close()
})

t.test('bytes that come in while the disk is unmounted are not acknowledged where the record can not follow', { skip: lacking }, async t => {
  const disk = SmallDisk.ext4(t)
  const app = await openApp(t, disk.directory)
  const url = await createUpload(app, { 'upload-length': String(CONTENT.length) })
  const stream = Readable.from((async function * () {
    yield CONTENT.subarray(0, 3 * MIB)
    disk.detach()
    mkdirSync(disk.directory)
    yield CONTENT.subarray(3 * MIB)
  })())
  const headers = { ...TUS, ...BYTES, 'upload-offset': '0', 'content-length': String(CONTENT.length), 'upload-checksum': makeChecksum(CONTENT) }
  const response = await app.inject({ method: 'PATCH', url, headers, payload: stream })
  checkRefusal(t, response, ...AWAY, 'PATCH with a checksum')
  t.same(readdirSync(disk.directory), [])
  rmSync(disk.directory, { recursive: true })
  disk.attach()
  await checkOffset(t, app, url, 0, 'when it is back')
  await finish(t, app, url, CONTENT, { 'upload-checksum': makeChecksum(CONTENT) })
  await app.close()
})

t.test('a directory that was removed may have a successor, which is empty', { skip: process.platform === 'win32' }, async t => {
  const directory = `${await makeDirectory(t)}/uploads`
  const app = await openApp(t, directory)
  const uploads = await prepare(app)
  rmSync(directory, { recursive: true })
  await checkAway(t, app, uploads)
  mkdirSync(directory)
  t.equal((await head(app, uploads.url)).statusCode, 404)
  await finish(t, app, await createUpload(app, { 'upload-length': String(CONTENT.length) }), CONTENT)
})
