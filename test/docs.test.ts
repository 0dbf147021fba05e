import { execFile, spawn, type ChildProcess } from 'node:child_process'
import { createHash, randomBytes } from 'node:crypto'
import { once } from 'node:events'
import { access, cp, mkdir, readFile, readdir, symlink, writeFile } from 'node:fs/promises'
import { join, resolve } from 'node:path'
import { createInterface } from 'node:readline'
import { promisify } from 'node:util'
import t, { type Test } from 'tap'
import { errorCodes } from '../lib/index.js'
import { makeDirectory } from './support/app.js'
import { until } from './support/http-tus.js'

const root = resolve('.')
const run = promisify(execFile)

interface Block {
  readonly language: string
  readonly name: string
  readonly code: string
}

const readme = await readFile('README.md', 'utf8')
const blocks: Block[] = [...readme.matchAll(/^```(\w+) ?(\S*)\n([\s\S]*?)^```$/gm)]
  .map(([, language, name, code]) => ({ language: language!, name: name!, code: code! }))

t.test('README: every code block is one that a test below runs', async t => {
  t.same(blocks.map(({ language, name }) => `${language} ${name}`.trim()), ['sh', 'sh', 'js upload.mjs', 'sh', 'js server.mjs', 'text'])
})

t.test('README: the first command starts a server that takes a file from the client example', async t => {
  t.equal(blocks[0]?.code, 'npm ci && npm start\n')
  const checkout = await copyCheckout(t)
  // `npm ci` was run to get here; the copy has its result, and nothing that was built.
  const { url, server } = await startServer(t, checkout, 'npm', ['start', '--', '--port', '0'])
  const project = await makeProject(t)
  const file = join(project, 'file.bin')
  await writeFile(file, randomBytes(5_000_000))
  await writeFile(join(project, 'upload.mjs'), findBlock('upload.mjs'))
  const { stdout } = await run(process.execPath, ['upload.mjs', file, url], { cwd: project })
  const address = /^done: (\S+)$/m.exec(stdout)?.[1]
  t.ok(address)
  const downloaded = Buffer.from(await (await fetch(address!)).arrayBuffer())
  t.equal(hash(downloaded), hash(await readFile(file)))
  t.equal(hash(await readFile(join(checkout, 'uploads', address!.split('/').at(-1)!))), hash(downloaded), 'it lies in ./uploads')
  // npm hands the signal to a shell, which does not hand it on.
  server.kill('SIGTERM')
  await until('the server has ended with npm', () => fetch(url).then(() => false, () => true))
})

t.test('README: the second command is the one that runs these tests', async t => {
  t.equal(blocks[1]?.code, 'npm ci && npm test\n')
  const { scripts } = JSON.parse(await readFile('package.json', 'utf8'))
  t.equal(scripts.test, 'tap')
})

t.test('README: the plugin example takes a file, and refuses one without a name', async t => {
  const project = await makeProject(t)
  await writeFile(join(project, 'server.mjs'), findBlock('server.mjs'))
  const server = spawn(process.execPath, ['server.mjs'], { cwd: project, env: { ...process.env, PORT: '0' }, stdio: ['ignore', 'pipe', 'inherit'] })
  t.teardown(() => stop(server))
  const lines = createInterface({ input: server.stdout })
  const messages: string[] = []
  lines.on('line', line => messages.push(JSON.parse(line).msg))
  const url = await new Promise<string>(resolve => lines.on('line', line => {
    const address = /listening at (http:\/\/127\S+)/.exec(JSON.parse(line).msg)?.[1]
    if (address) resolve(`${address}/files`)
  }))
  const create = (metadata: string) => fetch(url, {
    method: 'POST',
    headers: { 'tus-resumable': '1.0.0', 'upload-length': '5', 'upload-metadata': metadata, 'content-type': 'application/offset+octet-stream' },
    body: 'hello'
  })
  t.equal((await create('other eA==')).status, 422)
  const created = await create('filename eA==')
  t.equal(created.status, 201)
  t.equal(await (await fetch(created.headers.get('location')!)).text(), 'hello')
  t.ok(messages.includes('a file has arrived'))
})

t.test('README: the usage is the one that the command prints', async t => {
  const { stdout } = await run(process.execPath, ['dist/lib/cli/main.js', '--help'])
  const usage = stdout.slice(stdout.indexOf('  fastify-tus'), stdout.indexOf('\n\nSizes'))
  t.equal(blocks[5]!.code.trimEnd(), usage.replace(/^ {2}/gm, ''))
})

t.test('README: what it says was measured is what bench/README.md and docs/s3.md say', async t => {
  const bench = await readFile('bench/README.md', 'utf8')
  const s3 = await readFile('docs/s3.md', 'utf8')
  const measured = (heading: string, server: string) => {
    const table = bench.slice(bench.indexOf(`### ${heading}\n`))
    const [, rate, , cost] = /^\|.*\|$/m.exec(table.slice(table.indexOf(`| ${server} |`)))![0].split('|').slice(1).map(cell => Number.parseFloat(cell))
    return [rate!, cost!]
  }
  const said = (begins: string) => readme.split('\n').find(line => line.startsWith(`| ${begins}`))!.split('|').slice(2, 5)
    .map(cell => [...cell.replace(/(?<=\d) (?=\d{3}\b)/g, '').matchAll(/\d+(?:\.\d+)?/g)].map(([number]) => Number(number)).slice(0, 2))
  const servers = ['fastify-tus, durability fsync', '@tus/server on http', 'tusd']
  const rows = [
    ...servers.map((server, index) => [said('one upload of 256 MiB')[index]!, measured('One PATCH of 256 MiB', server)] as const),
    ...servers.map((server, index) => [said('POST and PATCH of 1 KiB')[index]!, measured('POST + PATCH of 1 KiB, 8 connections', server.replace('fsync', 'none'))] as const),
    ...servers.map((server, index) => [said('the same on a disk')[index]!, measured('POST + PATCH of 1 KiB, 8 connections, on disk', server)] as const)
  ]
  // Rounded to two digits, at least.
  for (const [numbers, exact] of rows) for (const index of [0, 1]) t.ok(Math.abs(numbers[index]! / exact[index]! - 1) < 0.02, `${numbers[index]} is ${exact[index]}`)
  const [, ours, ourCost, theirs, theirCost] = /medians: (\d+) MiB\/s and ([\d.]+) CPU\s[^]*`@tus\/s3-store` (\d+) and ([\d.]+)\./.exec(s3)!.map(Number)
  t.same(said('into S3'), [[ours, ourCost], [theirs, theirCost], []])
})

t.test('README: the table of clients is that of docs/clients.md, with a folder of scripts/interop for each', async t => {
  const cut = (page: string) => /<!-- interop -->([^]*?)<!-- \/interop -->/.exec(page)![1]!
  t.equal(cut(readme), cut(await readFile('docs/clients.md', 'utf8')))
  const folders = (await readdir('scripts/interop', { withFileTypes: true })).filter(entry => entry.isDirectory() && entry.name !== 'lib')
  t.equal(cut(readme).match(/^\| \[/gm)!.length, folders.length)
})

t.test('README: the options are those of the code', async t => {
  const source = await readFile('lib/options.ts', 'utf8')
  const declared = [...source.slice(source.indexOf('interface TusOptions'), source.indexOf('interface ResolvedOptions')).matchAll(/^ {2}(\w+)\?:/gm)].map(([, name]) => name!)
  const table = readme.slice(readme.indexOf('### Options'), readme.indexOf('### Lifecycle hooks'))
  t.same([...table.matchAll(/^\| `(\w+)` \|/gm)].map(([, name]) => name!).sort(), declared.sort())
})

t.test('docs/hooks.md: every example is a file of example/, which test/examples/hooks.test.ts runs', async t => {
  const page = await readFile('docs/hooks.md', 'utf8')
  const tests = await readFile('test/examples/hooks.test.ts', 'utf8')
  const quoted = [...page.matchAll(/^```(\w+) ?(\S*)\n([\s\S]*?)^```$/gm)].filter(([, language]) => language !== 'text')
  t.same(quoted.map(([, , name]) => name), ['authorise', 'quota', 'scan', 'move', 'webhook'].map(name => `example/${name}.mjs`))
  for (const [, , name, code] of quoted) t.equal(code, await readFile(name!, 'utf8'), name!)
  const app = await readFile('example/app.mjs', 'utf8')
  for (const [, , name] of quoted) {
    const base = name!.slice('example/'.length, -'.mjs'.length)
    t.ok(tests.includes(`load('${base}')`) || app.includes(`./${base}.mjs`), `${base} is run`)
  }
})

t.test('docs/hooks.md: names every hook', async t => {
  const page = await readFile('docs/hooks.md', 'utf8')
  const source = await readFile('lib/hooks.ts', 'utf8')
  const names = [...source.slice(source.indexOf('interface LifecycleHooks'), source.indexOf('export type HookRequest')).matchAll(/^ {2}(\w+) \(/gm)].map(([, name]) => name!)
  t.equal(names.length, 10)
  const ofFastify = ['preParsing', 'preValidation', 'preHandler', 'preSerialization', 'preClose']
  for (const [word] of page.matchAll(/\b(?:pre|post)[A-Z]\w*/g)) if (!names.includes(word) && !ofFastify.includes(word)) t.fail(`there is no hook ${word}`)
  for (const name of names) {
    t.match(page, name)
    t.match(readme, new RegExp(`\\| .*\`${name}\\(`), `${name} is in the README`)
  }
})

t.test('docs/protocols.md: the example is a file of example/', async t => {
  const page = await readFile('docs/protocols.md', 'utf8')
  const [, name, code] = /^```js (\S+)\n([\s\S]*?)^```$/m.exec(page)!
  t.equal(code, await readFile(name!, 'utf8'))
})

t.test('docs/errors.md: names every error, with its status, and no other', async t => {
  const page = await readFile('docs/errors.md', 'utf8')
  const listed = [...page.matchAll(/^\| `(TUS_ERR_\w+)` \|/gm)].map(([, code]) => code!)
  t.same(listed.sort(), [...errorCodes].sort())
  const source = await readFile('lib/errors.ts', 'utf8')
  for (const [, code, status] of page.matchAll(/^\| `(TUS_ERR_\w+)` \| (\d+) \|/gm)) {
    t.match(source, new RegExp(`'${code}', ${status},`), `${code} is ${status}`)
  }
})

t.test('docs/migrate-from-tus-server.md: the code before runs, and every option of @tus/server is there', async t => {
  const page = await readFile('docs/migrate-from-tus-server.md', 'utf8')
  const code = /^```js before\.mjs\n([\s\S]*?)^```$/m.exec(page)![1]!
  const uploads = await makeDirectory(t)
  const listening = code.replace('./uploads', uploads).replace(/\.listen\(1080\)/, ".listen(0, '127.0.0.1', function () { console.log('port', this.address().port) })")
  t.not(listening, code)
  const server = spawn(process.execPath, ['--input-type=module', '-e', listening], { stdio: ['ignore', 'pipe', 'inherit'] })
  t.teardown(() => stop(server))
  const lines: string[] = []
  const port = await new Promise<string>(resolve => createInterface({ input: server.stdout }).on('line', line => {
    lines.push(line)
    if (line.startsWith('port ')) resolve(line.slice('port '.length))
  }))
  const create = (metadata: string) => fetch(`http://127.0.0.1:${port}/files`, {
    method: 'POST',
    headers: { 'tus-resumable': '1.0.0', 'upload-length': '5', 'upload-metadata': metadata, 'content-type': 'application/offset+octet-stream' },
    body: 'hello'
  })
  t.equal((await create('other eA==')).status, 422)
  t.equal((await create('filename eA==')).status, 201)
  t.ok(lines.some(line => line.startsWith('a file has arrived')))
  const types = await readFile('node_modules/@tus/server/dist/types.d.ts', 'utf8')
  const options = [...types.slice(0, types.indexOf('RouteHandler')).matchAll(/^ {4}(\w+)\??: /gm)].map(([, name]) => name!)
  t.ok(options.length > 15)
  for (const option of options) t.ok(page.includes(`\`${option}`), option)
})

t.test('docs/migrate-from-tusd.md: URLs are rewritten as `serve --tusd-urls` does it', async t => {
  const page = await readFile('docs/migrate-from-tusd.md', 'utf8')
  const replace = /rewriteUrl: \(\{ url = '\/' \}\) => url(\.replace\(.*\)) \}\)$/m.exec(page)![1]!
  t.ok((await readFile('lib/cli/serve.ts', 'utf8')).includes(replace))
})

t.test('the docs link to what is there, and the map to every page', async t => {
  const pages = (await readdir('docs', { recursive: true })).filter(name => name.endsWith('.md'))
  for (const from of ['README.md', 'CHANGELOG.md', 'CONTRIBUTING.md', 'SECURITY.md', 'bench/README.md', ...pages.map(name => join('docs', name))]) {
    const missing: string[] = []
    for (const [, target, anchor] of (await readFile(from, 'utf8')).matchAll(/\]\((?![a-z]+:)([^)#\s]*)#?([^)\s]*)\)/g)) {
      const page = target === '' ? from : join(from, '..', target!)
      const isThere = await access(page).then(() => anchor === '' || listAnchors(page).then(anchors => anchors.has(anchor!)), () => false)
      if (!isThere) missing.push(`${target}#${anchor}`)
    }
    t.same(missing, [], from)
  }
  const map = await readFile('docs/README.md', 'utf8')
  for (const page of pages.filter(name => name !== 'README.md' && !name.startsWith('api'))) t.ok(map.includes(`(${page})`), page)
})

/** What links to a page may name behind `#`, as GitHub makes it of the headings. */
async function listAnchors (page: string): Promise<Set<string>> {
  const text = (await readFile(page, 'utf8')).replace(/^```[^]*?^```$/gm, '')
  const anchors = new Set(Array.from(text.matchAll(/<a (?:id|name)="([^"]+)"/g), ([, name]) => name!))
  for (const [, heading] of text.matchAll(/^#+ (.*)$/gm)) {
    const plain = heading!.replace(/\[([^\]]*)\]\([^)]*\)/g, '$1').toLowerCase().replace(/[^\p{L}\p{N}_ -]/gu, '').replaceAll(' ', '-')
    let name = plain
    for (let again = 1; anchors.has(name); again++) name = `${plain}-${again}`
    anchors.add(name)
  }
  return anchors
}

function findBlock (name: string): string {
  return blocks.find(block => block.name === name)?.code ?? ''
}

/** What a fresh clone has after `npm ci`. */
async function copyCheckout (t: Test): Promise<string> {
  const checkout = await makeDirectory(t)
  for (const name of ['package.json', 'tsconfig.json', 'tsconfig.build.json', 'lib', 'adapters', 'page', 'scripts']) {
    await cp(join(root, name), join(checkout, name), { recursive: true })
  }
  await symlink(join(root, 'node_modules'), join(checkout, 'node_modules'))
  return checkout
}

/** A project that has installed this package and a client. */
async function makeProject (t: Test): Promise<string> {
  const project = await makeDirectory(t)
  await mkdir(join(project, 'node_modules'))
  await symlink(root, join(project, 'node_modules/fastify-tus'))
  for (const name of ['fastify', 'tus-js-client']) await symlink(join(root, 'node_modules', name), join(project, 'node_modules', name))
  return project
}

async function startServer (t: Test, cwd: string, command: string, args: string[]): Promise<{ url: string, server: ChildProcess }> {
  // Without the loaders that the test runner hands to every process, as a user starts it.
  const server = spawn('env', ['-u', 'NODE_OPTIONS', command, ...args], { cwd, stdio: ['ignore', 'pipe', 'inherit'], detached: true })
  t.teardown(() => stop(server))
  for await (const line of createInterface({ input: server.stdout })) {
    const url = /^fastify-tus listening on (\S+)$/.exec(line)?.[1]
    if (url) return { url, server }
  }
  throw new Error('the server did not start')
}

async function stop (server: ChildProcess): Promise<void> {
  if (server.exitCode !== null || server.signalCode !== null) return
  const exited = once(server, 'exit')
  try {
    process.kill(-server.pid!, 'SIGTERM')
  } catch {
    server.kill('SIGTERM')
  }
  await exited
}

function hash (bytes: Buffer): string {
  return createHash('sha256').update(bytes).digest('hex')
}
