import { mkdirSync, rmSync } from 'node:fs'
import { chmod, mkdir, readdir, readFile, rm, stat, symlink, truncate, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import t, { type Test } from 'tap'
import { Directory } from '../../adapters/fs/directory.js'
import { Files } from '../../adapters/fs/files.js'
import { createFsStorage } from '../../adapters/fs/index.js'
import { Pace } from '../../adapters/fs/pace.js'
import { Turn } from '../../adapters/fs/turn.js'
import { StorageFull, StorageUnavailable, UploadExists, type Storage, type UploadBody } from '../../lib/storage.js'
import type { NewUpload } from '../../lib/upload.js'
import { listNames, makeDirectory } from '../support/app.js'
import { makeUpload as makeAnyUpload } from '../support/uploads.js'

const makeUpload = (given: Partial<NewUpload> = {}): NewUpload => makeAnyUpload({ length: 10, ...given })

function makeBody (...batches: Array<string | Buffer>): UploadBody {
  const rest = batches.map(batch => [Buffer.from(batch)])
  return { next: async () => rest.shift() ?? null }
}

async function makeStorage (t: Test, options: { directory?: string, [name: string]: unknown } = {}): Promise<{ storage: Storage, directory: string }> {
  const directory = options.directory ?? await makeDirectory(t)
  const storage = createFsStorage({ ...options, directory })
  t.teardown(async () => { await storage.close?.() })
  return { storage, directory }
}

const append = (storage: Storage, id: string, offset: number, ...batches: string[]) =>
  storage.append(id, { offset, keep: 'prefix', body: makeBody(...batches) })

t.test('says what is wrong with its options', async t => {
  for (const options of [{}, { directory: '' }, { directory: 7 }, { directory: 'x', durability: 'maybe' }, { directory: 'x', metadataCalls: 'sync' }]) {
    t.throws(() => createFsStorage(options as never), TypeError)
  }
})

t.test('creates the directory, however deep', async t => {
  const directory = join(await makeDirectory(t), 'a', 'b')
  const storage = createFsStorage({ directory })
  await storage.open?.()
  t.ok((await stat(directory)).isDirectory())
  await storage.close?.()
})

t.test('rejects when the directory can not be made, and works once it can', async t => {
  const directory = join(await makeDirectory(t), 'uploads')
  await writeFile(directory, 'a file is in the way')
  const storage = createFsStorage({ directory })
  t.teardown(async () => { await storage.close?.() })
  await t.rejects(async () => { await storage.open?.() })
  await t.rejects(storage.find('a'))
  await rm(directory)
  t.equal(await storage.find('a'), null)
})

t.test('keeps the bytes in a file of the same name, and nothing else but the record', async t => {
  const { storage, directory } = await makeStorage(t)
  const { id } = makeUpload()
  await storage.create(makeUpload({ id }))
  await append(storage, id, 0, 'hello ', 'world'.slice(0, 4))
  t.same(await listNames(directory), [id, `${id}.json`])
  t.equal(await readFile(join(directory, id), 'utf8'), 'hello worl')
  t.equal((await stat(join(directory, id))).mode & 0o007, 0, 'other users of the machine can not read it')
})

t.test('a record that was being written when the process died is no upload, and its id is free', async t => {
  const { storage, directory } = await makeStorage(t)
  const upload = makeUpload({ id: 'torn' })
  await storage.create(makeUpload({ id: 'whole' }))
  const text = await readFile(join(directory, 'whole.json'), 'utf8')
  const own = text.replaceAll('whole', 'torn')
  const torn = [['', ''], ['\0'.repeat(40), ''], [own.slice(0, 40), ''], [own.slice(0, 120), 'remains'], [own.slice(0, -1), 'remains']]
  for (const [record, bytes] of torn as Array<[string, string]>) {
    await writeFile(join(directory, 'torn.json'), record)
    await writeFile(join(directory, 'torn'), bytes)
    t.equal(await storage.find('torn'), null)
    await storage.create(upload)
    t.equal((await storage.find('torn'))?.offset, 0)
    await storage.remove('torn')
  }
})

t.test('bytes without a record are no upload, and neither is a record without bytes', async t => {
  const { storage, directory } = await makeStorage(t)
  await writeFile(join(directory, 'bytes'), '').catch(() => mkdir(directory))
  await writeFile(join(directory, 'bytes'), '')
  t.equal(await storage.find('bytes'), null)
  await storage.create(makeUpload({ id: 'record' }))
  await rm(join(directory, 'record'))
  t.equal(await storage.find('record'), null)
  await storage.create(makeUpload({ id: 'record' }))
  await storage.create(makeUpload({ id: 'bytes' }))
  t.same([(await storage.find('record'))?.offset, (await storage.find('bytes'))?.offset], [0, 0])
  await t.rejects(storage.create(makeUpload({ id: 'bytes' })), UploadExists)
})

t.test('sees what another process changed in an upload right after this one created it, or changed it', async t => {
  const { storage, directory } = await makeStorage(t)
  const other = createFsStorage({ directory })
  t.teardown(async () => { await other.close?.() })
  const upload = makeUpload({ length: null })
  await storage.create(upload)
  await other.setLength(upload.id, 1234)
  t.equal((await storage.find(upload.id))?.length, 1234)
  await storage.update(upload.id, () => ({ serverMetadata: { by: 'this' } }))
  await other.update(upload.id, () => ({ serverMetadata: { by: 'that' } }))
  t.same((await storage.find(upload.id))?.serverMetadata, { by: 'that' })
})

for (const metadataCalls of ['adaptive', 'async'] as const) {
  t.test(`finds the upload that another process made in place of one that is open, whoever looks meanwhile; ${metadataCalls}`, async t => {
    const { storage, directory } = await makeStorage(t, { metadataCalls })
    const { storage: other } = await makeStorage(t, { directory })
    await storage.create(makeUpload({ id: 'a', createdAt: new Date(1000) }))
    await append(storage, 'a', 0, 'abc')
    await other.remove('a')
    await other.create(makeUpload({ id: 'a', createdAt: new Date(2000) }))
    const found = await Promise.all([1, 2, 3].map(() => storage.find('a')))
    t.same(found.map(upload => upload?.createdAt), [1, 2, 3].map(() => new Date(2000)))
  })
}

t.test('a record of another id is not believed', async t => {
  const { storage, directory } = await makeStorage(t)
  await storage.create(makeUpload({ id: 'a' }))
  await writeFile(join(directory, 'b'), '')
  await writeFile(join(directory, 'b.json'), await readFile(join(directory, 'a.json')))
  t.equal(await storage.find('b'), null)
})

t.test('a full device is StorageFull, and what was stored before stays', { skip: process.platform !== 'linux' }, async t => {
  const { storage, directory } = await makeStorage(t)
  await storage.create(makeUpload({ id: 'a' }))
  await rm(join(directory, 'a'))
  // Every write to this device fails as on a disk without room.
  await symlink('/dev/full', join(directory, 'a'))
  await t.rejects(append(storage, 'a', 0, 'hello'), StorageFull)
  await rm(join(directory, 'a'))
  await writeFile(join(directory, 'a'), 'hel')
  const next = createFsStorage({ directory })
  t.equal((await next.find('a'))?.offset, 3)
  t.equal(await append(next, 'a', 3, 'lo'), 5)
  await next.close?.()
})

t.test('a sync that fails acknowledges nothing', { skip: process.platform !== 'linux' }, async t => {
  const { storage, directory } = await makeStorage(t, { metadataCalls: 'async' })
  await storage.create(makeUpload({ id: 'a' }))
  await rm(join(directory, 'a'))
  // This device takes every byte and refuses to sync.
  await symlink('/dev/null', join(directory, 'a'))
  await t.rejects(append(storage, 'a', 0, 'hello'), { code: 'EINVAL' })
  t.equal((await storage.find('a'))?.offset, 0, 'nothing is counted')
  await t.rejects(append(storage, 'a', 0, 'hello'), { code: 'EINVAL' }, 'and nothing written, before the cut that is due has worked')
  await rm(join(directory, 'a'))
  await writeFile(join(directory, 'a'), '')
  const next = createFsStorage({ directory })
  t.equal((await next.find('a'))?.offset, 0)
  await next.close?.()
})

t.test('a cut that is due is made up for before anything is counted', { skip: process.platform !== 'linux' }, async t => {
  const { storage, directory } = await makeStorage(t)
  await storage.create(makeUpload({ id: 'a', length: 100 }))
  await append(storage, 'a', 0, 'abc')
  // Cut from outside, as a filesystem check does: the file, not the memory of this process, says what there is.
  await truncate(join(directory, 'a'), 2)
  t.equal((await storage.find('a'))?.offset, 2)
  t.equal(await append(storage, 'a', 2, 'cd'), 4)
})

t.test('who looks at all uploads leaves none of them open', { skip: process.platform !== 'linux' }, async t => {
  const { storage, directory } = await makeStorage(t)
  for (let index = 0; index < 20; index++) {
    await storage.create(makeUpload({ id: `upload-${index}`, length: 3 }))
    await append(storage, `upload-${index}`, 0, 'abc')
  }
  const other = createFsStorage({ directory })
  t.teardown(() => other.close?.())
  await other.open?.()
  const before = (await readdir('/proc/self/fd')).length
  let seen = 0
  for await (const { offset } of other.list!()) seen += offset
  t.equal(seen, 60)
  t.equal((await readdir('/proc/self/fd')).length, before)
})

t.test('more uploads than may be open at once', async t => {
  const { storage } = await makeStorage(t, { durability: 'none' })
  const ids = Array.from({ length: 600 }, (_, index) => `upload-${index}`)
  for (const id of ids) await storage.create(makeUpload({ id }))
  for (const id of ids) await append(storage, id, 0, 'abc')
  await Promise.all(ids.map(id => append(storage, id, 3, 'def')))
  const offsets = await Promise.all(ids.map(async id => (await storage.find(id))?.offset))
  t.ok(offsets.every(offset => offset === 6))
  if (process.platform === 'linux') t.ok((await readdir('/proc/self/fd')).length < 400, 'descriptors are bounded')
})

t.test('a directory that vanished is an error, not an empty upload', async t => {
  const { storage, directory } = await makeStorage(t)
  await storage.create(makeUpload({ id: 'a' }))
  await rm(directory, { recursive: true })
  await t.rejects(storage.create(makeUpload({ id: 'b' })), StorageUnavailable)
  await t.rejects(storage.find('a'), StorageUnavailable)
})

t.test('a record that can not be replaced leaves the old one', { skip: process.getuid?.() === 0 }, async t => {
  const { storage, directory } = await makeStorage(t)
  await storage.create(makeUpload({ id: 'a', length: null }))
  await chmod(directory, 0o500)
  await t.rejects(storage.setLength('a', 7))
  await chmod(directory, 0o700)
  t.equal((await storage.find('a'))?.length, null)
})

t.test('a record whose place is taken leaves no temporary file', async t => {
  const { storage, directory } = await makeStorage(t)
  await storage.create(makeUpload({ id: 'a', length: null }))
  await t.rejects(storage.update('a', () => {
    rmSync(join(directory, 'a.json'))
    mkdirSync(join(directory, 'a.json'))
    return { serverMetadata: { big: 'x' } }
  }))
  t.equal(await storage.find('a'), null)
  t.same((await readdir(directory)).filter(name => name.endsWith('.tmp')), [])
})

t.test('Pace: leaves synchronous calls alone after several slow ones, and comes back', async t => {
  let time = 0
  t.intercept(performance, 'now', { value: () => time })
  const pace = new Pace(5)
  const slow = () => { time += 6 }
  t.equal(pace.isQuick, true)
  pace.measure(slow)
  for (let count = 0; count < 40; count++) pace.measure(() => {})
  t.equal(pace.isQuick, true, 'one slow call is noise')
  for (let count = 0; count < 4; count++) pace.measure(slow)
  t.equal(pace.isQuick, false)
  time += 31_000
  t.equal(pace.isQuick, true, 'it is tried again later')
  t.equal(new Pace(5, false).isQuick, false)
})

t.test('Directory: one sync serves everybody who waits for it', async t => {
  const directory = new Directory(await makeDirectory(t), new Files('fsync', new Pace(2), new Pace(1, false)), new Turn())
  t.equal(directory.sync(), undefined, 'nothing to do before it is open')
  await directory.open()
  const first = directory.sync()
  const [second, third] = [directory.sync(), directory.sync()]
  t.not(first, second, 'a sync that runs already may be too early')
  t.equal(second, third)
  await Promise.all([first, second, third])
  await directory.close()
  await directory.close()
})

t.test('an upload that can not be read keeps nobody from the others, and its bytes stay', async t => {
  const { storage, directory } = await makeStorage(t)
  for (const id of ['a', 'b', 'c']) await storage.create(makeUpload({ id }))
  await append(storage, 'b', 0, 'hello')
  await writeFile(join(directory, 'b.json'), (await readFile(join(directory, 'b.json'), 'utf8')).replace('}}\n', '}\n'))
  const listed: string[] = []
  await t.rejects(async () => { for await (const { id } of storage.list!()) listed.push(id) }, { errors: [SyntaxError] })
  t.same(listed.sort(), ['a', 'c'])
  t.equal(await storage.tidy!(new Date(Date.now() + 60_000)), 0)
  t.equal(await readFile(join(directory, 'b'), 'utf8'), 'hello')
})

t.test('concatenates more parts than fit on a command line', async t => {
  const { storage, directory } = await makeStorage(t, { durability: 'none' })
  await storage.create(makeUpload({ id: 'x'.repeat(128), length: 1 }))
  await append(storage, 'x'.repeat(128), 0, 'x')
  const parts = Array(16_000).fill('x'.repeat(128))
  await storage.create(makeUpload({ id: 'final', length: parts.length, final: true }))
  t.equal(await storage.concatenate!('final', parts), parts.length)
  t.equal(await readFile(join(directory, 'final'), 'utf8'), 'x'.repeat(parts.length))
})

t.test('concatenates where there is no cat', async t => {
  const { storage, directory } = await makeStorage(t)
  const { PATH } = process.env
  process.env.PATH = directory
  t.teardown(() => { process.env.PATH = PATH })
  await storage.create(makeUpload({ id: 'part', length: 3 }))
  await append(storage, 'part', 0, 'abc')
  await storage.create(makeUpload({ id: 'final', length: 6, final: true }))
  t.equal(await storage.concatenate!('final', ['part', 'part']), 6)
  t.equal(await readFile(join(directory, 'final'), 'utf8'), 'abcabc')
})
