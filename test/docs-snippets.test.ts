import { mkdir, readFile, readdir, symlink, writeFile } from 'node:fs/promises'
import { basename, dirname, join, resolve } from 'node:path'
import t from 'tap'
import { makeApp, makeDirectory } from './support/app.js'
import { TUS, createUpload, patch } from './support/http-tus.js'
import { compile } from './support/typescript.js'

// Every block of code in the pages is executed, compiled against the real types, or named below with the reason why it can't be.

interface Block {
  /** `docs/s3.md, line 5`. */
  readonly place: string
  readonly page: string
  readonly language: string
  readonly name: string
  readonly code: string
}

/** What can't be tried here, by the page and the beginning of the block. */
const UNTRIED: ReadonlyArray<readonly [page: string, begins: string, reason: string]> = [
  ['docs/protocols.md', 'var request = URLRequest(', 'Swift: no Apple system runs here']
]
/** What `docs.test.ts` executes, by page and name. */
const EXECUTED = new Set(['README.md upload.mjs', 'README.md server.mjs', 'docs/migrate-from-tus-server.md before.mjs'])
/** Every block of which `observability.test.ts` executes. */
const EXECUTED_PAGES = new Set(['docs/observability.md'])

const blocks = (await Promise.all((await listPages()).map(readBlocks))).flat()
const of = (...languages: string[]) => blocks.filter(({ language, page, code }) => languages.includes(language) && !isUntried(page, code))

t.test('every block is of a language that a test below tries', async t => {
  t.ok(blocks.length > 20)
  // The picture of the architecture is compared with the code in `lib/layers.test.ts`.
  const tried = new Set(['js', 'ts', 'json', 'nginx', 'sh', 'text', 'mermaid', ''])
  for (const { place, page, language, code } of blocks) t.ok(tried.has(language) || isUntried(page, code), `${place}: ${language}`)
  for (const [page, begins] of UNTRIED) t.ok(blocks.some(block => block.page === page && block.code.startsWith(begins)), `${page} still has the block that begins with ${begins}`)
})

t.test('js: is a file of example/, which tests run, or compiles against the real types', async t => {
  const pieces: Block[] = []
  for (const block of of('js', 'ts')) {
    if (block.name.startsWith('example/')) t.equal(block.code, await readFile(block.name, 'utf8'), block.place)
    else if (!EXECUTED.has(`${block.page} ${block.name}`) && !EXECUTED_PAGES.has(block.page)) pieces.push(block)
  }
  t.ok(pieces.length > 0)
  t.equal(await compile(await makeProject(await makeDirectory(t), pieces)), '')
})

t.test('js: the compiler finds what is wrong', async t => {
  const [piece] = of('js', 'ts').filter(({ name, code }) => name === '' && code.includes('bucket:'))
  const wrong = { ...piece!, code: piece!.code.replace('bucket:', 'buckets:') }
  t.match(await compile(await makeProject(await makeDirectory(t), [wrong])), /buckets/)
})

t.test('json: is JSON, and the error is the one that a client gets', async t => {
  const [example, ...others] = of('json').sort((a, b) => Number(b.page === 'docs/errors.md') - Number(a.page === 'docs/errors.md'))
  for (const { code, place } of others) t.doesNotThrow(() => JSON.parse(code), place)
  const { app } = await makeApp(t)
  const url = await createUpload(app, { 'upload-length': '10' })
  await patch(app, url, 0, 'hello ')
  t.strictSame((await patch(app, url, 0, 'x', TUS)).json(), JSON.parse(example!.code))
})

t.test('nginx: is in the configuration that tests run', async t => {
  const clean = (text: string) => text.replace(/^\s*#.*$/gm, '').split('\n').map(line => line.trim()).filter(line => line !== '').join('\n')
  const configuration = clean(await readFile('example/nginx.conf', 'utf8'))
  for (const { code, place } of of('nginx')) t.ok(configuration.includes(clean(code)), place)
})

t.test('sh: names scripts and files that are there', async t => {
  const { scripts } = JSON.parse(await readFile('package.json', 'utf8'))
  for (const { code, place } of of('sh')) {
    for (const command of code.trim().split(/\n|&&/)) {
      const [program, ...args] = command.trim().replace(/^(?:[A-Z][A-Z0-9_]*=\S* )+/, '').split(' ')
      const script = program !== 'npm' ? null : args[0] === 'run' ? args[1]! : ['start', 'test'].includes(args[0]!) ? args[0]! : null
      if (script !== null) t.ok(script in scripts, `${place}: ${script}`)
      for (const file of args.map(arg => arg.replace(/^\$\(/, '')).filter(arg => /\//.test(arg) && /\.(?:m?[jt]s|sh|md|conf)$/.test(arg))) t.ok((await find(file)).length > 0, `${place}: ${file}`)
    }
  }
})

async function listPages (): Promise<string[]> {
  const documents = (await readdir('docs', { recursive: true })).filter(name => name.endsWith('.md') && !name.startsWith('api')).map(name => join('docs', name))
  const others = (await readdir('.')).filter(name => name.endsWith('.md'))
  return [...others, ...documents, 'bench/README.md']
}

async function readBlocks (page: string): Promise<Block[]> {
  const text = await readFile(page, 'utf8')
  return [...text.matchAll(/^```(\w*) ?(\S*)\n([\s\S]*?)^```$/gm)].map(({ index, 1: language, 2: name, 3: code }) => {
    return { place: `${page}, line ${text.slice(0, index).split('\n').length}`, page, language: language!, name: name!, code: code! }
  })
}

function isUntried (page: string, code: string): boolean {
  return UNTRIED.some(([where, begins]) => where === page && code.startsWith(begins))
}

/** A project that has installed this package, with a module per piece. What a page speaks of as known is declared. */
async function makeProject (directory: string, pieces: readonly Block[]): Promise<string> {
  await mkdir(join(directory, 'node_modules'))
  for (const name of ['fastify', '@aws-sdk', '@azure', '@fastify', '@opentelemetry', '@tus', '@types', 'prom-client', 'tus-js-client']) await symlink(resolve('node_modules', name), join(directory, 'node_modules', name))
  await symlink(resolve('.'), join(directory, 'node_modules/fastify-tus'))
  await writeFile(join(directory, 'package.json'), '{ "type": "module" }')
  for (const [index, { code }] of pieces.entries()) await writeFile(join(directory, `piece-${index}.ts`), `${code}\nexport {}\n${code.includes('const app ') ? '' : KNOWN}`)
  await writeFile(join(directory, 'tsconfig.json'), JSON.stringify({
    compilerOptions: { target: 'es2023', module: 'nodenext', strict: true, skipLibCheck: true, types: ['node'], lib: ['es2023', 'esnext.disposable'] }
  }))
  return directory
}

const KNOWN = "declare const app: import('fastify').FastifyInstance\n"

/** The files of a name in which `*` stands for anything. */
async function find (pattern: string): Promise<string[]> {
  const name = new RegExp(`^${basename(pattern).replaceAll('.', '\\.').replaceAll('*', '.*')}$`)
  return (await readdir(dirname(pattern)).catch(() => [])).filter(file => name.test(file))
}
