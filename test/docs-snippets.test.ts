import { CreateBucketCommand, GetObjectCommand } from '@aws-sdk/client-s3'
import Fastify from 'fastify'
import { existsSync } from 'node:fs'
import { readFile, writeFile } from 'node:fs/promises'
import { join, resolve } from 'node:path'
import t, { type Test } from 'tap'
import { parseServeFlags } from '../lib/cli/flags.js'
import { registerPage } from '../lib/cli/page.js'
import { makeApp } from './support/app.js'
import { describeAccount, getAccount, openContainer, skip } from './support/azure/azurite.js'
import { TUS, createUpload, patch } from './support/http-tus.js'
import { listPages, readBlocks, type Block } from './support/pages.js'
import { makeProject, runScript } from './support/project.js'
import { createClient } from './support/s3/bucket.js'
import { startFakeS3 } from './support/s3/fake-s3.mjs'
import { compile } from './support/typescript.js'

// Every block of code in the pages is executed, or named below with the reason why it can't be. Shell: docs-commands.test.ts.

/** What can't be tried here, by the page and the beginning of the block. */
const UNTRIED: ReadonlyArray<readonly [page: string, begins: string, reason: string]> = [
  ['docs/protocols.md', 'var request = URLRequest(', 'Swift: no Apple system runs here'],
  ['docs/hooks.md', 'POST  ', 'a picture; the hooks in it are looked up by docs.test.ts'],
  ['docs/performance.md', 'cores = ', 'a formula of what was measured']
]
/** What `docs.test.ts` executes, by page and name. */
const EXECUTED = new Set(['README.md upload.mjs', 'README.md server.mjs', 'docs/migrate-from-tus-server.md before.mjs'])

const blocks = (await Promise.all((await listPages()).map(readBlocks))).flat()
const of = (...languages: string[]) => blocks.filter(({ language, page, code }) => languages.includes(language) && !isUntried(page, code))

t.test('every block is of a language that a test below tries', async t => {
  t.ok(blocks.length > 20)
  // The picture of the architecture is compared with the code in `lib/layers.test.ts`.
  const tried = new Set(['js', 'ts', 'json', 'nginx', 'sh', 'mermaid'])
  const triedTexts = new Set(['README.md', 'docs/page.md', 'docs/architecture.md'])
  for (const { place, page, language, code } of blocks) t.ok(tried.has(language) || triedTexts.has(page) || isUntried(page, code), `${place}: ${language}`)
  for (const page of await listPages()) {
    const fences = (await readFile(page, 'utf8')).match(/^\s*(?:```|~~~)/gm) ?? []
    t.equal(fences.length, 2 * blocks.filter(block => block.page === page).length, `${page}: none is hidden from these tests`)
  }
  for (const [page, begins] of UNTRIED) t.ok(blocks.some(block => block.page === page && block.code.startsWith(begins)), `${page} still has the block that begins with ${begins}`)
})

t.test('js: is a file of example/, which tests run, or run by a test and right to the compiler', async t => {
  const pieces: Block[] = []
  for (const block of of('js', 'ts')) {
    if (block.name.startsWith('example/')) t.equal(block.code, await readFile(block.name, 'utf8'), block.place)
    else if (!EXECUTED.has(`${block.page} ${block.name}`)) pieces.push(block)
  }
  t.same([...new Set(pieces.map(({ page }) => page))].sort(), ['docs/azure.md', 'docs/migrate-from-tusd.md', 'docs/observability.md', 'docs/s3.md'], 'pages whose blocks the tests below run, or `observability.test.ts`')
  t.equal(await compile(await makeModules(t, pieces.filter(({ page }) => page !== 'docs/observability.md'))), '')
})

t.test('js: the compiler finds what is wrong', async t => {
  const [piece] = of('js', 'ts').filter(({ name, code }) => name === '' && code.includes('bucket:'))
  const wrong = { ...piece!, code: piece!.code.replace('bucket:', 'buckets:') }
  t.match(await compile(await makeModules(t, [wrong])), /buckets/)
})

t.test('docs/s3.md: the example takes a file into its bucket', async t => {
  const server = await startFakeS3()
  t.teardown(() => server.stop())
  const client = createClient(t, server)
  await client.send(new CreateBucketCommand({ Bucket: 'uploads' }))
  const id = await uploadTo(t, findOnly('docs/s3.md', 'js'), {
    AWS_ENDPOINT_URL_S3: server.endpoint, AWS_ACCESS_KEY_ID: server.accessKeyId, AWS_SECRET_ACCESS_KEY: server.secretAccessKey
  })
  const { Body } = await client.send(new GetObjectCommand({ Bucket: 'uploads', Key: `incoming/${id}` }))
  t.equal(await Body!.transformToString(), 'hello')
})

t.test('docs/azure.md: the example takes a file into its container', { skip }, async t => {
  const account = await getAccount(t)
  const container = openContainer(account, 'uploads')
  await container.createIfNotExists()
  const id = await uploadTo(t, findOnly('docs/azure.md', 'js'), { AZURE_STORAGE_CONNECTION_STRING: describeAccount(account) })
  t.equal(String(await container.getBlobClient(`incoming/${id}`).downloadToBuffer()), 'hello')
})

t.test('docs/migrate-from-tusd.md: the application of the example finds an upload under the URL that tusd gave it', async t => {
  const answers = await runScript(t, `
import tus from 'fastify-tus'
import { createMemoryStorage } from 'fastify-tus/memory'
${findOnly('docs/migrate-from-tusd.md', 'js')}
await app.register(tus, { storage: createMemoryStorage(), generateId: () => 'abc' })
const headers = { 'tus-resumable': '1.0.0' }
await app.inject({ method: 'POST', url: '/files', headers: { ...headers, 'upload-length': '5' } })
const urls = ['/files/abc', '/files/abc+2~def', '/files/abc%2B2~def', '/files/abd+2~def']
console.log(JSON.stringify(await Promise.all(urls.map(async url => (await app.inject({ method: 'HEAD', url, headers })).statusCode))))
await app.close()`)
  t.same(answers, [200, 200, 200, 404])
})

t.test('docs/s3.md: the policy allows what the storage asks for, and nothing else', async t => {
  const commands = [...(await readFile('adapters/s3/bucket.ts', 'utf8')).matchAll(/new (\w+)Command\(/g)].map(([, name]) => name!)
  const needed = new Set(commands.map(name => ACTIONS[name] ?? `an action for ${name}`))
  const { Statement } = JSON.parse(findOnly('docs/s3.md', 'json')) as { Statement: Array<{ Action: string[] }> }
  t.same(Statement.flatMap(({ Action }) => Action).sort(), [...needed].sort())
})

t.test('json: the error is the one that a client gets', async t => {
  t.same(of('json').map(({ page }) => page).sort(), ['docs/errors.md', 'docs/observability.md', 'docs/s3.md'], 'the pages whose JSON is compared here, or in `observability.test.ts`')
  const { app } = await makeApp(t)
  const url = await createUpload(app, { 'upload-length': '10' })
  await patch(app, url, 0, 'hello ')
  t.strictSame((await patch(app, url, 0, 'x', TUS)).json(), JSON.parse(findOnly('docs/errors.md', 'json')))
})

t.test('text: the headers of the page are those that it is sent with', async t => {
  const app = Fastify()
  t.teardown(() => app.close())
  registerPage(app, parseServeFlags([], {}), resolve('dist/lib/cli/page'))
  const { headers } = await app.inject('/')
  const said = findOnly('docs/page.md', 'text').replace(/\n +/g, ' ').trim().split('\n').map(line => line.split(/: (.*)/s) as [string, string])
  for (const [name, value] of said) t.equal(headers[name.toLowerCase()], value, name)
})

t.test('text: what the layout of the code names is there', async t => {
  const layout = findOnly('docs/architecture.md', '')
  let missing: string[] = []
  const folders: string[] = []
  for (const line of layout.split('\n').filter(line => line !== '')) {
    const depth = / */.exec(line)![0].length / 2
    const [own] = line.trim().split(' ')
    if (own!.endsWith('/')) folders.splice(Math.min(depth, 2), Infinity, own!)
    const parent = folders.join('')
    for (const [, name] of line.matchAll(/(?<![\w/.-])([\w-]+\.ts)\b/g)) if (!existsSync(join(parent, name!)) && !existsSync(join('lib', name!))) missing.push(`${parent}${name}`)
    if (own!.endsWith('/')) missing = [...missing, ...existsSync(parent) ? [] : [parent]]
  }
  t.same(missing, [])
  const [operations] = /^ +operations\/ +(.*)$/m.exec(layout)!.slice(1)
  for (const name of operations!.split(', ')) t.ok(existsSync(`lib/operations/${name}.ts`), name)
})

t.test('nginx: is in a configuration that tests run', async t => {
  const clean = (text: string) => text.replace(/^\s*#.*$/gm, '').split('\n').map(line => line.trim()).filter(line => line !== '').join('\n')
  const configurations = await Promise.all(['nginx', 'nginx-auth'].map(async name => clean(await readFile(`example/${name}.conf`, 'utf8'))))
  for (const { code, place } of of('nginx')) t.ok(configurations.some(configuration => configuration.includes(clean(code))), place)
})

function isUntried (page: string, code: string): boolean {
  return UNTRIED.some(([where, begins]) => where === page && code.startsWith(begins))
}

/** The code of the only block of a language in a page. */
function findOnly (page: string, language: string): string {
  const found = blocks.filter(block => block.page === page && block.language === language)
  if (found.length !== 1) throw new Error(`${page} has ${found.length} blocks of ${language || 'no language'}`)
  return found[0]!.code
}

/** Lets the application of an example take an upload, and resolves to its id. */
async function uploadTo (t: Test, code: string, env: Readonly<Record<string, string>>): Promise<unknown> {
  return runScript(t, `
import Fastify from 'fastify'
const app = Fastify()
${code}
const headers = { 'tus-resumable': '1.0.0', 'upload-length': '5', 'content-type': 'application/offset+octet-stream' }
const answer = await app.inject({ method: 'POST', url: '/files', headers, payload: 'hello' })
if (answer.statusCode !== 201) throw new Error(answer.body)
console.log(JSON.stringify(answer.headers.location.split('/').at(-1)))
await app.close()`, env)
}

/** A project with a module per piece. What a page speaks of as known is declared. */
async function makeModules (t: Test, pieces: readonly Block[]): Promise<string> {
  const directory = await makeProject(t)
  for (const [index, { code }] of pieces.entries()) await writeFile(join(directory, `piece-${index}.ts`), `${code}\nexport {}\n${code.includes('const app ') ? '' : KNOWN}`)
  await writeFile(join(directory, 'tsconfig.json'), JSON.stringify({
    compilerOptions: { target: 'es2023', module: 'nodenext', strict: true, skipLibCheck: true, types: ['node'], lib: ['es2023', 'esnext.disposable'] }
  }))
  return directory
}

const KNOWN = "declare const app: import('fastify').FastifyInstance\n"
/** What AWS asks for to allow a command. */
const ACTIONS: Readonly<Record<string, string>> = {
  GetObject: 's3:GetObject',
  HeadObject: 's3:GetObject',
  PutObject: 's3:PutObject',
  CreateMultipartUpload: 's3:PutObject',
  UploadPart: 's3:PutObject',
  UploadPartCopy: 's3:PutObject',
  CompleteMultipartUpload: 's3:PutObject',
  AbortMultipartUpload: 's3:AbortMultipartUpload',
  DeleteObject: 's3:DeleteObject',
  DeleteObjects: 's3:DeleteObject',
  ListParts: 's3:ListMultipartUploadParts',
  ListObjectsV2: 's3:ListBucket',
  ListMultipartUploads: 's3:ListBucketMultipartUploads'
}
