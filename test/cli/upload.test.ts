import { spawn, type ChildProcess } from 'node:child_process'
import { createHash, randomBytes } from 'node:crypto'
import { once } from 'node:events'
import { readFile, readdir, stat, truncate, writeFile } from 'node:fs/promises'
import { connect, createServer, type AddressInfo, type Socket } from 'node:net'
import { join } from 'node:path'
import t, { type Test } from 'tap'
import { UsageError } from '../../lib/cli/flags.js'
import { createDisplay, formatBar } from '../../lib/cli/upload/display.js'
import { parseUploadFlags } from '../../lib/cli/upload/flags.js'
import { formatBytes, formatTime } from '../../lib/cli/units.js'
import { listNames, makeDirectory, startApp, type TestApp } from '../support/app.js'
import { createGate, sleep, until } from '../support/http-tus.js'
import { Relay } from '../support/relay.js'
import { ServerProcess, spawnNode, type Run } from '../support/server-process.js'

const MIB = 1024 ** 2
/** Of an answer. */
const PART = 'HTTP/1.1 503 Service Unavailable\r\nContent-Length: 100\r\n\r\nla'

/** A person's machine: files, and what the command remembers. */
class Home {
  readonly directory: string

  constructor (directory: string) {
    this.directory = directory
  }

  async write (name: string, size: number): Promise<string> {
    const path = join(this.directory, name)
    await writeFile(path, randomBytes(size))
    return path
  }

  start (args: readonly string[]): Command {
    return new Command(spawnNode(['dist/lib/cli/main.js', 'upload', ...args], { env: { XDG_STATE_HOME: join(this.directory, 'state') } }))
  }

  run (args: readonly string[]): Promise<Run> {
    return this.start(args).ended
  }

  /** What the next run would go on with. */
  async listPlaces (): Promise<string[]> {
    const directory = join(this.directory, 'state/fastify-tus/uploads')
    return (await readdir(directory).catch(() => [])).map(name => join(directory, name))
  }
}

class Command {
  readonly child: ChildProcess
  readonly ended: Promise<Run>
  stderr = ''

  constructor (child: ChildProcess) {
    this.child = child
    let stdout = ''
    child.stdout!.on('data', text => { stdout += text })
    child.stderr!.on('data', text => { this.stderr += text })
    this.ended = once(child, 'close').then(([code]) => ({ code, stdout, stderr: this.stderr }))
  }
}

async function makeHome (t: Test): Promise<Home> {
  return new Home(await makeDirectory(t))
}

async function hash (path: string): Promise<string> {
  return createHash('sha256').update(await readFile(path)).digest('hex')
}

/** The file that a line of the output says is there. */
function getStored (stdout: string, directory: string): string {
  return join(directory, /^\S+\/(\w+)\t/m.exec(stdout)![1]!)
}

/** A server of this process that notes the bytes it received. */
async function startServer (t: Test, options: Parameters<typeof startApp>[1] = {}): Promise<TestApp> {
  return startApp(t, { expiration: false, ...options })
}

t.test('flags', async t => {
  const to = ['--to', 'http://a.example/files']
  t.strictSame(parseUploadFlags(['a', 'b', 'a', ...to], {}), { files: ['a', 'b'], to: 'http://a.example/files', parallel: 1, chunkSize: null, metadata: {}, headers: {}, retries: 8, stallTimeout: 60_000 })
  t.match(parseUploadFlags([...to, '--parallel', '3', '--chunk-size', '8MiB', '--metadata', 'k=v=w', '--metadata', 'e=', '--header', 'X-A:  b: c ', '--retry', '0', '--stall-timeout', '1.5m', '-'], {}), {
    files: ['-'], parallel: 3, chunkSize: 8 * MIB, metadata: { k: 'v=w', e: '' }, headers: { 'X-A': 'b: c' }, retries: 0, stallTimeout: 90_000
  })
  const env = { FASTIFY_TUS_TO: 'http://b.example/', FASTIFY_TUS_PARALLEL: '2', FASTIFY_TUS_CHUNK_SIZE: '', FASTIFY_TUS_HEADER: 'Authorization: Bearer x', FASTIFY_TUS_METADATA: 'k=v', FASTIFY_TUS_STALL_TIMEOUT: '0' }
  t.match(parseUploadFlags(['a'], env), { to: 'http://b.example/', parallel: 2, chunkSize: null, headers: { Authorization: 'Bearer x' }, metadata: { k: 'v' }, stallTimeout: 0 })
  t.match(parseUploadFlags(['a', ...to, '--header', 'X-A: b'], env), { to: 'http://a.example/files', headers: { 'X-A': 'b', Authorization: undefined } })
  const wrong = [[], ['a'], to, ['a', '--to', 'ftp://a'], ['a', '--to', 'files'], ['-', '-', ...to], ['a', ...to, '--parallel', '0'], ['a', ...to, '--chunk-size', '0'],
    ['a', ...to, '--metadata', 'k'], ['a', ...to, '--metadata', 'ä=1'], ['a', ...to, '--header', 'hush'], ['a', ...to, '--retry', '-1'], ['a', ...to, '--stall-timeout', 'soon'], ['a', ...to, '--stall-timeout', '25h'], ['a', ...to, '--what']]
  for (const args of wrong) {
    const error = t.throws(() => parseUploadFlags(args, {})) as Error
    t.ok(error instanceof UsageError, args.join(' '))
    t.notMatch(error.message, /hush/)
  }
})

t.test('sends a file, an empty one too, and says where it is', async t => {
  const { url, directory, app } = await startServer(t)
  let headers: unknown
  app.tus.addHook('preCreate', request => { headers = request.headers })
  const home = await makeHome(t)
  const file = await home.write('ä b.bin', 3 * MIB)
  const sent = await home.run([file, '--to', url, '--metadata', 'kind=photo', '--header', 'Authorization: Bearer hush', '--chunk-size', '1MiB'])
  t.equal(sent.code, 0)
  t.match(sent.stdout, new RegExp(`^${url}/\\w+\t${file}\n$`))
  t.match(sent.stderr, /: 30 % of 3\.1 MB\n[^]*: is there\n$/)
  t.notMatch(sent.stdout + sent.stderr, /hush/)
  t.notOk(sent.stderr.includes('\u001b'))
  t.equal(await hash(getStored(sent.stdout, directory)), await hash(file))
  t.strictSame((await app.tus.find(getStored(sent.stdout, directory).split('/').at(-1)!))!.metadata, { filename: 'ä b.bin', kind: 'photo' })
  t.match(headers, { authorization: 'Bearer hush' })
  t.strictSame(await home.listPlaces(), [], 'nothing is left to go on with')

  const empty = await home.run([await home.write('empty', 0), '--to', url])
  t.equal(empty.code, 0)
  t.equal((await stat(getStored(empty.stdout, directory))).size, 0)
})

t.test('sends several files at once', async t => {
  const { url, directory, app } = await startServer(t)
  const all = createGate()
  const open = new Set<string>()
  app.tus.addHook('postReceive', async (_request, { id }) => {
    if (open.add(id).size === 3) all.open()
    await all.passed
  })
  const home = await makeHome(t)
  const files = await Promise.all(['a', 'b', 'c', 'd'].map(name => home.write(name, 100_000)))
  const { code, stdout } = await home.run([...files, join(home.directory, 'none'), '--to', url, '--parallel', '3'])
  t.equal(code, 1, 'one is missing')
  for (const file of files) {
    const line = stdout.split('\n').find(line => line.endsWith(`\t${file}`))!
    t.equal(await hash(getStored(line, directory)), await hash(file))
  }
})

t.test('goes on when the server is killed in the middle, and started again', async t => {
  const server = await ServerProcess.start(t)
  const relay = await Relay.start(t, server.port, 4 * MIB)
  const home = await makeHome(t)
  const file = await home.write('file.bin', 16 * MIB)
  const command = home.start([file, '--to', relay.url])
  await until('the middle', () => relay.holds)
  await server.kill('SIGKILL')
  relay.open()
  await until('it tries again', () => command.stderr.includes('tries again'))
  await server.restart()
  const { code, stdout, stderr } = await command.ended
  t.equal(code, 0, stderr)
  t.match(stderr, /: no answer \(\w+\); tries again in 0:01\n/)
  t.equal(await hash(getStored(stdout, server.directory)), await hash(file))
})

for (const signal of ['SIGKILL', 'SIGINT', 'SIGTERM'] as const) {
  t.test(`goes on where it was, when it was ended by ${signal} and is run again`, async t => {
    const { url, port, directory, app } = await startServer(t)
    const relay = await Relay.start(t, port, 6 * MIB)
    const home = await makeHome(t)
    const file = await home.write('file.bin', 16 * MIB)
    const first = home.start([file, '--to', relay.url])
    await until('the middle', () => relay.holds)
    const [place] = await home.listPlaces()
    t.equal((await stat(place!)).mode & 0o777, 0o600)
    const id = JSON.parse(await readFile(place!, 'utf8')).url.split('/').at(-1)
    const interrupted = createGate()
    app.tus.addHook('postFail', () => { interrupted.open() })
    first.child.kill(signal)
    const ended = await first.ended
    if (signal !== 'SIGKILL') t.match(ended, { code: signal === 'SIGINT' ? 130 : 143, stdout: '', stderr: /stopped, 0 of 1 sent; the same command goes on where it was\n$/ })
    relay.cut()
    await interrupted.passed
    const { offset } = (await app.tus.find(id))!

    relay.open()
    const before = relay.bytes
    const again = await home.run([file, '--to', relay.url])
    t.equal(again.code, 0)
    t.match(again.stderr, `: goes on at ${formatBytes(offset)}\n`)
    t.equal(again.stdout.split('\t')[0], `${relay.url}/${id}`)
    t.equal(await hash(join(directory, id)), await hash(file))
    const sent = relay.bytes - before
    t.ok(sent >= 16 * MIB - offset && sent < 16 * MIB - offset + 8192, `${sent} bytes were sent for ${16 * MIB - offset}`)
    t.strictSame(await home.listPlaces(), [])
    t.not(url, relay.url)
  })
}

t.test('a connection that falls silent is given up, and the upload goes on over another one', async t => {
  const { port, directory } = await startServer(t)
  const relay = await Relay.start(t, port, 4 * MIB)
  const home = await makeHome(t)
  const file = await home.write('file.bin', 16 * MIB)
  const command = home.start([file, '--to', relay.url, '--stall-timeout', '1s', '--retry', '100'])
  await until('the middle', () => relay.holds)
  await until('it tries again', () => command.stderr.includes('no answer (ETIMEDOUT); tries again'))
  relay.open()
  const { code, stdout, stderr } = await command.ended
  t.equal(code, 0, stderr)
  t.match(stderr, /: goes on at/)
  t.equal(await hash(getStored(stdout, directory)), await hash(file))
})

t.test('so is one whose answer stays away, or ends in the middle', async t => {
  const { port, directory } = await startServer(t)
  let answers: Array<(client: Socket) => void> = []
  const server = createServer(client => {
    client.on('error', () => {})
    const answer = answers.shift()
    if (answer === undefined) {
      const other = connect(port, '127.0.0.1').on('error', () => {})
      client.pipe(other).pipe(client)
    } else client.once('data', () => answer(client))
  })
  await new Promise<void>(resolve => server.listen(0, '127.0.0.1', resolve))
  t.teardown(() => server.close())
  const to = `http://127.0.0.1:${(server.address() as AddressInfo).port}/files`
  const home = await makeHome(t)
  for (const [name, flags, reason, answer] of [
    ['silence', ['--stall-timeout', '1s'], 'ETIMEDOUT', () => {}],
    ['a part, and silence', ['--stall-timeout', '1s'], 'ETIMEDOUT', (client: Socket) => client.write(PART)],
    ['a part, and the end', ['--stall-timeout', '0'], 'ECONNRESET', (client: Socket) => client.end(PART)]
  ] as const) {
    answers = [answer]
    const file = await home.write(name, 100_000)
    const { code, stdout, stderr } = await home.run([file, '--to', to, ...flags, '--retry', '100'])
    t.equal(code, 0, stderr)
    t.ok(stderr.includes(`no answer (${reason}); tries again`), `${name}: ${stderr}`)
    t.equal(await hash(getStored(stdout, directory)), await hash(file))
  }
})

t.test('another file of the same name begins anew', async t => {
  const { port, directory } = await startServer(t)
  const relay = await Relay.start(t, port, 2 * MIB)
  const home = await makeHome(t)
  const first = home.start([await home.write('file.bin', 4 * MIB), '--to', relay.url])
  await until('the middle', () => relay.holds)
  first.child.kill('SIGKILL')
  await first.ended
  relay.cut()
  relay.open()
  const file = await home.write('file.bin', 3 * MIB)
  const { code, stdout } = await home.run([file, '--to', relay.url])
  t.equal(code, 0)
  t.equal(await hash(getStored(stdout, directory)), await hash(file))
})

t.test('begins anew where the server has lost the upload', async t => {
  const { port, directory, app } = await startServer(t)
  const relay = await Relay.start(t, port, 2 * MIB)
  const home = await makeHome(t)
  const file = await home.write('file.bin', 4 * MIB)
  const first = home.start([file, '--to', relay.url])
  await until('the middle', () => relay.holds)
  first.child.kill('SIGKILL')
  await first.ended
  relay.cut()
  for await (const { id } of app.tus.list()) await app.tus.terminate(id)
  relay.open()
  const { code, stdout } = await home.run([file, '--to', relay.url])
  t.equal(code, 0)
  t.equal(await hash(getStored(stdout, directory)), await hash(file))
})

t.test('a server that fails keeps its upload', async t => {
  const { url, app, directory } = await startServer(t)
  let failures = 2
  app.tus.addHook('preAccess', (_request, _upload, action) => {
    if (action === 'append' && failures > 0) throw Object.assign(new Error('later'), { statusCode: 503, headers: { 'retry-after': '1' } })
    if (action === 'inspect' && failures-- > 0) throw Object.assign(new Error('later'), { statusCode: 500 })
  })
  const home = await makeHome(t)
  const file = await home.write('file.bin', 1000)
  const { code, stdout, stderr } = await home.run([file, '--to', url])
  t.equal(code, 0, stderr)
  t.match(stderr, /the server answered 503: later; tries again in 0:01/)
  t.match(stderr, /the server answered 423; tries again in 0:05/, 'HEAD, where a hook failed with 500')
  t.equal(await hash(getStored(stdout, directory)), await hash(file))
  t.equal((await listNames(directory)).length, 2, 'there is one upload, with its record')
})

t.test('says what can not be sent, and exits with a code that tells whether to try again', async t => {
  const { url, port } = await startServer(t, { maxSize: 1000 })
  const home = await makeHome(t)
  const file = await home.write('file.bin', 1001)
  const origin = `http://127.0.0.1:${port}`
  t.match(await home.run([file, '--to', url]), { code: 1, stdout: '', stderr: /^\S+: the server answered 413: An upload must not be larger than 1000 bytes\n$/ })
  t.match(await home.run([file, '--to', `${origin}/nothing`]), { code: 1, stderr: /the server answered 404/ })
  t.match(await home.run([home.directory, '--to', url]), { code: 1, stderr: /it is no file/ })
  t.match(await home.run(['none', '--to', url]), { code: 1, stderr: 'none: there is no such file\n' })
  t.match(await home.run([file, '--to', 'http://127.0.0.1:1/files', '--retry', '1']), { code: 3, stderr: /no answer \(ECONNREFUSED\); tries again in 0:01\n.*: no answer \(ECONNREFUSED\)\n$/ })
  t.match(await home.run([file]), { code: 2, stderr: /--to is missing/ })
})

t.test('a server that does not speak tus', async t => {
  const { app, port } = await startServer(t)
  const { default: Fastify } = await import('fastify')
  const other = Fastify()
  t.teardown(() => other.close())
  other.addContentTypeParser('*', (_request, _payload, done) => done(null))
  other.post('/', async () => 'hello')
  await other.listen({ host: '127.0.0.1', port: 0 })
  const home = await makeHome(t)
  const { port: otherPort } = other.server.address() as { port: number }
  t.not(port, otherPort)
  t.ok(app)
  t.match(await home.run([await home.write('a', 5), '--to', `http://127.0.0.1:${otherPort}/`]), { code: 1, stderr: /answered 200, but not as tus has it/ })
})

t.test('a file that becomes shorter while it is sent', async t => {
  const { port } = await startServer(t)
  const relay = await Relay.start(t, port, MIB)
  const home = await makeHome(t)
  const file = await home.write('file.bin', 16 * MIB)
  const command = home.start([file, '--to', relay.url, '--chunk-size', '2MiB'])
  await until('the middle', () => relay.holds)
  await truncate(file, 3 * MIB)
  relay.open()
  t.match(await command.ended, { code: 1, stderr: /it has changed while it was sent/ })
})

t.test('standard input', { skip: process.platform === 'win32' && 'there is no env' }, async t => {
  const { port, directory } = await startServer(t)
  const relay = await Relay.start(t, port, 3 * MIB)
  const bytes = randomBytes(6 * MIB)
  const child = spawn('env', ['-u', 'NODE_OPTIONS', process.execPath, 'dist/lib/cli/main.js', 'upload', '-', '--to', relay.url, '--chunk-size', '1MiB', '--metadata', 'filename=a'])
  const command = new Command(child)
  child.stdin.on('error', () => {})
  child.stdin.end(bytes)
  await until('the middle', () => relay.holds)
  relay.cut()
  relay.open()
  const { code, stdout, stderr } = await command.ended
  t.equal(code, 0, stderr)
  t.match(stderr, /tries again/)
  t.equal(await hash(getStored(stdout, directory)), createHash('sha256').update(bytes).digest('hex'))
})

t.test('bars', async t => {
  t.equal(formatBar('a.bin', { size: 1000, sent: 450, rate: null }, 60), `a.bin  [${'#'.repeat(18)}${'-'.repeat(22)}]   45 %`)
  t.match(formatBar('a.bin', { size: 100e6, sent: 50e6, rate: 1e6 }, 79), /^a\.bin {2}\[#+-+\] {3}50 % {2}1\.0 MB\/s {2}0:50 left$/)
  t.equal(formatBar('-', { size: null, sent: 5_000_000, rate: 2000 }, 79), '-  5.0 MB  2.0 kB/s')
  t.match(formatBar('empty', { size: 0, sent: 0, rate: null }, 79), /100 %$/)
  for (const width of [10, 20, 39, 40, 60, 79, 200]) t.ok(formatBar('a long name '.repeat(10), { size: 100e9, sent: 1e9, rate: 12_345_678 }, width).length <= width, `${width} columns`)
  t.strictSame([0, 999, 1000, 12_345_678, 5e9, 7e15].map(formatBytes), ['0 B', '999 B', '1.0 kB', '12.3 MB', '5.0 GB', '7000.0 TB'])
  t.strictSame([0, 0.2, 42, 61, 3723].map(formatTime), ['0:00', '0:01', '0:42', '1:01', '1:02:03'])
})

t.test('a terminal gets bars that are drawn over, with lines above them', async t => {
  let output = ''
  const display = createDisplay({ isTTY: true, columns: 60, write: text => { output += text } })
  t.teardown(() => display.stop())
  display.begin('a', 100)
  display.begin('b', 100)
  display.progressed('a', 50)
  display.failed('b', 'no answer', 500)
  display.end('b', 'b: is there')
  display.end('a', 'a: is there')
  t.strictSame(output.split('\r\x1b[J'), [
    '', `b: no answer; tries again in 0:01\n${formatBar('a', { size: 100, sent: 50, rate: null }, 59)}\n${formatBar('b', { size: 100, sent: 0, rate: null }, 59)}\n\x1b[2A`,
    `b: is there\n${formatBar('a', { size: 100, sent: 50, rate: null }, 59)}\n\x1b[1A`,
    'a: is there\n'
  ])
})

t.test('nothing that a server or a file name says reaches a terminal as a command', async t => {
  const evil = 'x\x1b]0;owned\x07\x9b2J\x00\r\n\u202egnp.exe'
  for (const isTTY of [true, false]) {
    let output = ''
    const display = createDisplay({ isTTY, columns: 200, write: text => { output += text } })
    display.begin(evil, 10)
    display.failed(evil, `the server answered 500: ${evil.repeat(1000)}`, 500)
    display.end(evil, `${evil}: ${evil}`)
    display.stop()
    // What the display itself says to a terminal.
    // eslint-disable-next-line no-control-regex
    const said = output.replace(/\x1b\[(?:\d*A|J)|\r(?=\x1b\[J)/g, '')
    // eslint-disable-next-line no-control-regex
    t.notMatch(said.replaceAll('\r', isTTY ? '' : '\r'), /[\x00-\x09\x0b-\x1f\x7f-\x9f\u202e]/)
    t.ok(said.split('\n').every(line => line.length <= 1000))
  }
})

t.test('anything else gets a line for each tenth of a file', async t => {
  let output = ''
  const display = createDisplay({ write: text => { output += text } })
  display.begin('a', 1000)
  display.begin('-', null)
  display.resumed('a', 250)
  for (const sent of [250, 299, 300, 305, 999, 1000]) display.progressed('a', sent)
  display.progressed('-', 500)
  display.failed('a', 'no answer', 500)
  display.end('a', 'a: is there')
  display.stop()
  t.strictSame(output.trim().split('\n'), ['a: goes on at 250 B', 'a: 20 % of 1.0 kB', 'a: 30 % of 1.0 kB', 'a: 90 % of 1.0 kB', 'a: no answer; tries again in 0:01', 'a: is there'])
})

t.test('a bar measures a rate behind what was there before', async t => {
  let output = ''
  const display = createDisplay({ isTTY: true, write: text => { output += text } })
  t.teardown(() => display.stop())
  display.begin('a', 1000)
  display.resumed('a', 500)
  display.progressed('a', 600)
  await sleep(300)
  for (const sent of [700, 800]) display.progressed('a', sent)
  await sleep(300)
  display.progressed('a', 900)
  await until('the rate is shown', () => /90 % {2}\d+ B\/s {2}0:\d\d left/.test(output))
})
