import { appendFile, cp, mkdir, open, readFile, readdir, rm, stat, truncate, writeFile } from 'node:fs/promises'
import { closeSync, existsSync, openSync } from 'node:fs'
import { join } from 'node:path'
import t, { type Test } from 'tap'
import { createFsStorage, type FsStorageOptions } from '../../adapters/fs/index.js'
import { Directory } from '../../adapters/fs/directory.js'
import { Files } from '../../adapters/fs/files.js'
import { decodeEntries, encodeEntry, type Entry } from '../../adapters/fs/journal/entries.js'
import { JOURNAL } from '../../adapters/fs/journal/place.js'
import { noteRemoval } from '../../adapters/fs/journal/removals.js'
import { replay } from '../../adapters/fs/journal/replay.js'
import { checkSyncProgram, syncFileSystem } from '../../adapters/fs/journal/sync-file-system.js'
import { Pace } from '../../adapters/fs/pace.js'
import { createPaths } from '../../adapters/fs/paths.js'
import { Turn } from '../../adapters/fs/turn.js'
import type { Storage } from '../../lib/storage.js'
import { makeDirectory } from '../support/app.js'
import { limitProcess } from '../support/small-disk.js'
import { makeUpload } from '../support/uploads.js'
import { sleep, until } from '../support/waiting.js'

if (existsSync('/dev/shm')) process.env.TMPDIR = '/dev/shm'
const skip = process.platform === 'linux' ? false : 'the journal is for Linux'

async function makeStorage (t: Test, options: Partial<FsStorageOptions> = {}): Promise<{ storage: Storage, directory: string }> {
  const directory = options.directory ?? await makeDirectory(t)
  const storage = createFsStorage({ directory, journal: true, ...options })
  t.teardown(() => storage.close?.())
  await storage.open?.()
  return { storage, directory }
}

function append (storage: Storage, id: string, offset: number, content: string | Buffer): Promise<number> {
  const rest = [[Buffer.from(content)]]
  return storage.append(id, { offset, keep: 'prefix', body: { next: async () => rest.shift() ?? null } })
}

function createFiles (): Files {
  return new Files('none', new Pace(2), new Pace(2))
}

async function listLogs (directory: string): Promise<string[]> {
  return (await readdir(join(directory, '.journal'))).filter(name => name.endsWith('.log'))
}

/** A directory that has lost all but the logs, as a failure of the machine may leave it. */
async function loseFiles (t: Test, directory: string): Promise<string> {
  const left = await makeDirectory(t)
  await cp(join(directory, '.journal'), join(left, '.journal'), { recursive: true })
  return left
}

t.test('says what is wrong with its options', async t => {
  for (const journal of ['yes', 7, null, { interval: 10 }, { interval: NaN }, { size: 1000 }, { size: 1e12 }]) {
    t.throws(() => createFsStorage({ directory: 'x', journal } as never), TypeError)
  }
})

t.test('makes no folder unless it is asked for one', async t => {
  for (const options of [{ journal: false }, { journal: true, durability: 'none' as const }]) {
    const { storage, directory } = await makeStorage(t, options)
    await storage.create(makeUpload({ id: 'a' }))
    t.notOk(existsSync(join(directory, '.journal')))
  }
})

t.test('refuses to open where the program sync is missing or can not do it', { skip }, async t => {
  const { PATH } = process.env
  t.teardown(() => { process.env.PATH = PATH })
  const programs = await makeDirectory(t)
  process.env.PATH = programs
  await t.rejects(checkSyncProgram(), /needs the program `sync`/)
  await writeFile(join(programs, 'sync'), '#!/bin/sh\necho it knows no flags >&2\nexit 1\n', { mode: 0o755 })
  await t.rejects(syncFileSystem(1), /could not be synced: it knows no flags/)
  await writeFile(join(programs, 'sync'), '#!/bin/sh\nkill -9 $$\n', { mode: 0o755 })
  await t.rejects(syncFileSystem(1), /SIGKILL/)
  await t.rejects(createFsStorage({ directory: programs, journal: true }).open!(), /needs the program `sync`/)
})

t.test('survives that there is no descriptor for the program sync', { skip }, async t => {
  limitProcess(process.pid, '--nofile=128:')
  const open: number[] = []
  t.teardown(() => {
    for (const fd of open) closeSync(fd)
    limitProcess(process.pid, '--nofile=4096:')
  })
  t.throws(() => { for (;;) open.push(openSync('/dev/null', 'r')) }, { code: 'EMFILE' })
  await t.rejects(syncFileSystem(open[0]!), { code: 'EMFILE' })
})

t.test('takes records and small bodies, and leaves large ones to their files', { skip }, async t => {
  const { storage, directory } = await makeStorage(t)
  await storage.create(makeUpload({ id: 'a', length: null }))
  await append(storage, 'a', 0, 'small')
  await append(storage, 'a', 5, Buffer.alloc(20_000))
  const [log] = await listLogs(directory)
  const entries = [...decodeEntries(await readFile(join(directory, '.journal', log!)))]
  t.same(entries.map(({ kind, id }) => [kind, id]), [['create', 'a'], ['bytes', 'a']])
})

t.test('settles when it is time to, and when it is closed', { skip }, async t => {
  const { storage, directory } = await makeStorage(t, { journal: { interval: 5000 } })
  await storage.create(makeUpload({ id: 'a' }))
  t.equal((await listLogs(directory)).length, 1)
  await until('it is settled', async () => (await listLogs(directory)).length === 0)
  await storage.create(makeUpload({ id: 'b' }))
  t.equal((await listLogs(directory)).length, 1)
  await storage.close?.()
  t.same(await readdir(join(directory, '.journal')), ['removed'])
})

t.test('goes on without when it is full', { skip }, async t => {
  const { storage, directory } = await makeStorage(t, { journal: { size: 4 * 1024 * 1024 } })
  const ids = Array.from({ length: 400 }, (_, index) => `u${index}`)
  await Promise.all(ids.map(id => storage.create(makeUpload({ id, length: null }))))
  await Promise.all(ids.map(id => append(storage, id, 0, Buffer.alloc(16_000, id))))
  await storage.close?.()
  const sizes = await Promise.all(ids.map(async id => (await stat(join(directory, id))).size))
  t.ok(sizes.every(size => size === 16_000))
  t.same(await listLogs(directory), [])
})

t.test('recovers what was lost, up to an entry that is not whole', { skip }, async t => {
  const { storage, directory } = await makeStorage(t)
  await storage.create(makeUpload({ id: 'a', length: null }))
  await append(storage, 'a', 0, 'first')
  await append(storage, 'a', 5, 'second')
  const path = join(directory, '.journal', (await listLogs(directory))[0]!)
  const log = await readFile(path)
  const ends = [...decodeEntries(log)].reduce<number[]>((sum, entry) => [...sum, (sum.at(-1) ?? 0) + encodeEntry(entry).length], [])
  const spoil: Array<[string, (path: string) => Promise<void>, string]> = [
    ['whole', async () => {}, 'firstsecond'],
    ['torn', path => truncate(path, ends[2]! - 1), 'first'],
    ['torn in its first bytes', path => truncate(path, ends[1]! + 3), 'first'],
    ['torn one before', path => truncate(path, ends[1]! - 1), ''],
    ['spoiled', path => spoilByte(path, ends[2]! - 1), 'first'],
    ['of a spoiled length', path => spoilByte(path, ends[1]! + 10), 'first']
  ]
  for (const [title, work, content] of spoil) {
    const left = await loseFiles(t, directory)
    await work(join(left, '.journal', (await listLogs(left))[0]!))
    await makeStorage(t, { directory: left, journal: false })
    t.equal(await readFile(join(left, 'a'), 'utf8'), content, title)
    t.same(await listLogs(left), [], title)
  }
})

async function spoilByte (path: string, at: number): Promise<void> {
  const file = await open(path, 'r+')
  const { buffer } = await file.read(Buffer.alloc(1), 0, 1, at)
  await file.write(Buffer.from([buffer[0]! ^ 1]), 0, 1, at)
  await file.close()
}

t.test('overwrites nothing that is newer than the log', { skip }, async t => {
  const { storage, directory } = await makeStorage(t)
  await storage.create(makeUpload({ id: 'a', length: null, createdAt: new Date(1000) }))
  await append(storage, 'a', 0, 'first')
  const left = await loseFiles(t, directory)
  // Goes on elsewhere, as one that was not told of the log.
  const writer = createFsStorage({ directory: left, journal: false })
  await writer.open?.()
  await append(writer, 'a', 5, 'second')
  await writer.setLength('a', 100)
  await writer.close?.()
  await cp(join(directory, '.journal'), join(left, '.journal'), { recursive: true })
  const { storage: next } = await makeStorage(t, { directory: left })
  t.match(await next.find('a'), { offset: 11, length: 100 })
  await next.close?.()
  // A later upload of the same id.
  await rm(join(left, 'a'))
  await rm(join(left, 'a.json'))
  const later = createFsStorage({ directory: left, journal: false })
  await later.create(makeUpload({ id: 'a', length: null, createdAt: new Date(2000) }))
  await append(later, 'a', 0, 'x')
  await later.close?.()
  await cp(join(directory, '.journal'), join(left, '.journal'), { recursive: true })
  const { storage: last } = await makeStorage(t, { directory: left })
  t.match(await last.find('a'), { offset: 1, createdAt: new Date(2000) })
})

t.test('takes the place of an older upload whose removal was lost in the middle', { skip }, async t => {
  const { storage, directory } = await makeStorage(t)
  await storage.create(makeUpload({ id: 'a', length: null, createdAt: new Date(2000) }))
  await append(storage, 'a', 0, 'new')
  const left = await loseFiles(t, directory)
  await mkdir(join(left, 'away'))
  await cp(join(left, '.journal'), join(left, 'away'), { recursive: true })
  await rm(join(left, '.journal'), { recursive: true })
  const older = createFsStorage({ directory: left, journal: false })
  await older.create(makeUpload({ id: 'a', length: null, createdAt: new Date(1000) }))
  await append(older, 'a', 0, 'older')
  await older.close?.()
  await cp(join(left, 'away'), join(left, '.journal'), { recursive: true })
  await makeStorage(t, { directory: left })
  t.equal(await readFile(join(left, 'a'), 'utf8'), 'new')
})

t.test('brings half a record back, and no bytes behind a hole', { skip }, async t => {
  const { storage, directory } = await makeStorage(t)
  await storage.create(makeUpload({ id: 'a', length: null }))
  await append(storage, 'a', 0, Buffer.alloc(20_000, 'x'))
  await append(storage, 'a', 20_000, 'behind')
  for (const record of ['{"version":1,', 'no record\n']) {
    const left = await loseFiles(t, directory)
    await writeFile(join(left, 'a.json'), record)
    await writeFile(join(left, 'a'), 'x')
    const { storage: next } = await makeStorage(t, { directory: left })
    t.match(await next.find('a'), { offset: 1 })
  }
})

t.test('begins a new log where somebody removed the folder', { skip }, async t => {
  const { storage, directory } = await makeStorage(t)
  await storage.create(makeUpload({ id: 'a', length: null }))
  await rm(join(directory, '.journal'), { recursive: true })
  t.equal(await append(storage, 'a', 0, 'small'), 5)
  t.equal((await listLogs(directory)).length, 1)
})

t.test('leaves the log of a living process alone, and ends that of one that has ended', { skip }, async t => {
  const { storage, directory } = await makeStorage(t)
  await storage.create(makeUpload({ id: 'a' }))
  const [log] = await listLogs(directory)
  const dead = join(directory, '.journal', 'dead-1-ab.0a.log')
  const entry: Entry = { kind: 'bytes', id: 'b', createdAt: 0, offset: 0, bytes: Buffer.from('of no record') }
  await appendFile(dead, encodeEntry(entry))
  const { storage: other } = await makeStorage(t, { directory })
  t.same(await listLogs(directory), [log])
  await appendFile(dead, encodeEntry(entry))
  await other.tidy?.(new Date(0))
  t.same(await listLogs(directory), [log])
})

t.test('keeps a note of a removal as long as there is a log that names the upload', { skip }, async t => {
  const { storage, directory } = await makeStorage(t)
  const { storage: other } = await makeStorage(t, { directory })
  const notes = () => readdir(join(directory, '.journal/removed'))
  await storage.create(makeUpload({ id: 'a' }))
  await other.create(makeUpload({ id: 'b' }))
  await other.remove('a')
  await other.close?.()
  t.match(await notes(), [/^a\./])
  await storage.close?.()
  t.same(await notes(), [])
})

t.test('does not take for removed what goes on behind a removal that came to nothing', { skip }, async t => {
  const { storage, directory } = await makeStorage(t)
  const createdAt = new Date()
  await storage.create(makeUpload({ id: 'a', length: null, createdAt }))
  await append(storage, 'a', 0, 'first')
  for (const goOn of [() => append(storage, 'a', 5, 'second'), () => storage.setLength('a', 100)]) {
    // All that a process did that died there.
    await noteRemoval({ files: createFiles(), paths: createPaths(directory) }, { id: 'a', createdAt: createdAt.getTime() })
    t.match(await readdir(join(directory, '.journal/removed')), [/^a\./])
    await goOn()
    t.same(await readdir(join(directory, '.journal/removed')), [])
  }
  const left = await loseFiles(t, directory)
  await makeStorage(t, { directory: left })
  t.equal(await readFile(join(left, 'a'), 'utf8'), 'firstsecond')
})

t.test('opens beside a process that keeps an upload of which a log tells', { skip }, async t => {
  const { storage, directory } = await makeStorage(t)
  const entry: Entry = { kind: 'bytes', id: 'a', createdAt: 0, offset: 0, bytes: Buffer.from('x') }
  const dead = 'dead-1-ab.0a.log'
  await appendFile(join(directory, '.journal', dead), encodeEntry(entry))
  await storage.locker!.withLock('a', 60_000, async () => {
    const { storage: other } = await makeStorage(t, { directory })
    t.same(await listLogs(directory), [dead], 'and leaves the log to the next sweep')
    await other.create(makeUpload({ id: 'b' }))
  })
  await storage.tidy?.(new Date(0))
  t.notOk((await listLogs(directory)).includes(dead))
})

t.test('one process at a time ends the logs of the dead', { skip }, async t => {
  const { storage, directory } = await makeStorage(t)
  const dead = 'dead-1-ab.0a.log'
  await appendFile(join(directory, '.journal', dead), encodeEntry({ kind: 'bytes', id: 'b', createdAt: 0, offset: 0, bytes: Buffer.from('x') }))
  let opening: Promise<unknown> | null = null
  await storage.locker!.withLock(JOURNAL, 60_000, async () => {
    opening = makeStorage(t, { directory })
    await sleep(300)
    t.same(await listLogs(directory), [dead])
  })
  await opening
  t.same(await listLogs(directory), [])
})

t.test('writes to no log of another name than its own', { skip }, async t => {
  const { storage, directory } = await makeStorage(t)
  await storage.create(makeUpload({ id: 'a', length: null }))
  await rm(join(directory, '.processes'), { recursive: true })
  await mkdir(join(directory, '.processes'))
  await storage.locker!.withLock('a', 60_000, () => append(storage, 'a', 0, 'small'))
  const { storage: other } = await makeStorage(t, { directory })
  const logs = await listLogs(directory)
  t.equal(logs.length, 1, 'that of the name that is gone has ended')
  t.same([...decodeEntries(await readFile(join(directory, '.journal', logs[0]!)))].map(({ kind }) => kind), ['bytes'])
  await other.close?.()
})

t.test('writes nothing again that was cut off its log meanwhile', { skip }, async t => {
  const directory = await makeDirectory(t)
  const storage = createFsStorage({ directory })
  t.teardown(() => storage.close?.())
  await storage.create(makeUpload({ id: 'a', length: null, createdAt: new Date(1000) }))
  await append(storage, 'a', 0, 'acknowledged')
  await mkdir(join(directory, '.journal'))
  const path = join(directory, '.journal/other-1-ab.0a.log')
  await writeFile(path, encodeEntry({ kind: 'bytes', id: 'a', createdAt: 1000, offset: 0, bytes: Buffer.from('refused') }))
  const files = createFiles()
  const cutting = { withLock: async <Result>(_id: string, _timeout: number, work: (wanted: never) => Promise<Result>) => { await truncate(path, 0); return work(null as never) } }
  await replay({ files, paths: createPaths(directory), directory: new Directory(directory, files, new Turn()), locker: cutting }, ['other-1-ab.0a.log'], 'all')
  t.equal(await readFile(join(directory, 'a'), 'utf8'), 'acknowledged')
})
