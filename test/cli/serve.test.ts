import { once } from 'node:events'
import { cp, mkdir, readFile, readdir, symlink, writeFile } from 'node:fs/promises'
import { createServer, type AddressInfo } from 'node:net'
import { networkInterfaces } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import t, { type Test } from 'tap'
import { UsageError, parseServeFlags } from '../../lib/cli/flags.js'
import { rewriteTusdUrl } from '../../lib/cli/serve.js'
import { parseDuration, parseSize } from '../../lib/cli/units.js'
import { makeDirectory } from '../support/app.js'
import { until } from '../support/http-tus.js'
import { ServerProcess, runCli, spawnNode, waitForLine } from '../support/server-process.js'

const ROOT = fileURLToPath(new URL('../..', import.meta.url))
const TUS = { 'tus-resumable': '1.0.0' }

t.test('sizes', async t => {
  const sizes: Record<string, number | null> = {
    0: 0,
    1024: 1024,
    '5GB': 5e9,
    '8MiB': 8 * 1024 ** 2,
    '8 mib': 8 * 1024 ** 2,
    '1.5 gib': 1.5 * 1024 ** 3,
    '1k': 1000,
    '1Ki': 1024,
    '2TB': 2e12,
    '7b': 7,
    '': null,
    MB: null,
    '-1': null,
    '1e3': null,
    '5PB': null,
    '5 apples': null,
    '1,5GB': null,
    '0x10': null,
    '99999999999TB': null
  }
  for (const [text, size] of Object.entries(sizes)) t.equal(parseSize(text), size, `'${text}' is ${size}`)
})

t.test('durations', async t => {
  const durations: Record<string, number | null> = {
    '24h': 86_400_000,
    '30s': 30_000,
    '1.5d': 129_600_000,
    '500ms': 500,
    '10 m': 600_000,
    90: 90_000,
    0: 0,
    '': null,
    h: null,
    '-1s': null,
    '1w': null,
    '1e3s': null,
    '1:30': null,
    '99999999999999d': null
  }
  for (const [text, duration] of Object.entries(durations)) t.equal(parseDuration(text), duration, `'${text}' is ${duration}`)
})

t.test('flags', async t => {
  t.test('have defaults', async t => {
    t.match(parseServeFlags([], {}), {
      host: '127.0.0.1', port: 1080, prefix: '/files', dir: './uploads', durability: 'fsync', journal: false, maxSize: null, expire: null, cors: null, download: true, trustProxy: null, headersTimeout: 30_000, maxConnections: null, workers: 1, locks: 'directory', logLevel: 'info'
    })
  })

  t.test('come from the command line, then from the environment', async t => {
    const env = { FASTIFY_TUS_PORT: '2', FASTIFY_TUS_MAX_SIZE: '5GB', FASTIFY_TUS_LOG_LEVEL: 'warn', FASTIFY_TUS_NO_DOWNLOAD: '1' }
    t.match(parseServeFlags(['--port', '3'], env), { port: 3, maxSize: 5e9, logLevel: 'warn', download: false })
    t.match(parseServeFlags(['--expire', '1.5h'], { FASTIFY_TUS_EXPIRE: '3s' }), { expire: 5_400_000 })
    t.match(parseServeFlags([], { FASTIFY_TUS_EXPIRE: '3s' }), { expire: 3000 })
    t.match(parseServeFlags(['--headers-timeout', '5s'], { FASTIFY_TUS_MAX_CONNECTIONS: '100' }), { headersTimeout: 5000, maxConnections: 100 })
    t.match(parseServeFlags(['--no-download', '--durability=none', '--journal', '--cors', 'https://a.example'], {}), { download: false, durability: 'none', journal: true, cors: 'https://a.example' })
  })

  t.test('name a bucket of S3', async t => {
    t.equal(parseServeFlags([], {}).s3, null)
    t.strictSame(parseServeFlags(['--s3-bucket', 'b'], {}).s3, { bucket: 'b', endpoint: null, region: null, prefix: '', partSize: null })
    const env = { FASTIFY_TUS_S3_BUCKET: 'b', FASTIFY_TUS_S3_ENDPOINT: 'http://127.0.0.1:9000', FASTIFY_TUS_S3_REGION: 'r', FASTIFY_TUS_S3_PREFIX: 'p/', FASTIFY_TUS_S3_PART_SIZE: '16MiB' }
    t.strictSame(parseServeFlags([], env).s3, { bucket: 'b', endpoint: 'http://127.0.0.1:9000', region: 'r', prefix: 'p/', partSize: 16 * 1024 ** 2 })
    for (const wrong of [['--s3-endpoint', 'localhost'], ['--s3-prefix', '/p'], ['--s3-part-size', '4MiB'], ['--dir', 'd']]) {
      t.throws(() => parseServeFlags(['--s3-bucket', 'b', ...wrong], {}), { message: new RegExp(wrong[0]!) })
    }
  })

  t.test('name a container of Azure, whose account is in the environment', async t => {
    const env = { AZURE_STORAGE_CONNECTION_STRING: 'UseDevelopmentStorage=true' }
    t.equal(parseServeFlags([], env).azure, null)
    t.strictSame(parseServeFlags(['--azure-container', 'c', '--azure-prefix', 'p/'], env).azure, { container: 'c', prefix: 'p/', connectionString: 'UseDevelopmentStorage=true' })
    t.throws(() => parseServeFlags(['--azure-container', 'c'], {}), { message: /AZURE_STORAGE_CONNECTION_STRING/ })
    for (const wrong of [['--azure-prefix', '/p'], ['--dir', 'd'], ['--s3-bucket', 'b']]) {
      t.throws(() => parseServeFlags(['--azure-container', 'c', ...wrong], env), { message: new RegExp(wrong[0]!) })
    }
  })

  t.test('origins are trimmed', async t => {
    t.strictSame(parseServeFlags(['--cors', ' https://a.example , https://b.example,'], {}).cors, ['https://a.example', 'https://b.example'])
    t.equal(parseServeFlags(['--cors', ' * '], {}).cors, '*')
  })

  t.test('URLs of tusd are rewritten in linear time, and no others', async t => {
    const rewritten = [
      ['/files/abc+2~def', '/files/abc'], ['/files/abc%2bdef?x=1+2', '/files/abc?x=1+2'], ['/files/abc+d+e', '/files/abc'], ['/a+b/abc+def', '/a+b/abc'],
      ['/a+b/abc', '/a+b/abc'], ['/files/abc?a=b+c', '/files/abc?a=b+c'], ['/files/abc%20+x', '/files/abc%20'], ['/files/+x', '/files/'], ['/', '/']
    ]
    for (const [url, expected] of rewritten) t.equal(rewriteTusdUrl({ url: url! }), expected!, url!)
    const count = (length: number) => {
      const start = process.cpuUsage().user
      for (const piece of ['%2B', '+', '/+', '%', '/%2B/']) rewriteTusdUrl({ url: `/${piece.repeat(length)}/` })
      return process.cpuUsage().user - start
    }
    // In µs of processor time. If it were the square of the length, minutes.
    t.ok(count(200_000) < 5_000_000)
  })

  t.test('a switch in the environment is off where it says so', async t => {
    for (const off of ['', '0', 'false']) t.equal(parseServeFlags([], { FASTIFY_TUS_NO_DOWNLOAD: off }).download, true, `'${off}'`)
  })

  const wrong: ReadonlyArray<readonly [string[], RegExp]> = [
    [['--port', '65536'], /--port must be/],
    [['--port=-1'], /--port must be/],
    [['--port', '1e3'], /--port must be/],
    [['--port', 'http'], /--port must be .* not 'http'/],
    [['--durability', 'maybe'], /--durability must be fsync or none, not 'maybe'/],
    [['--locks', 'none'], /--locks must be directory or process/],
    [['--locks', 'process', '--workers', '2'], /--locks process is for one process/],
    [['--max-size', 'huge'], /--max-size must be a size such as/],
    [['--expire', 'soon'], /--expire must be a duration such as/],
    [['--expire', '0'], /--expire must be .* not '0'/],
    [['--expire', '30'], /--expire must be a duration such as 24h or 30s, with its unit, above 0, not '30'/],
    [['--expire', ' 30 '], /--expire must be/],
    [['--cors', ' , '], /--cors must be an origin such as/],
    [['--s3-bucket', 'b', '--s3-prefix', 'p'], /--s3-prefix must be empty, or a path that ends with '\/'/],
    [['--s3-bucket', 'b', '--journal'], /--journal is for a directory: leave it out with --s3-bucket/],
    [['--s3-bucket', 'b', '--index'], /--index is for a directory/],
    [['--s3-bucket', 'b', '--durability', 'none'], /--durability is for a directory/],
    [['--expire=-1h'], /--expire must be/],
    [['--headers-timeout', 'soon'], /--headers-timeout must be a duration such as/],
    [['--headers-timeout', '0'], /--headers-timeout must be/],
    [['--headers-timeout', '999ms'], /--headers-timeout must be/],
    [['--headers-timeout', '2h'], /--headers-timeout must be/],
    [['--max-connections', '0'], /--max-connections must be a whole number from 1, not '0'/],
    [['--max-connections=-1'], /--max-connections must be/],
    [['--max-connections', '1.5'], /--max-connections must be/],
    [['--log-level', 'loud'], /--log-level must be/],
    [['--no-such-flag'], /--no-such-flag/],
    [['--port'], /--port/],
    [['--no-download=yes'], /--no-download/],
    [['stray'], /stray/]
  ]
  for (const [args, message] of wrong) {
    t.test(`${args.join(' ')} is refused`, async t => {
      t.throws(() => parseServeFlags(args, {}), { constructor: UsageError, message })
    })
  }

  t.test('the environment is checked as well', async t => {
    t.throws(() => parseServeFlags([], { FASTIFY_TUS_PORT: 'x' }), { constructor: UsageError, message: /port/ })
  })
})

t.test('the command', async t => {
  t.test('shows how to use it', async t => {
    const { code, stdout, stderr } = await runCli(['--help'])
    t.strictSame({ code, stderr }, { code: 0, stderr: '' })
    t.match(stdout, /fastify-tus serve/)
  })

  t.test('tells its version', async t => {
    const { version } = JSON.parse(await readFile(join(ROOT, 'package.json'), 'utf8'))
    t.strictSame(await runCli(['--version']), { code: 0, stdout: `${version}\n`, stderr: '' })
  })

  for (const args of [[], ['swerve'], ['serve', '--port', '99999'], ['serve', '--unknown'], ['serve', 'stray']]) {
    t.test(`'${args.join(' ')}' ends with 2 and says how to use it`, async t => {
      const { code, stdout, stderr } = await runCli(args)
      t.strictSame({ code, stdout }, { code: 2, stdout: '' })
      t.match(stderr, /^fastify-tus: .+\n\n[^]*fastify-tus serve/)
    })
  }

  t.test('reads the environment', async t => {
    const { code, stderr } = await runCli(['serve'], { FASTIFY_TUS_MAX_SIZE: 'huge' })
    t.equal(code, 2)
    t.match(stderr, /max-size must be .* not 'huge'/)
  })

  t.test('says so when the port is taken', async t => {
    const other = createServer().listen(0, '127.0.0.1')
    t.teardown(() => other.close())
    await once(other, 'listening')
    const { code, stdout, stderr } = await runCli(['serve', '--port', String((other.address() as AddressInfo).port), '--dir', await makeDirectory(t)])
    t.strictSame({ code, stdout }, { code: 1, stdout: '' })
    t.match(stderr, /EADDRINUSE/)
    t.notMatch(stderr, /\n\s+at /, 'without a stack')
  })

  t.test('says so when the directory can not be one', async t => {
    const file = join(await makeDirectory(t), 'file')
    await writeFile(file, '')
    const { code, stdout, stderr } = await runCli(['serve', '--port', '0', '--dir', join(file, 'uploads')])
    t.strictSame({ code, stdout }, { code: 1, stdout: '' })
    t.match(stderr, /ENOTDIR/)
  })

  t.test('says so when the prefix is no path', async t => {
    const { code, stdout, stderr } = await runCli(['serve', '--port', '0', '--prefix', 'files', '--dir', await makeDirectory(t)])
    t.not(code, 0)
    t.equal(stdout, '')
    t.match(stderr, /prefix/)
  })
})

t.test('serve', async t => {
  t.test('prints one line when it is ready, answers /health, takes an upload, and stops at SIGTERM', async t => {
    const server = await ServerProcess.start(t)
    t.equal(server.readyLine, `fastify-tus listening on ${server.url}`)
    const health = await fetch(new URL('/health', server.url))
    t.strictSame([health.status, await health.json()], [200, { status: 'ok' }])
    const url = await uploadHello(t, server.url)
    t.equal(await (await fetch(url)).text(), 'hello')
    t.ok((await readdir(server.directory)).length > 0, 'it is in the directory')
    const { code, signal } = await server.kill('SIGTERM')
    t.strictSame({ code, signal }, { code: 0, signal: null })
  })

  t.test('knows its uploads when it starts again', async t => {
    const server = await ServerProcess.start(t)
    const url = await uploadHello(t, server.url)
    await server.kill('SIGINT')
    await server.restart()
    t.equal(await (await fetch(url)).text(), 'hello')
  })

  t.test('--prefix moves the uploads, --no-download hides them', async t => {
    const server = await ServerProcess.start(t, { flags: ['--prefix', '/a/b', '--no-download'] })
    t.equal(server.readyLine, `fastify-tus listening on http://127.0.0.1:${server.port}/a/b`)
    const url = await uploadHello(t, `http://127.0.0.1:${server.port}/a/b`)
    t.equal((await fetch(url)).status, 405)
    t.equal((await fetch(server.url)).status, 404)
  })

  t.test('--max-size is announced and enforced', async t => {
    const server = await ServerProcess.start(t, { flags: ['--max-size', '1MiB'] })
    t.equal((await fetch(server.url, { method: 'OPTIONS' })).headers.get('tus-max-size'), '1048576')
    t.equal((await create(server.url, 1024 ** 2)).status, 201)
    t.equal((await create(server.url, 1024 ** 2 + 1)).status, 413)
  })

  t.test('--expire removes what is incomplete for so long, and leaves what is complete', async t => {
    const server = await ServerProcess.start(t, { flags: ['--expire', '4s'] })
    const complete = await uploadHello(t, server.url)
    const created = await create(server.url, 5)
    const lifetime = Date.parse(created.headers.get('upload-expires')!) - Date.parse(created.headers.get('date')!)
    t.ok(Math.abs(lifetime - 4000) <= 10_000, `${lifetime} ms`)
    const begun = created.headers.get('location')!
    await until('it expires', async () => [404, 410].includes((await fetch(begun, { method: 'HEAD', headers: TUS })).status))
    await until('its files are removed', async () => !(await readdir(server.directory)).some(name => name.startsWith(begun.split('/').at(-1)!)))
    t.equal(await (await fetch(complete)).text(), 'hello')
  })

  t.test('--cors lets these origins in and no other', async t => {
    const server = await ServerProcess.start(t, { flags: ['--cors', 'https://a.example,https://b.example'] })
    const ask = async (origin: string) => (await create(server.url, 1, { origin })).headers.get('access-control-allow-origin')
    t.strictSame([await ask('https://a.example'), await ask('https://b.example'), await ask('https://c.example')], ['https://a.example', 'https://b.example', null])
  })

  t.test('--trust-proxy decides who may say where the client sees us', async t => {
    const forwarded = { 'x-forwarded-proto': 'https', 'x-forwarded-host': 'files.example' }
    const trusting = await ServerProcess.start(t, { flags: ['--trust-proxy', '127.0.0.1'] })
    t.match((await create(trusting.url, 1, forwarded)).headers.get('location'), /^https:\/\/files\.example\/files\//)
    const other = await ServerProcess.start(t, { flags: ['--trust-proxy', '10.0.0.0/8'] })
    t.match((await create(other.url, 1, forwarded)).headers.get('location'), new RegExp(`^${other.url}/`))
  })

  t.test('--durability none and --no-ietf', async t => {
    const server = await ServerProcess.start(t, { flags: ['--durability', 'none', '--no-ietf'] })
    t.equal(await (await fetch(await uploadHello(t, server.url))).text(), 'hello')
    const ask = (url: string) => fetch(url, { method: 'POST', headers: { 'upload-complete': '?1' }, body: 'hello' })
    t.equal((await ask(server.url)).status, 412)
    const both = await ServerProcess.start(t)
    t.match(await ask(both.url), { status: 201 })
  })

  t.test('--log-level', async t => {
    const quiet = await ServerProcess.start(t, { flags: ['--log-level', 'silent'] })
    await create(quiet.url, -1)
    await quiet.kill('SIGTERM')
    t.equal(quiet.log, '')
    const verbose = await ServerProcess.start(t, { flags: ['--log-level', 'info'] })
    await create(verbose.url, 1)
    await until('it is logged', () => /"msg":"request completed"/.test(verbose.log))
  })

  const hasIpv6 = Object.values(networkInterfaces()).flat().some(address => address?.address === '::1')
  t.test('--host ::1', { skip: !hasIpv6 && 'there is no IPv6 here' }, async t => {
    const server = await ServerProcess.start(t, { flags: ['--host', '::1'] })
    t.equal(server.readyLine, `fastify-tus listening on http://[::1]:${server.port}/files`)
    await uploadHello(t, `http://[::1]:${server.port}/files`)
  })
})

t.test('npm start in a checkout builds what it needs and serves', { timeout: 600_000 }, async t => {
  const checkout = await makeDirectory(t)
  for (const name of ['lib', 'adapters', 'page', 'scripts', 'package.json', 'tsconfig.json', 'tsconfig.build.json']) await cp(join(ROOT, name), join(checkout, name), { recursive: true })
  await symlink(join(ROOT, 'node_modules'), join(checkout, 'node_modules'))
  await mkdir(join(checkout, 'elsewhere'))
  // What the script `start` says, without npm in between, so that the signal reaches it.
  const { scripts } = JSON.parse(await readFile(join(checkout, 'package.json'), 'utf8'))
  const [command, ...args] = scripts.start.split(' ')
  t.equal(command, 'node')

  const child = spawnNode([...args, '--port', '0', '--dir', 'elsewhere/uploads'], { cwd: checkout })
  t.teardown(() => child.kill('SIGKILL'))
  let log = ''
  child.stderr!.on('data', text => { log += text })
  const line = await waitForLine(child, /listening on/, () => log, 300_000)
  const url = /^fastify-tus listening on (http:\/\/127\.0\.0\.1:[1-9]\d*\/files)$/.exec(line)?.[1]
  t.ok(url, line)
  await uploadHello(t, url!)
  t.ok((await readdir(join(checkout, 'elsewhere/uploads'))).length > 0)
  const exited = once(child, 'exit')
  child.kill('SIGINT')
  t.strictSame(await exited, [0, null])
})

function create (endpoint: string, length: number, headers: Record<string, string> = {}): Promise<Response> {
  return fetch(endpoint, { method: 'POST', headers: { ...TUS, 'upload-length': String(length), ...headers } })
}

/** Uploads five bytes; the URL. */
async function uploadHello (t: Test, endpoint: string): Promise<string> {
  const location = (await create(endpoint, 5)).headers.get('location')!
  const headers = { ...TUS, 'upload-offset': '0', 'content-type': 'application/offset+octet-stream' }
  t.equal((await fetch(location, { method: 'PATCH', headers, body: 'hello' })).status, 204)
  return location
}
