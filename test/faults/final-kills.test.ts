import { open, readdir, readFile, stat, writeFile } from 'node:fs/promises'
import { once } from 'node:events'
import { join } from 'node:path'
import t, { type Test } from 'tap'
import { makeDirectory } from '../support/app.js'
import { BYTES, TUS, until } from '../support/http-tus.js'
import { spawnNode, waitForLine } from '../support/server-process.js'
import { waitForCopies } from '../support/copies.js'

// A process is killed at each step of a final upload, and the next one is started on the same directory.

interface Setting {
  readonly directory: string
  readonly log: string
  readonly env: NodeJS.ProcessEnv
}

interface Server {
  readonly url: string
  /** Resolves when it hangs at its step. */
  readonly hangs: Promise<unknown>
  kill (signal?: NodeJS.Signals): Promise<void>
}

async function setUp (t: Test, env: NodeJS.ProcessEnv = {}): Promise<Setting> {
  const log = join(await makeDirectory(t), 'log')
  await writeFile(log, '')
  return { directory: await makeDirectory(t), log, env }
}

async function start (t: Test, { directory, log, env }: Setting, ...step: string[]): Promise<Server> {
  const child = spawnNode(['test/support/final-process.mjs', directory, log, ...step], { env })
  const exited = once(child, 'exit')
  const kill = async (signal: NodeJS.Signals = 'SIGKILL') => {
    child.kill(signal)
    await exited
  }
  t.teardown(() => kill())
  const ready = waitForLine(child, /^ready/)
  const hangs = waitForLine(child, /^hangs/).catch(() => {})
  return { url: (await ready).slice('ready '.length), hangs, kill }
}

const send = (url: string, method: string, headers: Record<string, string> = {}, body?: string) =>
  fetch(url, { method, headers: { ...TUS, ...headers }, ...body !== undefined && { body } })

/** The paths of complete partial uploads. */
async function createParts ({ url }: Server): Promise<string[]> {
  const parts: string[] = []
  for (const text of ['hello ', 'world']) {
    const { headers } = await send(`${url}/files`, 'POST', { ...BYTES, 'upload-length': String(text.length), 'upload-concat': 'partial' }, text)
    parts.push(new URL(headers.get('location')!).pathname)
  }
  return parts
}

const compose = ({ url }: Server, parts: readonly string[]) => send(`${url}/files`, 'POST', { 'upload-concat': `final;${parts.join(' ')}` })
const sweep = async ({ url }: Server) => await (await fetch(`${url}/sweep`)).json() as Record<string, number>
const head = ({ url }: Server, path: string) => send(url + path, 'HEAD')

/** What is in the directory: `partial`, `final` or `whole`. */
async function list ({ directory }: Setting): Promise<string[]> {
  const kinds: string[] = []
  for (const name of (await readdir(directory)).filter(name => name.endsWith('.json'))) {
    const { upload } = JSON.parse(await readFile(join(directory, name), 'utf8'))
    const { size } = await stat(join(directory, name.replace(/\.json$/, '')))
    kinds.push(upload.partial ? 'partial' : size === upload.length ? 'whole' : 'final')
  }
  return kinds.sort()
}

/** Kills a process that hangs at a step of the creation of a final upload, whose client gets no answer. */
async function killAt (t: Test, setting: Setting, ...step: string[]): Promise<{ next: Server, parts: string[] }> {
  const first = await start(t, setting)
  const parts = await createParts(first)
  await first.kill()
  const dying = await start(t, setting, ...step)
  const pending = compose(dying, parts).then(() => t.fail('it was answered'), () => {})
  await dying.hangs
  await dying.kill()
  await pending
  return { next: await start(t, setting), parts }
}

const BEFORE_THE_ANSWER: ReadonlyArray<readonly [name: string, step: string[], left: string[]]> = [
  ['before the final upload is recorded', ['create', 'before'], []],
  ['after it is recorded', ['create', 'after'], ['final']],
  ['when the copy begins', ['concatenate', 'before'], ['final']],
  ['when the copy is there', ['concatenate', 'after'], ['whole']],
  ['when it is noted that its client will be told', ['update', 'before'], ['whole']]
]

for (const [name, step, left] of BEFORE_THE_ANSWER) {
  t.test(`killed ${name}, before the client was answered: no sweep completes it; the client asks again, and one is complete`, async t => {
    const setting = await setUp(t)
    const { next, parts } = await killAt(t, setting, ...step)
    t.match(await sweep(next), { finished: 0, failed: 0 })
    t.strictSame(await list(setting), [...left, 'partial', 'partial'].sort())
    t.notMatch(await readFile(setting.log, 'utf8'), /postFinish/)
    const created = await compose(next, parts)
    t.equal(created.status, 201)
    const path = new URL(created.headers.get('location')!).pathname
    t.equal((await head(next, path)).headers.get('upload-offset'), '11')
    t.equal(await (await fetch(next.url + path)).text(), 'hello world')
    t.strictSame((await readFile(setting.log, 'utf8')).match(/postFinish \w+/g), [`postFinish ${path.slice('/files/'.length)}`])
  })
}

for (const how of ['HEAD', 'sweep'] as const) {
  for (const [name, when] of [['during the copy', 'before'], ['when the copy is there', 'after']] as const) {
    t.test(`killed ${name}, after the client was told of it: ${how} completes it, and each hook runs once`, async t => {
      const setting = await setUp(t, { CONCAT_TIMEOUT: '10' })
      const first = await start(t, setting)
      const parts = await createParts(first)
      await first.kill()
      const dying = await start(t, setting, 'concatenate', when)
      const created = await compose(dying, parts)
      t.equal(created.status, 201)
      const path = new URL(created.headers.get('location')!).pathname
      await dying.hangs
      const told = await head(dying, path)
      t.strictSame([told.status, told.headers.get('upload-offset'), told.headers.get('upload-length')], [200, null, '11'])
      await dying.kill()
      const next = await start(t, { ...setting, env: {} })
      if (how === 'sweep') t.match(await sweep(next), { finished: 1, failed: 0 })
      t.equal((await head(next, path)).headers.get('upload-offset'), '11')
      t.equal(await (await fetch(next.url + path)).text(), 'hello world')
      t.match(await readFile(setting.log, 'utf8'), /^preFinish (\w+)\npostFinish \1\n$/)
    })
  }

  t.test(`killed when it is complete and its parts are not removed: ${how} removes them`, async t => {
    const setting = await setUp(t, { CONCAT_TIMEOUT: '10', REMOVE_PARTS: 'yes' })
    const first = await start(t, setting)
    const parts = await createParts(first)
    await first.kill()
    const dying = await start(t, setting, 'remove', 'before')
    const created = await compose(dying, parts)
    const path = new URL(created.headers.get('location')!).pathname
    await dying.hangs
    await dying.kill()
    t.strictSame(await list(setting), ['partial', 'partial', 'whole'])
    const next = await start(t, { ...setting, env: { REMOVE_PARTS: 'yes' } })
    if (how === 'sweep') t.match(await sweep(next), { finished: 1, failed: 0 })
    else t.equal((await head(next, path)).headers.get('upload-offset'), '11')
    t.strictSame(await list(setting), ['whole'])
    t.match(await readFile(setting.log, 'utf8'), /^preFinish (\w+)\npostFinish \1\n$/)
    t.equal(await (await fetch(next.url + path)).text(), 'hello world')
  })
}

t.test('two processes on a directory: HEAD of the other neither waits for the copy nor ends it; DELETE of the other ends it', async t => {
  const setting = await setUp(t, { CONCAT_TIMEOUT: '10' })
  const [copying, other] = [await start(t, setting), await start(t, setting)]
  const parts = await createParts(copying)
  const size = await enlarge(setting, parts)
  await Promise.all([copying.kill(), other.kill()])
  const [again, beside] = [await start(t, setting), await start(t, setting)]
  const path = new URL((await compose(again, parts)).headers.get('location')!).pathname
  await waitForCopies(setting.directory, 1)
  const told = await head(beside, path)
  t.strictSame([told.status, told.headers.get('upload-offset'), told.headers.get('upload-length')], [200, null, String(size)])
  t.equal((await send(beside.url + path, 'DELETE')).status, 204)
  t.equal((await head(again, path)).status, 404)
  await waitForCopies(setting.directory, 0)
  t.strictSame(await list(setting), ['partial', 'partial'])
})

t.test('killed during a copy of many bytes: the next process makes it whole', async t => {
  const setting = await setUp(t, { CONCAT_TIMEOUT: '10' })
  const first = await start(t, setting)
  const parts = await createParts(first)
  const size = await enlarge(setting, parts)
  await first.kill()
  const dying = await start(t, setting)
  const path = new URL((await compose(dying, parts)).headers.get('location')!).pathname
  await waitForCopies(setting.directory, 1)
  await dying.kill()
  const next = await start(t, setting)
  await until('it is complete', async () => (await head(next, path)).headers.get('upload-offset') === String(size))
  const { headers, body } = await fetch(next.url + path)
  t.equal(headers.get('content-length'), String(size))
  await body?.cancel()
})

/** Makes the parts so large that their copy takes a while, by holes in their files. Returns the size of the whole. */
async function enlarge ({ directory }: Setting, parts: readonly string[]): Promise<number> {
  for (const part of parts) {
    const path = join(directory, part.slice('/files/'.length))
    const record = JSON.parse(await readFile(`${path}.json`, 'utf8'))
    record.upload.length = LARGE
    await writeFile(`${path}.json`, JSON.stringify(record) + '\n')
    const file = await open(path, 'r+')
    await file.truncate(LARGE)
    await file.close()
  }
  return parts.length * LARGE
}

const LARGE = 500 * 1024 ** 2
