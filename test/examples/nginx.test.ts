import Fastify from 'fastify'
import { spawn, spawnSync } from 'node:child_process'
import { once } from 'node:events'
import { mkdir, readFile, readdir, stat, writeFile } from 'node:fs/promises'
import { request } from 'node:http'
import { connect, type AddressInfo } from 'node:net'
import { join } from 'node:path'
import t, { type Test } from 'tap'
import { makeDirectory } from '../support/app.js'
import { startExample } from '../support/example.js'
import { BYTES, TUS, sleep, until } from '../support/http-tus.js'
import { findPort } from '../support/ports.js'
import { makeRandom } from '../support/proxy-random.js'
import { Proxy } from '../support/proxy.js'
import { ServerProcess } from '../support/server-process.js'
import { download, makeBytes, sha256 } from '../support/tus-client-bytes.js'
import { loadClient, upload } from '../support/tus-client.js'

// A real nginx with example/nginx.conf, in front of example/behind-proxy.mjs, which is the application.

const skip = spawnSync('nginx', ['-v']).error === undefined ? false : 'there is no nginx here: apt-get install nginx-light'
const library = await loadClient('tus-js-client')

interface Chain {
  /** Where nginx listens. */
  readonly port: number
  readonly uploads: string
}

async function startChain (t: Test, change = (configuration: string) => configuration): Promise<Chain> {
  const uploads = await makeDirectory(t)
  const application = await startExample(t, 'behind-proxy', { UPLOADS: uploads })
  const port = await findPort(t)
  await startNginx(t, port, change((await readFile('example/nginx.conf', 'utf8')).replace('127.0.0.1:1080', `127.0.0.1:${application.port}`)))
  return { port, uploads }
}

/** With the ports of this test, and nothing outside of a directory of its own. */
async function startNginx (t: Test, port: number, configuration: string): Promise<void> {
  const directory = await makeDirectory(t)
  const file = join(directory, 'nginx.conf')
  const folders = ['client_body', 'proxy', 'fastcgi', 'uwsgi', 'scgi'].map(name => `${name}_temp_path ${directory}/${name};`)
  await mkdir(join(directory, 'logs'))
  await writeFile(file, configuration.replace('listen 8080', `listen 127.0.0.1:${port}`).replace('http {', `http { access_log off; ${folders.join(' ')}`))
  const user = process.getuid?.() === 0 ? 'user root;' : ''
  const nginx = spawn('nginx', ['-p', directory, '-c', file, '-e', 'stderr', '-g', `daemon off; pid ${directory}/nginx.pid; ${user}`], { stdio: ['ignore', 'ignore', 'pipe'] })
  let log = ''
  nginx.stderr.on('data', data => { log += data })
  t.teardown(async () => {
    if (nginx.exitCode !== null) return
    const exited = once(nginx, 'exit')
    nginx.kill('SIGTERM')
    await exited
  })
  await until(`nginx listens; ${log}`, () => {
    if (nginx.exitCode !== null) throw new Error(`nginx has ended: ${log}`)
    return new Promise(resolve => {
      const socket = connect(port, '127.0.0.1', () => { socket.destroy(); resolve(true) }).on('error', () => resolve(false))
    })
  })
}

/** Begins an upload, sends `bytes` of a body that is twice as long, and breaks the connection when `arrived` resolves. */
async function sendHalf ({ port }: Chain, bytes: Buffer, arrived: (id: string) => Promise<void>): Promise<string> {
  const created = await fetch(`http://127.0.0.1:${port}/files`, { method: 'POST', headers: { ...TUS, 'upload-length': String(2 * bytes.length) } })
  const url = created.headers.get('location')!
  const sending = request(url, { method: 'PATCH', headers: { ...TUS, ...BYTES, 'upload-offset': '0', 'content-length': String(2 * bytes.length) } })
  sending.on('error', () => {})
  sending.write(bytes)
  await arrived(url.split('/').at(-1)!)
  sending.destroy()
  return url
}

async function getOffset (url: string): Promise<number> {
  return Number((await fetch(url, { method: 'HEAD', headers: TUS })).headers.get('upload-offset'))
}

t.test('example/nginx.conf', { skip }, async t => {
  t.test('keeps what a broken connection brought', async t => {
    const chain = await startChain(t)
    const bytes = makeBytes(1, 500_000)
    const url = await sendHalf(chain, bytes, async id => {
      await until('the bytes are on the disk', async () => (await stat(join(chain.uploads, id))).size === bytes.length)
    })
    t.ok(url.startsWith(`http://127.0.0.1:${chain.port}/files/`), 'the URL is the one that clients see')
    t.equal(await getOffset(url), bytes.length)
    const rest = await fetch(url, { method: 'PATCH', headers: { ...TUS, ...BYTES, 'upload-offset': String(bytes.length) }, body: bytes })
    t.equal(rest.status, 204)
    t.same(await download(url), { size: 2 * bytes.length, sha256: sha256(Buffer.concat([bytes, bytes])) })
  })

  t.test('with the buffering on, it would be lost: the test above can fail', async t => {
    const chain = await startChain(t, configuration => configuration.replace('proxy_request_buffering off', 'proxy_request_buffering on'))
    const url = await sendHalf(chain, makeBytes(1, 500_000), () => sleep(300))
    t.equal(await getOffset(url), 0)
  })

  t.test('a stock client uploads through cuts on its side of nginx', async t => {
    const { port, uploads } = await startChain(t)
    const proxy = await Proxy.start(t, { target: port, random: makeRandom(t), mean: 1_000_000, most: 12, ways: ['reset', 'end', 'answer'] })
    const bytes = makeBytes(2, 8_000_000)
    const journal = await upload({ library: library!, input: bytes, endpoint: `http://127.0.0.1:${proxy.port}/files` })
    t.ok(proxy.cutCount > 3, `${proxy.cutCount} cuts`)
    t.same(journal.decreases, [])
    // Nothing makes up for a download that is cut.
    t.same(await download(journal.url!.replace(`:${proxy.port}`, `:${port}`)), { size: bytes.length, sha256: sha256(bytes) })
    t.ok((await readdir(uploads)).includes(journal.url!.split('/').at(-1)!))
  })

  t.test('a refusal in the middle of a body reaches the client', async t => {
    const { port } = await startChain(t)
    const refused = await fetch(`http://127.0.0.1:${port}/files`, { method: 'POST', headers: { ...TUS, 'content-type': 'text/plain', 'upload-length': '3000000' }, body: makeBytes(3, 3_000_000) })
    t.equal(refused.status, 415)
    t.equal(refused.headers.get('tus-resumable'), '1.0.0')
  })

  t.test('while the application is away, HEAD is 423 and all else 503, with Retry-After', async t => {
    const port = await findPort(t)
    const nowhere = await findPort(t)
    await startNginx(t, port, (await readFile('example/nginx.conf', 'utf8')).replace('127.0.0.1:1080', `127.0.0.1:${nowhere}`))
    for (const [method, status] of [['HEAD', 423], ['PATCH', 503], ['POST', 503], ['GET', 503]] as const) {
      const answer = await fetch(`http://127.0.0.1:${port}/files/1`, { method, headers: TUS })
      t.strictSame([answer.status, answer.headers.get('retry-after')], [status, '2'], method)
    }
  })

  t.test('Resumable Uploads for HTTP passes, without interim responses', async t => {
    const { port } = await startChain(t)
    const headers = { 'upload-draft-interop-version': '8', 'upload-complete': '?1' }
    for (let round = 0; round < 3; round++) {
      const created = await fetch(`http://127.0.0.1:${port}/files`, { method: 'POST', headers, body: 'hello' })
      t.equal(created.status, 201)
      t.equal(await (await fetch(created.headers.get('location')!)).text(), 'hello')
    }
  })
})

t.test('example/nginx-auth.conf: nginx asks an application about each request, and `serve` sees only what that allows', { skip }, async t => {
  const asked: Array<readonly [method: unknown, url: unknown, length: unknown]> = []
  const app = Fastify()
  t.teardown(() => app.close())
  app.all('/authorize', async ({ headers }, reply) => {
    asked.push([headers['x-original-method'], headers['x-original-uri'], headers['content-length']])
    return reply.code(headers['x-original-method'] === 'OPTIONS' || headers.authorization === 'Bearer right' ? 204 : 401).send()
  })
  await app.listen({ host: '127.0.0.1', port: 0 })
  const server = await ServerProcess.start(t, { flags: ['--trust-proxy', '127.0.0.1'] })
  const port = await findPort(t)
  const configuration = await readFile('example/nginx-auth.conf', 'utf8')
  await startNginx(t, port, configuration.replace('127.0.0.1:1080', `127.0.0.1:${server.port}`).replace('127.0.0.1:3000', `127.0.0.1:${(app.server.address() as AddressInfo).port}`))
  const ask = (method: string, url: string, headers: Record<string, string>, body?: Buffer) => fetch(url, { method, headers: { ...TUS, ...headers }, ...body && { body } })
  const right = { authorization: 'Bearer right' }
  const bytes = makeBytes(4, 500_000)
  const url = (await ask('POST', `http://127.0.0.1:${port}/files`, { ...right, 'upload-length': String(2 * bytes.length) })).headers.get('location')!
  t.ok(url.startsWith(`http://127.0.0.1:${port}/files/`))
  t.equal((await ask('PATCH', url, { ...right, ...BYTES, 'upload-offset': '0' }, bytes)).status, 204)

  await t.test('without the right token, nothing reaches it', async t => {
    for (const headers of [{}, { authorization: 'Bearer wrong' }]) {
      for (const method of ['HEAD', 'GET', 'DELETE']) t.equal((await ask(method, url, headers)).status, 401, method)
      t.equal((await ask('POST', `http://127.0.0.1:${port}/files`, { ...headers, 'upload-length': '5' })).status, 401)
      t.equal((await ask('PATCH', url, { ...headers, ...BYTES, 'upload-offset': String(bytes.length) }, bytes)).status, 401)
    }
    t.equal((await ask('POST', url, { 'x-http-method-override': 'DELETE' })).status, 401)
    t.equal((await fetch(`http://127.0.0.1:${port}/authorize`)).status, 404, 'and nobody else asks the application')
  })

  await t.test('it gets method, path and no body', async t => {
    t.same(asked.slice(0, 2), [['POST', '/files', undefined], ['PATCH', new URL(url).pathname, undefined]])
  })

  await t.test('preflights pass', async t => {
    t.equal((await ask('OPTIONS', `http://127.0.0.1:${port}/files`, { origin: 'https://app.example.com', 'access-control-request-method': 'POST' })).status, 204)
  })

  await t.test('with it, the upload resumes', async t => {
    t.equal((await ask('HEAD', url, right)).headers.get('upload-offset'), String(bytes.length))
    t.equal((await ask('PATCH', url, { ...right, ...BYTES, 'upload-offset': String(bytes.length) }, bytes)).status, 204)
  })
})
