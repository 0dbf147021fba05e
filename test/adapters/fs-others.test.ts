import { execFileSync } from 'node:child_process'
import { chmod, lstat, lutimes, mkdir, readdir, readFile, rm, stat, symlink, writeFile } from 'node:fs/promises'
import { readdirSync } from 'node:fs'
import { createServer } from 'node:net'
import { join } from 'node:path'
import Fastify from 'fastify'
import t, { type Test } from 'tap'
import { createFsStorage, type FsStorageOptions } from '../../adapters/fs/index.js'
import { createRandomId } from '../../lib/random-id.js'
import { UploadExists } from '../../lib/storage.js'
import tus from '../../lib/index.js'
import { makeDirectory } from '../support/app.js'
import { withoutSqlite } from '../support/sqlite.js'
import { makeUpload } from '../support/uploads.js'

const FUTURE = new Date(Date.now() + 60_000)

async function open (t: Test, options: Partial<FsStorageOptions> = {}) {
  const directory = await makeDirectory(t)
  const storage = createFsStorage({ directory, ...options })
  t.teardown(async () => { await storage.close?.() })
  return { directory, storage }
}

/** Files as others keep them, by their names; what ends with a slash is a folder. */
const OTHERS = {
  'Photos/': '',
  'Photos/a.jpg': 'precious',
  'empty/': '',
  README: 'precious',
  'report.pdf': 'precious',
  __init__py: '',
  'empty.json': '',
  'package.json': '{"name":"x","version":"1.0.0"}\n',
  'list.json': '[1,2]\n',
  'null.json': 'null\n',
  'broken.json': '{"version":2,',
  'text.json': 'no JSON\n',
  'newer.json': '{"version":99,"upload":{"id":"newer"}}\n',
  'config.json': '{"version":1,"theme":"dark"}\n',
  'video.json': '{"version":1,"codec":"av1","tracks":[',
  video: 'precious',
  'copy.json': '{"version":1,"marked":false,"hold":null,"finished":false,"processed":false,"upload":{"id":"another"',
  copy: 'precious',
  'zeros.json': `${'\0'.repeat(100_000)}precious`,
  'large.json': `{"version":1,"marked":false,${'x'.repeat(100_000)}`,
  'lines.json': '{"version":1,"a":1}\n{"version":1,"a":2}\n',
  abcdefabcdefabcdefabcdefabcdefab: '',
  'folder.json/': '',
  'folder.json/x': 'precious',
  'insurance.claim': 'precious',
  'list.waiting/': '',
  'list.waiting/x': 'precious',
  'list.waiting/not an id': '',
  'room.waiting/': '',
  'room.waiting/alice': '',
  'room.waiting/bob': 'precious',
  'folder.0123456789ab.tmp/': '',
  'folder.0123456789ab.tmp/x': 'precious',
  // 32 digits, as of a cache that is addressed by content.
  d41d8cd98f00b204e9800998ecf8427e: 'precious'
}

async function putOthers (directory: string): Promise<void> {
  for (const [name, content] of Object.entries(OTHERS)) {
    if (name.endsWith('/')) await mkdir(join(directory, name))
    else {
      await writeFile(join(directory, name), content)
      await chmod(join(directory, name), 0o644)
    }
  }
}

async function checkOthers (t: Test, directory: string): Promise<void> {
  for (const [name, content] of Object.entries(OTHERS)) {
    const found = name.endsWith('/') ? (await lstat(join(directory, name))).isDirectory() : await readFile(join(directory, name), 'utf8')
    t.equal(found, name.endsWith('/') ? true : content, name)
  }
}

for (const index of [false, true]) {
  t.test(`files and folders of others stay, whatever their names and their age${index ? '; with an index' : ''}`, { skip: index && withoutSqlite }, async t => {
    const { directory, storage } = await open(t, { index })
    await putOthers(directory)
    if (process.platform === 'linux') execFileSync('mkfifo', ['pipe.json', 'pipe', 'pipe.claim', 'room.waiting/queue'].map(name => join(directory, name)))
    const socket = createServer().listen(join(directory, 'control.json'))
    t.teardown(() => { socket.close() })
    await symlink('loop.json', join(directory, 'loop.json'))
    await mkdir(join(directory, 'folder.claim'))
    await symlink('README', join(directory, 'link'))
    await storage.create(makeUpload({ id: 'ours' }))
    const past = new Date(1000)
    for (const name of await readdir(directory)) await lutimes(join(directory, name), past, past)
    const removed: string[] = []
    t.equal(await storage.tidy!(FUTURE, name => removed.push(name)), 0)
    t.same(removed, [])
    const listed: string[] = []
    for await (const { id } of storage.list!()) listed.push(id)
    t.same(listed, ['ours'], 'and none of them keeps a list from its end')
    for (const name of Object.keys(OTHERS)) {
      const id = name.replace(/\/|\.json\/?$/g, '')
      if (/^[\w.]+$/.test(id)) t.equal(await storage.find(id), null)
      if (/^[\w.]+$/.test(id)) await storage.remove(id)
    }
    for (const id of ['insurance', 'pipe', 'folder']) t.equal(await storage.claim!(id, 1000), process.platform === 'linux' || id !== 'pipe' ? null : undefined, `${id}.claim is no lease`)
    await checkOthers(t, directory)
    t.equal((await lstat(join(directory, 'link'))).isSymbolicLink(), true)
    await storage.remove('ours')
    t.same((await readdir(directory)).filter(name => name.startsWith('ours')), [])
  })
}

t.test('no upload takes the name of a file of others, and that file stays as it is', async t => {
  const { directory, storage } = await open(t)
  await storage.open?.()
  await putOthers(directory)
  await symlink('missing', join(directory, 'dangling'))
  for (const name of ['tusd', 'tusd.info']) await writeFile(join(directory, name), '')
  const taken = ['README', 'Photos', 'report.pdf', 'package', 'list', 'null', 'broken', 'text', 'newer', 'folder', 'd41d8cd98f00b204e9800998ecf8427e', 'dangling', 'tusd', 'config', 'video', 'copy', 'zeros', 'large', 'lines']
  for (const id of taken) await t.rejects(storage.create(makeUpload({ id })), UploadExists, id)
  await checkOthers(t, directory)
  t.same((await readdir(directory)).filter(name => taken.includes(name)), ['Photos', 'README', 'd41d8cd98f00b204e9800998ecf8427e', 'dangling', 'report.pdf', 'tusd', 'video', 'copy'].sort())
})

t.test('what a crash left goes, and its names are told', async t => {
  const { directory, storage } = await open(t)
  for (const id of ['whole', 'bytes']) await storage.create(makeUpload({ id }))
  const text = await readFile(join(directory, 'whole.json'), 'utf8')
  const generated = createRandomId()
  await storage.addWaiting!('gone', 'final')
  const remains = {
    'bytes.json': null, // its bytes were removed, and the removal ended there
    'torn.json': text.replaceAll('whole', 'torn').slice(0, 120),
    torn: 'bytes',
    [generated]: '', // its creation ended there
    'whole.0123456789ab.tmp': 'x',
    'gone.claim': '{"duration":1000}',
    'empty.claim': ''
  }
  await rm(join(directory, 'bytes'))
  for (const [name, content] of Object.entries(remains)) if (content !== null) await writeFile(join(directory, name), content, { mode: 0o640 })
  const removed: string[] = []
  t.equal(await storage.tidy!(new Date(0), name => removed.push(name)), 0, 'as long as it is young, it may be somebody\'s work')
  t.equal(await storage.tidy!(FUTURE, name => removed.push(name)), 8)
  t.same(removed.sort(), [...Object.keys(remains), 'gone.waiting'].sort())
  t.same((await readdir(directory)).filter(name => !name.startsWith('.')), ['whole', 'whole.json'])
})

t.test('a removal that died in the middle is finished by the next, and by a creation', async t => {
  const { directory, storage } = await open(t)
  for (const finish of ['remove', 'create'] as const) {
    await storage.create(makeUpload({ id: 'a' }))
    await rm(join(directory, 'a'))
    t.equal(await storage.find('a'), null)
    if (finish === 'remove') await storage.remove('a')
    else await storage.create(makeUpload({ id: 'a' }))
    t.same(readdirSync(directory).filter(name => !name.startsWith('.')), finish === 'remove' ? [] : ['a', 'a.json'])
  }
})

t.test('a directory that is used for the first time and has files of others is told to the operator, once', async t => {
  const directory = await makeDirectory(t)
  await putOthers(directory)
  const warnings: unknown[] = []
  const start = async (given: string) => {
    const app = Fastify({ logger: { level: 'warn', stream: { write: (line: string) => { warnings.push(JSON.parse(line)) } } } })
    await app.register(tus, { storage: createFsStorage({ directory: given }), expiration: false })
    await app.ready()
    await app.close()
  }
  await start(directory)
  t.match(warnings, [{ level: 40, directory, names: { length: 5 }, msg: /files of others/ }])
  await start(directory)
  await start(await makeDirectory(t))
  t.equal(warnings.length, 1)
})

t.test('other users of the machine see nothing, unless they are meant to', { skip: process.platform === 'win32' }, async t => {
  const before = process.umask(0o022)
  t.teardown(() => { process.umask(before) })
  const parent = await makeDirectory(t)
  const getMode = async (path: string) => (await stat(path)).mode & 0o777
  for (const [options, folder, file] of [[{}, 0o750, 0o640], [{ fileMode: 0o644, directoryMode: 0o755 }, 0o755, 0o644]] as const) {
    const directory = join(parent, String(folder))
    const storage = createFsStorage({ directory, ...options })
    await storage.create(makeUpload({ id: 'a' }))
    await storage.update('a', () => ({ serverMetadata: { x: 1 } }))
    t.same(await Promise.all(['', 'a', 'a.json', '.locks', '.processes'].map(name => getMode(join(directory, name)))), [folder, file, file, 0o700, 0o700])
    await storage.close?.()
  }
})

t.test('an opening that fails leaves nothing open, and the next one works', { skip: process.platform !== 'linux' || process.getuid?.() === undefined }, async t => {
  const directory = await makeDirectory(t)
  await writeFile(join(directory, '.processes'), 'in the way')
  const storage = createFsStorage({ directory })
  t.teardown(async () => { await storage.close?.() })
  const count = () => readdirSync('/proc/self/fd').length
  await t.rejects(storage.open!())
  const before = count()
  for (let round = 0; round < 20; round++) await t.rejects(storage.open!())
  t.equal(count(), before)
  await rm(join(directory, '.processes'))
  await storage.create(makeUpload({ id: 'a' }))
})
