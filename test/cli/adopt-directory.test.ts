import { execFileSync } from 'node:child_process'
import { cp, mkdir, readdir, readFile, rename, rm, stat, symlink, utimes, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import t, { type Test } from 'tap'
import { createFsStorage } from '../../adapters/fs/index.js'
import { adoptDirectory } from '../../lib/cli/adopt/directory.js'
import { runAdopt } from '../support/adopt.js'
import { listNames, makeDirectory, startApp } from '../support/app.js'
import { begin, hasTusd, send, startTusd, startTusServer, type Begun } from '../support/foreign-servers.js'
import { BYTES, TUS } from '../support/http-tus.js'
import { spawnNode } from '../support/server-process.js'
import { download, makeBytes, sha256 } from '../support/tus-client-bytes.js'

// Real uploads to the other servers, which are then stopped; their directories are adopted, and the clients go on where they were, under the same paths.

type Origin = 'tus-server' | 'tusd'
const SERVERS = { 'tus-server': startTusServer, tusd: startTusd }
const NEEDS_TUSD = hasTusd() ? false : 'tusd is not installed'
const METADATA = { filename: 'Grüße 👋.txt', filetype: 'text/plain', empty: '' }
const CONTENT = makeBytes(1, 700_000)

async function beginAll (url: string): Promise<Begun[]> {
  return [
    await begin(url, { name: 'complete', content: CONTENT, pieces: [300_000, 400_000], metadata: METADATA }),
    await begin(url, { name: 'interrupted', content: CONTENT, pieces: [250_000], metadata: METADATA }),
    await begin(url, { name: 'created', content: CONTENT, pieces: [] }),
    await begin(url, { name: 'of no bytes', content: CONTENT.subarray(0, 0), pieces: [] }),
    await begin(url, { name: 'of unknown length', content: CONTENT, pieces: [123_456], headers: { 'upload-defer-length': '1' } })
  ]
}

/** A directory that another server has worked on. */
async function fill (t: Test, from: Origin, most = 5): Promise<{ directory: string, begun: Begun[] }> {
  const directory = await makeDirectory(t)
  const server = await SERVERS[from](t, { directory })
  const begun = await beginAll(server.url)
  for (const upload of begun.splice(most)) await send(new URL(upload.path, server.url).href, 'DELETE', TUS, 204)
  await server.stop()
  return { directory, begun }
}

function adopt (directory: string, from: Origin, ...flags: string[]) {
  return runAdopt('--from', from, '--directory', directory, ...flags)
}

/** A server of this project on a directory, and what its hooks heard of. */
async function serve (t: Test, directory: string) {
  const { app, url } = await startApp(t, { storage: createFsStorage({ directory }) })
  const finished: string[] = []
  app.tus.addHook('postFinish', (_, upload) => { finished.push(upload.id) })
  return { app, origin: new URL(url).origin, finished }
}

async function goOn (t: Test, origin: string, { name, path, content, sent, headers }: Begun): Promise<void> {
  const url = origin + path
  const { headers: found } = await send(url, 'HEAD', TUS, 200)
  t.equal(found.get('upload-offset'), String(sent), `${name}: the offset is the one that the other server had`)
  t.equal(found.get('upload-length'), headers['upload-length'] ?? null, `${name}: so is the length`)
  if (sent < content.length) {
    const length: Record<string, string> = headers['upload-length'] === undefined ? { 'upload-length': String(content.length) } : {}
    await send(url, 'PATCH', { ...TUS, ...BYTES, ...length, 'upload-offset': String(sent) }, 204, content.subarray(sent))
  }
  t.equal((await download(url)).sha256, sha256(content), `${name}: the bytes are those that the client sent`)
}

function getId ({ path }: Begun): string {
  return path.split('/').at(-1)!
}

for (const from of ['tus-server', 'tusd'] as const) {
  t.test(`uploads of ${from} in a directory go on under their paths`, { skip: from === 'tusd' && NEEDS_TUSD }, async t => {
    const { directory, begun } = await fill(t, from)
    const before = await listNames(directory)

    const dry = await adopt(directory, from)
    t.match(dry.stdout, 'would adopt 2 complete and 3 incomplete uploads, left 0\n')
    t.same(await listNames(directory), before, 'without --write, nothing changes')

    const run = await adopt(directory, from, '--write')
    t.equal(run.code, 0, run.stderr)
    t.match(run.stdout, 'adopted 2 complete and 3 incomplete uploads, left 0\n')
    t.match(run.stdout, `adopted "${getId(begun[1]!)}": incomplete, 250000 of 700000 bytes\n`)
    const ending = from === 'tusd' ? '.info' : '.json'
    t.same((await readdir(join(directory, '.adopted'))).sort(), begun.map(upload => getId(upload) + ending).sort(), 'the old records are kept')

    const again = await adopt(directory, from, '--write')
    t.match(again.stdout, `left 0${from === 'tusd' ? '' : ', 5 adopted before'}\n`)

    const { app, origin, finished } = await serve(t, directory)
    const { headers } = await send(origin + begun[0]!.path, 'HEAD', TUS, 200)
    t.match(headers.get('upload-metadata'), `filename ${Buffer.from(METADATA.filename).toString('base64')}`)
    for (const upload of begun) await goOn(t, origin, upload)
    t.same(finished.sort(), [begun[1]!, begun[2]!, begun[4]!].map(getId).sort(), 'hooks run for what is completed here, and not again for what was complete')
    t.same((await app.tus.find(getId(begun[1]!)))?.metadata, METADATA)
    const handedOut = [await app.tus.claim({ timeout: 0 }), await app.tus.claim({ timeout: 0 }), await app.tus.claim({ timeout: 0 }), await app.tus.claim({ timeout: 0 })]
    t.same(handedOut.map(claim => claim?.upload.id).sort(), [...finished, undefined].sort(), 'workers get those, and none that was complete')
    for (const claim of handedOut) await claim?.release()
    for (const upload of begun) await send(origin + upload.path, 'DELETE', TUS, 204)
    t.same(await listNames(directory), ['.adopted'])
  })

  t.test(`--claimable hands the complete uploads of ${from} to workers, and --no-backup keeps no old records`, { skip: from === 'tusd' && NEEDS_TUSD }, async t => {
    const { directory, begun } = await fill(t, from)
    t.equal((await adopt(directory, from, '--write', '--no-backup', '--claimable')).code, 0)
    t.same(await listNames(directory), begun.flatMap(upload => [getId(upload), `${getId(upload)}.json`]).sort())
    const { app } = await serve(t, directory)
    const claims = [await app.tus.claim({ timeout: 0 }), await app.tus.claim({ timeout: 0 })]
    t.same(claims.map(claim => claim?.upload.id).sort(), [begun[0]!, begun[3]!].map(getId).sort())
    t.equal(await app.tus.claim({ timeout: 0 }), null)
    for (const claim of claims) await claim?.release()
  })

  t.test(`what ${from} left is no remains to this server before it is adopted`, { skip: from === 'tusd' && NEEDS_TUSD }, async t => {
    const { directory } = await fill(t, from)
    const before = await listNames(directory)
    for (const name of before) await utimes(join(directory, name), new Date(0), new Date(0))
    const { app } = await serve(t, directory)
    t.match(await app.tus.sweep(), { tidied: 0, expired: 0 })
    t.same(await listNames(directory), before)
  })

  t.test(`killed at any point, the adoption of ${from} has lost nothing, and the next one comes to the end`, { skip: from === 'tusd' && NEEDS_TUSD, timeout: 600_000 }, async t => {
    const { directory, begun } = await fill(t, from, 2)
    for (let step = 1; ; step++) {
      const copy = join(await makeDirectory(t), 'uploads')
      await cp(directory, copy, { recursive: true, preserveTimestamps: true })
      const killed = await killAt(copy, from, step)
      for (const upload of begun) {
        t.equal((await stat(join(copy, getId(upload)))).size, upload.sent, `step ${step}: the bytes of ${upload.name} are there`)
        t.ok(await hasRecord(copy, from, getId(upload)), `step ${step}: so is a record`)
      }
      const adoption = adoptDirectory({ from, directory: copy, urlPrefix: '/files', write: true, backup: true, claimable: false })
      for await (const { id, result } of adoption) t.not(result, 'left', `step ${step}: the next one leaves ${id} to nobody`)
      t.equal((await readdir(join(copy, '.adopted'))).length, begun.length)
      const storage = createFsStorage({ directory: copy, locks: 'process' })
      for (const upload of begun) t.match(await storage.find(getId(upload)), { offset: upload.sent, complete: upload.sent === upload.content.length })
      await storage.close?.()
      if (!killed) break
    }
  })
}

/** Whether it was killed, and had not come to its end before. */
async function killAt (directory: string, from: Origin, step: number): Promise<boolean> {
  const child = spawnNode(['test/support/adopt-child.mjs', directory, from, String(step)])
  const errors: string[] = []
  child.stderr!.on('data', text => errors.push(String(text)))
  const [code, signal] = await new Promise<[number | null, string | null]>(resolve => { child.once('exit', (...end) => resolve(end)) })
  if (signal === 'SIGKILL') return true
  if (code !== 0) throw new Error(`The adoption ended with ${code}: ${errors.join('')}`)
  return false
}

/** A whole record: of the other server, or of this one. */
async function hasRecord (directory: string, from: Origin, id: string): Promise<boolean> {
  for (const name of from === 'tusd' ? [`${id}.info`, `${id}.json`] : [`${id}.json`]) {
    const record = await readFile(join(directory, name), 'utf8').then(JSON.parse, () => null)
    if ([record?.id, record?.ID, record?.upload?.id].includes(id)) return true
  }
  return false
}

t.test('partial and final uploads of tusd in a directory: both stay what they are, and the unfinished ones are joined here', { skip: NEEDS_TUSD }, async t => {
  const directory = await makeDirectory(t)
  const server = await startTusd(t, { directory })
  const partial = (from: number, to: number, pieces: number[]) =>
    begin(server.url, { name: 'partial', content: CONTENT.subarray(from, to), pieces, headers: { 'upload-concat': 'partial', 'upload-length': String(to - from) } })
  const [one, two, three] = [await partial(0, 300_000, [300_000]), await partial(300_000, 700_000, [400_000]), await partial(300_000, 700_000, [100_000])]
  const { headers } = await send(server.url, 'POST', { ...TUS, 'upload-concat': `final;${one.path} ${two.path}` }, 201)
  const joined = new URL(headers.get('location')!).pathname
  await server.stop()

  const run = await adopt(directory, 'tusd', '--write')
  t.match(run.stdout, 'adopted 3 complete and 1 incomplete uploads, left 0\n')
  const { origin } = await serve(t, directory)
  t.equal((await download(origin + joined)).sha256, sha256(CONTENT))
  const found = await send(origin + joined, 'HEAD', TUS, 200)
  t.equal(found.headers.get('upload-concat'), `final;${one.path} ${two.path}`)
  await send(origin + three.path, 'PATCH', { ...TUS, ...BYTES, 'upload-offset': '100000' }, 204, three.content.subarray(100_000))
  const made = await send(`${origin}/files`, 'POST', { ...TUS, 'upload-concat': `final;${one.path} ${three.path}` }, 201)
  t.equal((await download(made.headers.get('location')!)).sha256, sha256(CONTENT))
})

t.test('a directory that tusd 2.9.2 has left: its uploads go on under their paths', async t => {
  const directory = join(await makeDirectory(t), 'uploads')
  await cp('test/fixtures/tusd-directory', directory, { recursive: true })
  const content = Buffer.from(Array.from({ length: 3000 }, (_, at) => at * at % 251))
  const run = await adopt(directory, 'tusd', '--write')
  t.match(run, { code: 0, stdout: 'adopted 4 complete and 2 incomplete uploads, left 0\n' }, run.stderr)
  const { app, origin, finished } = await serve(t, directory)
  const whole = { content, headers: { 'upload-length': '3000' } }
  await goOn(t, origin, { ...whole, name: 'complete', path: '/files/acc34887a3551ac21311687e684584c0', sent: 3000 })
  await goOn(t, origin, { ...whole, name: 'joined', path: '/files/c5722f2b22d5a46fd8e28131bbf403a6', sent: 3000 })
  await goOn(t, origin, { ...whole, name: 'interrupted', path: '/files/84b84e2125d3852da125754896b11bd1', sent: 1234 })
  await goOn(t, origin, { content, headers: {}, name: 'of unknown length', path: '/files/4f1def7ef4d3c3bb56e509c0bd9c42b3', sent: 500 })
  t.same(finished, ['84b84e2125d3852da125754896b11bd1', '4f1def7ef4d3c3bb56e509c0bd9c42b3'])
  t.same((await app.tus.find(finished[0]!))?.metadata, { filename: 'Grüße.txt', empty: '' })
  t.match((await adopt(directory, 'tusd', '--write')).stdout, 'adopted 0 complete and 0 incomplete uploads, left 0\n')
})

t.test('what an adoption that was killed has left of tusd is cleared away by the next one', async t => {
  const directory = join(await makeDirectory(t), 'uploads')
  await cp('test/fixtures/tusd-directory', directory, { recursive: true })
  await adopt(directory, 'tusd', '--write')
  await cp('test/fixtures/tusd-directory', directory, { recursive: true, filter: path => !path.endsWith('.json') })
  const run = await adopt(directory, 'tusd', '--write', '--no-backup')
  t.match(run.stdout, 'adopted 0 complete and 0 incomplete uploads, left 0, 6 adopted before\n')
  t.same((await listNames(directory)).filter(name => name.endsWith('.info')), [])
})

t.test('what can not be adopted is left as it is, and the reason is told', async t => {
  const { directory, begun } = await fill(t, 'tus-server')
  const [complete, interrupted, created, empty, deferred] = begun.map(getId) as [string, string, string, string, string]
  await rm(join(directory, complete))
  await writeFile(join(directory, created), Buffer.alloc(700_001))
  await move(directory, empty, 'strange id')
  await mkdir(join(directory, 'folder'))
  await move(directory, interrupted, join('folder', 'upload'))
  await move(directory, deferred, 'x.info')
  await writeFile(join(directory, 'notes.json'), '{"hello":1}')
  await writeFile(join(directory, 'broken.json'), '{"id":"broken"')
  const before = await listNames(directory)
  const { stdout, code } = await adopt(directory, 'tus-server', '--write')
  t.equal(code, 0)
  t.same(stdout.split('\n').filter(line => line.startsWith('left')).sort(), [
    `left "${complete}": its bytes are gone`,
    `left "${created}": it has 700001 bytes of 700000`,
    `left ${JSON.stringify(join('folder', 'upload'))}: this server takes no such id`,
    'left "strange id": this server takes no such id',
    'left "x.info": this server takes no such id'
  ].sort())
  t.match(stdout, 'adopted 0 complete and 0 incomplete uploads, left 5\n')
  t.same(await listNames(directory), before)
})

async function move (directory: string, id: string, to: string): Promise<void> {
  await rename(join(directory, id), join(directory, to))
  const record = JSON.parse(await readFile(join(directory, `${id}.json`), 'utf8'))
  await rm(join(directory, `${id}.json`))
  await writeFile(join(directory, `${to}.json`), JSON.stringify({ ...record, id: to, storage: { type: 'file', path: join(directory, to) } }))
}

t.test('an incomplete upload that was older than the expiration has its time from the adoption on', async t => {
  const { directory, begun } = await fill(t, 'tus-server')
  for (const name of await listNames(directory)) await utimes(join(directory, name), new Date(0), new Date(0))
  await adopt(directory, 'tus-server', '--write')
  const { app } = await serve(t, directory)
  t.match(await app.tus.sweep(), { expired: 0, tidied: 0 })
  t.equal((await app.tus.find(getId(begun[1]!)))?.offset, 250_000)
  t.equal((await app.tus.find(getId(begun[0]!)))?.modifiedAt.getTime(), 0, 'a complete one keeps its time')
})

t.test('links, pipes and folders under the names of records and bytes are left, and nothing outside is read or changed', { skip: process.platform === 'win32' }, async t => {
  const root = await makeDirectory(t)
  const [directory, outside] = [join(root, 'uploads'), join(root, 'outside')]
  await mkdir(directory)
  await mkdir(outside)
  const put = (id: string, more: object = {}) => writeFile(join(directory, `${id}.info`), JSON.stringify({ ...INFO, ID: id, ...more }))
  await writeFile(join(outside, 'victim'), 'bytes')
  await writeFile(join(outside, 'record.info'), JSON.stringify({ ...INFO, ID: 'record' }))
  await symlink(join(outside, 'record.info'), join(directory, 'record.info'))
  execFileSync('mkfifo', [join(directory, 'pipe.info'), join(directory, 'bytes-pipe'), join(directory, 'locked.lock')])
  await symlink(join(outside, 'victim'), join(directory, 'bytes-link'))
  await mkdir(join(directory, 'bytes-folder'))
  await writeFile(join(directory, 'taken'), 'hello')
  await symlink(join(outside, 'victim'), join(directory, 'taken.json'))
  await writeFile(join(directory, 'locked'), 'hello')
  for (const id of ['bytes-link', 'bytes-pipe', 'bytes-folder', 'taken', 'locked']) await put(id)
  const before = await stat(join(outside, 'victim'))
  const { code, stdout, stderr } = await adopt(directory, 'tusd', '--write')
  t.equal(code, 0, stderr)
  t.same(stdout.trim().split('\n').sort(), [
    'adopted "locked": complete, 5 bytes',
    'adopted 1 complete and 0 incomplete uploads, left 6',
    'left "bytes-folder": its bytes are no regular file',
    'left "bytes-link": its bytes are no regular file',
    'left "bytes-pipe": its bytes are no regular file',
    'left "pipe": its record is no regular file',
    'left "record": its record is no regular file',
    'left "taken": there is a file taken.json in the way'
  ])
  const { uid, gid, mtimeMs, mode } = await stat(join(outside, 'victim'))
  t.same({ uid, gid, mtimeMs, mode }, { uid: before.uid, gid: before.gid, mtimeMs: before.mtimeMs, mode: before.mode })
})

t.test('a folder for old records that is a link is refused before anything changes', { skip: process.platform === 'win32' }, async t => {
  const root = await makeDirectory(t)
  const [directory, outside] = [join(root, 'uploads'), join(root, 'outside')]
  for (const path of [directory, outside]) await mkdir(path)
  await writeFile(join(directory, 'a'), 'hello')
  await writeFile(join(directory, 'a.info'), JSON.stringify({ ...INFO, ID: 'a' }))
  await symlink(outside, join(directory, '.adopted'))
  const { code, stderr } = await adopt(directory, 'tusd', '--write')
  t.equal(code, 1)
  t.match(stderr, /\.adopted is no folder/)
  t.same([await readdir(outside), (await readdir(directory)).sort()], [[], ['.adopted', 'a', 'a.info']])
  t.equal((await adopt(directory, 'tusd', '--write', '--no-backup')).code, 0)
  t.same(await readdir(outside), [])
})

const INFO = { Size: 5, SizeIsDeferred: false, Offset: 5, MetaData: {}, IsPartial: false, IsFinal: false, PartialUploads: null, Storage: { Type: 'filestore' } }
