import { setTimeout as pause } from 'node:timers/promises'
import Fastify from 'fastify'
import { closeSync } from 'node:fs'
import { mkdir, readdir, readFile, rm, symlink, truncate, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import t from 'tap'
import { Database } from '../../adapters/fs/catalog/database.js'
import { Ingest } from '../../adapters/fs/catalog/ingest.js'
import { getNewsPath, News } from '../../adapters/fs/catalog/news.js'
import { createFsStorage } from '../../adapters/fs/index.js'
import { Files } from '../../adapters/fs/files.js'
import { Pace } from '../../adapters/fs/pace.js'
import { append, createUpload } from '../../lib/contract/uploads.js'
import fastifyTus from '../../lib/index.js'
import type { Storage } from '../../lib/storage.js'
import type { NewUpload } from '../../lib/upload.js'
import { listNames, makeDirectory } from '../support/app.js'
import { age, getDatabasePath, listIds, openDatabase, openStorage, putBack } from '../support/index-files.js'
import { withoutSqlite } from '../support/sqlite.js'
import { makeUpload } from '../support/uploads.js'

const SWEEP = { for: 'sweep', incomplete: 60_000, complete: null } as const
const LONG_AGO = new Date(Date.now() - 3_600_000)

async function createComplete (storage: Storage, given: Partial<NewUpload> = {}): Promise<string> {
  const { id } = await createUpload(storage, { length: 3, ...given })
  await append(storage, id, 0, 'abc')
  return id
}

/** The ids that a list tells which begins while another process is in a transaction. */
async function listBeside (storage: Storage, directory: string, begin: string): Promise<string[]> {
  const other = openDatabase(directory)
  other.exec(begin)
  const listed = listIds(storage)
  await pause(30)
  other.exec('COMMIT')
  other.close()
  return listed
}

t.test('without node:sqlite, an index that is asked for is a coded error', { skip: withoutSqlite ? false : 'this Node has node:sqlite' }, async t => {
  t.throws(() => createFsStorage({ directory: 'x', index: true }), { name: 'IndexUnsupported', code: 'TUS_ERR_INDEX_UNSUPPORTED', message: process.version })
  t.ok(createFsStorage({ directory: 'x', index: false }))
})

t.test('says what is wrong with the option', async t => {
  for (const index of ['yes', {}, { directory: '' }, null]) t.throws(() => createFsStorage({ directory: 'x', index } as never), TypeError)
})

for (const quick of [true, false]) {
  t.test(`the journal has a line for each event, and goes on where it can be written again; ${quick ? 'synchronously' : 'through the thread pool'}`, async t => {
    const path = getNewsPath(join(await makeDirectory(t), 'index'))
    const journal = new News(new Files('none', new Pace(2, quick), new Pace(2, quick)), path)
    await mkdir(path, { recursive: true })
    await journal.note('+', 'a')
    await rm(path, { recursive: true })
    await journal.note('~', 'b')
    await Promise.all([journal.note('-', 'a'), journal.note('+', 'c')])
    await journal.close()
    const lines = (await readFile(path, 'utf8')).split('\n').filter(line => line !== '')
    t.same(lines.slice(0, 2), ['+a', '~b'], 'what could not be written comes first')
    t.same(lines.slice(2).sort(), ['+c', '-a'])
  })

  t.test(`events at the same time open the journal once, and close it once; ${quick ? 'synchronously' : 'through the thread pool'}`, async t => {
    const path = getNewsPath(join(await makeDirectory(t), 'index'))
    const files = new Files('none', new Pace(2, quick), new Pace(2, quick))
    const closed: number[] = []
    files.release = fd => { closed.push(fd) }
    const journal = new News(files, path)
    const ids = Array.from({ length: 20 }, (_, number) => `u${number}`)
    await Promise.all(ids.map(id => journal.note('+', id)))
    await journal.close()
    for (const fd of closed) closeSync(fd)
    t.equal(closed.length, 1)
    t.same((await readFile(path, 'utf8')).split('\n').filter(line => line !== '').sort(), ids.map(id => `+${id}`).sort())
  })
}

t.test('with the index', { skip: withoutSqlite }, async t => {
  t.test('a sweep is told of what may be due, and of nothing else', async t => {
    const directory = await makeDirectory(t)
    const writer = await openStorage(t, directory)
    const complete = await createComplete(writer)
    const { id: fresh } = await createUpload(writer, { length: 3 })
    const { id: expired } = await createUpload(writer, { length: 3, expiresAt: LONG_AGO })
    const later = await createComplete(writer, { expiresAt: new Date(Date.now() + 3_600_000) })
    const { id: marked } = await createUpload(writer, { length: 3, completes: 'by-mark' })
    const { id: final } = await createUpload(writer, { length: 3, final: true, parts: ['x'] })
    const storage = await openStorage(t, directory)
    t.same(await listIds(storage, SWEEP), [complete, fresh, expired, later, marked, final].sort(), 'all that is new')
    age(directory)
    await listIds(storage)
    t.same(await listIds(storage, SWEEP), [expired, marked, final].sort())
    t.same((await listIds(storage, { ...SWEEP, incomplete: 0 })), [fresh, expired, marked, final].sort())
    t.same((await listIds(storage, { for: 'sweep', incomplete: null, complete: 0 })), [complete, fresh, expired, marked, final].sort(), 'what was not complete may be by now')
    await append(writer, marked, 0, 'abc')
    await writer.complete(marked)
    await writer.update(marked, () => ({ finished: true }))
    await listIds(storage, SWEEP)
    t.same(await listIds(storage, SWEEP), [expired, final].sort(), 'nothing is left to be done for what is finished')
  })

  t.test('workers are told of what nobody has processed', async t => {
    const directory = await makeDirectory(t)
    const writer = await openStorage(t, directory)
    const [waiting, processed, part] = [await createComplete(writer), await createComplete(writer), await createComplete(writer, { partial: true })]
    await writer.update(processed, () => ({ processed: true }))
    const storage = await openStorage(t, directory)
    await listIds(storage)
    age(directory)
    await listIds(storage)
    t.same(await listIds(storage, { for: 'claims' }), [waiting])
    t.same(await listIds(storage, { for: 'state', state: 'complete' }), [waiting, processed, part].sort())
    t.same(await listIds(storage, { for: 'state', state: 'incomplete' }), [])
    await writer.update(processed, () => ({ processed: false }))
    t.same(await listIds(storage, { for: 'claims' }), [waiting, processed].sort(), 'and of one that was given back')
  })

  t.test('an application sweeps what has expired and finishes what was left', async t => {
    const directory = await makeDirectory(t)
    const app = Fastify()
    t.teardown(() => app.close())
    const storage = createFsStorage({ directory, index: true })
    await app.register(fastifyTus, { storage, expiration: { sweepInterval: null } })
    const finished: string[] = []
    app.tus.addHook('postFinish', async (_request, { id }) => { finished.push(id) })
    await app.ready()
    await createUpload(storage, { length: 3, expiresAt: LONG_AGO })
    const left = await createComplete(storage, { completes: 'by-mark' })
    await createComplete(storage)
    t.match(await app.tus.sweep(), { expired: 1, finished: 1, failed: 0 })
    t.same(finished, [left])
    t.match(await app.tus.sweep(), { expired: 0, finished: 0, failed: 0 })
  })

  t.test('the offset of an upload is that of its file, whatever the index says', async t => {
    const directory = await makeDirectory(t)
    const [writer, storage] = [await openStorage(t, directory), await openStorage(t, directory)]
    const { id } = await createUpload(writer, { length: 9 })
    await listIds(storage)
    age(directory)
    await listIds(storage)
    for (const [at, text] of [[0, 'abc'], [3, 'def'], [6, 'ghi']] as const) {
      await append(writer, id, at, text)
      for await (const { offset, complete } of storage.list!()) t.same([offset, complete], [at + 3, at === 6])
    }
  })

  t.test('what a process without an index does is seen at the next start, and what has gone is not told', async t => {
    const directory = await makeDirectory(t)
    const first = await openStorage(t, directory)
    const goes = await createComplete(first)
    t.same(await listIds(first), [goes])
    await first.close?.()
    const plain = await openStorage(t, directory, { index: false })
    const comes = await createComplete(plain)
    await plain.remove(goes)
    const second = await openStorage(t, directory)
    t.same(await listIds(second, SWEEP), [comes])
    t.same(await listIds(second), [comes])
  })

  for (const { name, harm } of [
    { name: 'is removed', harm: (directory: string) => rm(join(directory, '.index'), { recursive: true }) },
    { name: 'is no database any more', harm: (directory: string) => writeFile(getDatabasePath(directory), Buffer.alloc(20_000, 'x')) },
    { name: 'is cut', harm: (directory: string) => truncate(getDatabasePath(directory), 5000) },
    { name: 'is empty', harm: (directory: string) => truncate(getDatabasePath(directory), 0) },
    {
      name: 'is of another version',
      harm: async (directory: string) => {
        const database = openDatabase(directory)
        database.exec('DROP TABLE uploads; PRAGMA user_version = 7')
        database.close()
      }
    }
  ]) {
    for (const running of [true, false]) {
      t.test(`it ${name} ${running ? 'while two processes run' : 'before the start'}: uploads go on, lists and sweeps are right`, async t => {
        const directory = await makeDirectory(t)
        let [writer, storage] = [await openStorage(t, directory), await openStorage(t, directory)]
        const before = await createUpload(writer, { length: 3, expiresAt: LONG_AGO })
        t.same(await listIds(storage), [before.id])
        t.same(await listIds(writer), [before.id])
        if (!running) for (const opened of [writer, storage]) await opened.close?.()
        await harm(directory)
        if (!running) [writer, storage] = [await openStorage(t, directory), await openStorage(t, directory)]
        const after = await createUpload(writer, { length: 3, expiresAt: LONG_AGO })
        // One that fails on its way says so, and the next is right.
        const recovered = await listIds(storage, SWEEP).catch(() => listIds(storage, SWEEP))
        t.same(recovered, [before.id, after.id].sort())
        t.same(await listIds(writer), [before.id, after.id].sort())
        const last = await createComplete(writer)
        // Who had the journal open notices within a second that it has gone; the directory is compared once more behind that.
        if (running && name === 'is removed') putBack(directory)
        t.same(await listIds(storage), [before.id, after.id, last].sort())
        t.same((await readdir(join(directory, '.index'))).filter(name => name.endsWith('.old')), [])
      })
    }
  }

  t.test('where it can not be written, uploads go on, and lists are made from the files', async t => {
    const directory = await makeDirectory(t)
    await writeFile(join(directory, '.index'), 'a file is in the way')
    const storage = await openStorage(t, directory)
    const warned = new Promise<Error & { code?: string }>(resolve => process.once('warning', resolve))
    const id = await createComplete(storage)
    t.same(await listIds(storage), [id])
    t.equal((await warned).code, 'TUS_WARN_INDEX')
    await storage.remove(id)
    t.same(await listNames(directory), [])
  })

  t.test('a list waits for a process that is writing', async t => {
    const directory = await makeDirectory(t)
    const storage = await openStorage(t, directory)
    t.same(await listIds(storage), [])
    const id = await createComplete(storage)
    t.same(await listBeside(storage, directory, 'BEGIN IMMEDIATE'), [id])
  })

  t.test('a list waits for a process that is opening the index, or putting it in order', async t => {
    const directory = await makeDirectory(t)
    const storage = await openStorage(t, directory)
    await mkdir(join(directory, '.index/sqlite'), { recursive: true })
    const warnings: string[] = []
    const onWarning = ({ message }: Error): void => { warnings.push(message) }
    process.on('warning', onWarning)
    t.teardown(() => process.off('warning', onWarning))
    t.same(await listBeside(storage, directory, 'BEGIN EXCLUSIVE'), [])
    t.same(warnings.filter(message => message.includes('can not be used')), [])
  })

  t.test('lists at the same time are each whole', async t => {
    const directory = await makeDirectory(t)
    const storages = [await openStorage(t, directory), await openStorage(t, directory)]
    const ids = await Promise.all(Array.from({ length: 300 }, () => createUpload(storages[0]!, { length: 1 }).then(({ id }) => id)))
    for (const listed of await Promise.all([...storages, ...storages].map(storage => listIds(storage)))) t.same(listed, ids.sort())
  })

  t.test('a journal that has grown is put aside, and what a late process writes to it still counts', async t => {
    const directory = await makeDirectory(t)
    await mkdir(join(directory, 'sqlite'))
    const path = getNewsPath(directory)
    const database = new Database(directory)
    t.teardown(() => database.close())
    const ingest = new Ingest(database, path)
    const [late, early] = [new News(new Files('none', new Pace(2), new Pace(2)), path), new News(new Files('none', new Pace(2), new Pace(2)), path)]
    await late.note('+', 'a')
    await ingest.run()
    await ingest.rotate(1)
    await late.note('+', 'b')
    await early.note('+', 'c')
    await early.note('-', 'a')
    await ingest.run()
    t.same(database.prepare('SELECT id FROM uploads ORDER BY id').all().map(({ id }) => id), ['b', 'c'])
    t.same((await readdir(directory)).sort(), ['journal', 'journal.old', 'sqlite'])
    await Promise.all([late.close(), early.close()])
  })

  t.test('half a line spoils no other', async t => {
    const directory = await makeDirectory(t)
    const storage = await openStorage(t, directory)
    t.same(await listIds(storage), [])
    await writeFile(getNewsPath(join(directory, '.index')), '\n+../../etc/passwd\n+hal', { flag: 'a' })
    const id = await createComplete(storage)
    t.same(await listIds(storage), [id])
  })

  t.test('what was announced a moment ago may still come: it is looked at until then', async t => {
    const directory = await makeDirectory(t)
    const [plain, storage, other] = [await openStorage(t, directory, { index: false }), await openStorage(t, directory), await openStorage(t, directory)]
    const [changed, meanwhile] = [await createComplete(plain), await createComplete(plain)]
    await listIds(storage)
    await listIds(other)
    age(directory)
    const news = new News(new Files('none', new Pace(2), new Pace(2)), getNewsPath(join(directory, '.index')))
    t.teardown(() => news.close())
    await news.note('+', 'late')
    await news.note('~', changed)
    for await (const { id } of storage.list!()) {
      if (id !== meanwhile) continue
      await news.note('~', meanwhile)
      await listIds(other)
    }
    t.same(await listIds(storage), [changed, meanwhile].sort())
    for (const id of [changed, meanwhile]) await plain.update(id, () => ({ expiresAt: LONG_AGO }))
    await plain.create(makeUpload({ id: 'late', length: 3, expiresAt: LONG_AGO }))
    t.same(await listIds(storage, SWEEP), [changed, meanwhile, 'late'].sort())
  })

  t.test('the directory is compared once more behind a new beginning', async t => {
    const directory = await makeDirectory(t)
    const [plain, storage] = [await openStorage(t, directory, { index: false }), await openStorage(t, directory)]
    await pause(300)
    t.same(await listIds(storage), [])
    const database = openDatabase(directory)
    const setBeginning = database.prepare("UPDATE times SET time = ? WHERE name = 'created'")
    setBeginning.run(Date.now() - 60_000)
    const { id } = await createUpload(plain, { length: 3 })
    t.same(await listIds(storage), [], 'long after it, the journal is believed')
    setBeginning.run(Date.now() - 3100)
    database.prepare("UPDATE times SET time = ? WHERE name = 'scan'").run(Date.now() - 200)
    database.close()
    t.same(await listIds(storage), [id])
  })

  for (const { name, harm } of [{ name: 'removed', harm: (path: string) => rm(path) }, { name: 'cut', harm: (path: string) => truncate(path, 0) }]) {
    t.test(`the journal is ${name} before it was read: the directory is compared`, async t => {
      const directory = await makeDirectory(t)
      const [writer, storage] = [await openStorage(t, directory), await openStorage(t, directory)]
      const before = await createComplete(writer)
      await listIds(storage)
      age(directory)
      t.same(await listIds(storage), [before])
      const id = await createComplete(writer)
      await harm(getNewsPath(join(directory, '.index')))
      t.same(await listIds(storage), [before, id].sort())
    })
  }

  t.test('what is no line spoils no other, however long it is', async t => {
    const directory = await makeDirectory(t)
    const storage = await openStorage(t, directory)
    t.same(await listIds(storage), [])
    await writeFile(getNewsPath(join(directory, '.index')), Buffer.alloc(100_000), { flag: 'a' })
    const id = await createComplete(storage)
    t.same(await listIds(storage), [id])
    age(directory)
    const next = await createComplete(storage)
    t.same(await listIds(storage), [id, next].sort())
  })

  t.test('an upload whose last bytes were taken back is one in progress', async t => {
    const directory = await makeDirectory(t)
    const [writer, storage] = [await openStorage(t, directory), await openStorage(t, directory)]
    const { id } = await createUpload(writer, { length: 3 })
    await listIds(storage)
    age(directory)
    const refused = new Error('there is more than fits')
    const next = async () => {
      for await (const { complete } of storage.list!()) t.equal(complete, true, 'another process sees them all')
      throw refused
    }
    const batches = [async () => [Buffer.from('abc')], next]
    await t.rejects(writer.append(id, { offset: 0, keep: 'prefix', body: { next: () => batches.shift()!() } }), refused)
    t.same(await listIds(storage, { for: 'state', state: 'incomplete' }), [id])
    t.same(await listIds(storage, { for: 'sweep', incomplete: 0, complete: null }), [id])
  })

  t.test('behind a failure of the machine, which may have taken what was noted, a sweep looks at everything once', async t => {
    const directory = await makeDirectory(t)
    const [plain, storage] = [await openStorage(t, directory, { index: false }), await openStorage(t, directory)]
    const id = await createComplete(plain)
    const other = await createComplete(plain)
    await listIds(storage)
    age(directory)
    await listIds(storage)
    await plain.update(id, () => ({ expiresAt: LONG_AGO }))
    t.same(await listIds(storage, SWEEP), [], 'nobody has told of it')
    const database = openDatabase(directory)
    database.exec("UPDATE times SET time = 1000 WHERE name IN ('created', 'scan')")
    database.close()
    t.same(await listIds(storage, SWEEP), [id, other].sort())
    t.same(await listIds(storage, SWEEP), [id])
  })

  t.test('while news can not be written, a process lists what it has made from the files, and others learn of it soon', { skip: process.platform === 'linux' ? false : 'there is no /dev/full' }, async t => {
    const directory = await makeDirectory(t)
    const [writer, storage] = [await openStorage(t, directory), await openStorage(t, directory)]
    const before = await createComplete(writer)
    const news = getNewsPath(join(directory, '.index'))
    await rm(news)
    await symlink('/dev/full', news)
    for (const opened of [writer, storage]) t.same(await listIds(opened), [before])
    age(directory)
    for (const opened of [writer, storage]) t.same(await listIds(opened), [before])
    // The file is believed to have its name for a second.
    await pause(1100)
    const id = await createComplete(writer)
    t.same(await listIds(writer), [before, id].sort())
    await rm(news)
    await pause(2500)
    t.same(await listIds(storage), [before, id].sort())
  })

  t.test('remains are looked for once an hour, by one process', async t => {
    const directory = await makeDirectory(t)
    const [storage, other] = [await openStorage(t, directory), await openStorage(t, directory)]
    const future = new Date(Date.now() + 60_000)
    await writeFile(join(directory, 'a.0123456789ab.tmp'), 'x')
    t.equal(await storage.tidy?.(future), 1)
    await writeFile(join(directory, 'a.0123456789ab.tmp'), 'x')
    t.equal(await other.tidy?.(future), 0)
    putBack(directory, 3_600_001)
    t.equal(await other.tidy?.(future), 1)
  })
})
