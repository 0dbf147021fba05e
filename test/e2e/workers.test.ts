import { readdirSync, readlinkSync } from 'node:fs'
import { readdir, stat } from 'node:fs/promises'
import { hostname } from 'node:os'
import { join } from 'node:path'
import t, { type Test } from 'tap'
import { listNames, makeDirectory } from '../support/app.js'
import { open } from '../support/ietf.js'
import { makeRandom } from '../support/proxy-random.js'
import { ServerProcess, runCli } from '../support/server-process.js'
import { download, makeBytes, sha256 } from '../support/tus-client-bytes.js'
import { RawConnection, askOffset, createUpload } from '../support/tus-client-raw.js'
import { loadClient, upload } from '../support/tus-client.js'
import { sleep, until } from '../support/waiting.js'

// Several processes serve one port and one directory, and any of them may answer any request.

const KIB = 1024
const WORKERS = 3

t.test('a worker that is killed is replaced, and what it held is free', async t => {
  const server = await ServerProcess.start(t, { flags: ['--workers', String(WORKERS), '--log-level', 'info'] })
  const workers = server.getWorkers()
  t.equal(workers.length, WORKERS)
  const path = await createUpload(server.port, 1000)
  const stalled = await RawConnection.open(server.port)
  await stalled.patch(path, 0, 1000).write(makeBytes(1, 10))
  await server.waitForBytes(path, 10)
  for (const pid of workers) process.kill(pid, 'SIGKILL')
  await until('each has a successor', () => server.getWorkers().filter(pid => !workers.includes(pid)).length === WORKERS)
  await until('which has cleared away after it', async () => isSettled(server) && (await readdir(join(server.directory, '.locks'))).length === 0)
  t.equal(await askOffset(server.port, path), 10, 'what had arrived is there')
  // One that is told to stop before it listens just ends.
  await until('all listen', () => server.getWorkers().every(pid => server.log.includes(`"pid":${pid},"hostname":"${hostname()}","msg":"Server listening`)))
  const exit = await server.kill('SIGTERM')
  t.strictSame([exit.code, exit.signal], [0, null])
  t.strictSame(await readdir(join(server.directory, '.processes')), [], 'all have signed off')
  stalled.close()
})

t.test('SIGTERM in the middle of 100 requests: each is told how far it came, and the next process goes on', async t => {
  for (const workers of [1, 2]) {
    const random = makeRandom(t)
    const server = await start(t, workers)
    const size = 64 * KIB
    const bytes = makeBytes(random.seed, size)
    const running = await Promise.all(Array.from({ length: 100 }, async () => {
      const sent = random.between(0, size - 1)
      const path = await createUpload(server.port, size)
      const connection = await RawConnection.open(server.port)
      await connection.patch(path, 0, size).write(bytes.subarray(0, sent))
      return { path, connection, sent }
    }))
    await Promise.all(running.map(({ path, sent }) => server.waitForBytes(path, sent)))
    const { took, ...exit } = await server.kill('SIGTERM')
    t.strictSame(exit, { code: 0, signal: null }, `it ends by itself, after ${took} ms`)
    const responses = await Promise.all(running.map(({ connection }) => connection.response()))
    t.strictSame(responses.map(response => [response?.status, Number(response?.headers['upload-offset'])]), running.map(({ sent }) => [503, sent]))

    await server.restart()
    await Promise.all(running.map(async ({ path, connection, sent }) => {
      connection.close()
      const next = await RawConnection.open(server.port)
      await next.patch(path, sent, size - sent).write(bytes.subarray(sent))
      t.equal((await next.response())?.status, 204)
      next.close()
      t.equal((await download(`http://127.0.0.1:${server.port}${path}`)).sha256, sha256(bytes))
    }))
    await server.kill('SIGTERM')
  }
})

t.test('SIGHUP replaces every worker while clients upload, and no upload fails', async t => {
  const library = await loadClient('tus-js-client')
  const server = await start(t, 2)
  const replaced: number[][] = []
  const end = performance.now() + 12_000
  let uploads = 0
  const clients = Array.from({ length: 8 }, async (_, index) => {
    while (performance.now() < end) {
      const bytes = makeBytes(index, 512 * KIB)
      const journal = await upload({ library: library!, input: bytes, endpoint: server.url, options: { chunkSize: 64 * KIB } })
      t.equal(await downloadFrom(journal.url!), sha256(bytes))
      t.strictSame(journal.decreases, [])
      t.equal(journal.created, 1, 'no client had to begin again')
      uploads++
    }
  })
  const rolling = (async () => {
    while (performance.now() < end - 4_000) {
      const before = server.getWorkers()
      server.signal('SIGHUP')
      await until('all are replaced', () => server.getWorkers().length === 2 && !server.getWorkers().some(pid => before.includes(pid)))
      replaced.push(before)
    }
  })()
  await Promise.all([...clients, rolling])
  t.ok(replaced.length > 0)
  t.comment(`${uploads} uploads, ${replaced.length} restarts`)
  t.equal((await server.kill('SIGTERM')).code, 0)
})

t.test('SIGHUP in the middle of creations of the draft that were to bring everything: none is told that it did', async t => {
  const server = await start(t, 2)
  const versions = ['3', '5', '6', '8', '9', null]
  const clients = await Promise.all(versions.map(version => open(t, server.port, 'POST', '/files', {
    ...version === '3' ? { 'upload-incomplete': '?0' } : { 'upload-complete': '?1' },
    ...version !== null && { 'upload-draft-interop-version': version },
    'content-length': '11'
  }, 'hello')))
  const listSizes = async () => (await Promise.all((await listNames(server.directory)).filter(name => !name.endsWith('.json')).map(name => stat(join(server.directory, name))))).map(({ size }) => size)
  await until('all bytes are stored', async () => (await listSizes()).join() === versions.map(() => 5).join())
  server.signal('SIGHUP')
  const told = await Promise.all(clients.map(client => client.receive('POST')))
  t.strictSame(told.map(response => response?.status ?? null), [null, null, null, null, null, 503], 'dropped where a 104 told where the upload is')
  t.match(told.at(-1)?.headers, { location: /\/files\//, 'upload-offset': '5' })
  t.strictSame(await listSizes(), versions.map(() => 5))
  t.equal((await server.kill('SIGTERM')).code, 0)
})

t.test('with --port 0, every successor listens at the same free port', async t => {
  const server = await ServerProcess.start(t, { flags: ['--port', '0', '--workers', '2'] })
  const before = server.getWorkers()
  const port = Number(new URL(/http\S+/.exec(server.readyLine)![0]).port)
  const path = await createUpload(port, 1000)
  server.signal('SIGHUP')
  await until('all are replaced', () => server.getWorkers().length === 2 && !server.getWorkers().some(pid => before.includes(pid)))
  t.equal(await askOffset(port, path), 0)
})

t.test('a stop that is told to every process of the group, and again to the workers by the first one, is one stop', async t => {
  const server = await start(t, 2)
  const path = await createUpload(server.port, 1000)
  const stalled = await RawConnection.open(server.port)
  await stalled.patch(path, 0, 1000).write(makeBytes(1, 10))
  await server.waitForBytes(path, 10)
  for (const pid of server.getWorkers()) process.kill(pid, 'SIGTERM')
  const { code, signal } = await server.kill('SIGTERM')
  t.strictSame([code, signal], [0, null])
  const response = await stalled.response()
  t.strictSame([response?.status, response?.headers['upload-offset']], [503, '10'])
  stalled.close()
})

t.test('a worker that dies while others are replaced gets one successor', async t => {
  const server = await start(t)
  const before = server.getWorkers()
  server.signal('SIGHUP')
  process.kill(before.at(-1)!, 'SIGKILL')
  await until('all are replaced', () => !server.getWorkers().some(pid => before.includes(pid)))
  await until('they have settled', () => server.getWorkers().length === WORKERS && isSettled(server))
  await sleep(1_000)
  t.equal(server.getWorkers().length, WORKERS)
})

t.test('what a worker held is free without the help of the first process', { skip: process.platform !== 'linux' && 'reads links' }, async t => {
  const server = await ServerProcess.start(t, { flags: ['--workers', '2'], directory: join(await makeDirectory(t), 'd'.repeat(120)) })
  const path = await createUpload(server.port, 1000)
  const stalled = await RawConnection.open(server.port)
  await stalled.patch(path, 0, 1000).write(makeBytes(1, 10))
  await server.waitForBytes(path, 10)
  const holder = readlinkSync(join(server.directory, '.locks', path.split('/').at(-1)!))
  server.signal('SIGSTOP')
  process.kill(Number(holder.split('-')[1]), 'SIGKILL')
  const offset = await askOffset(server.port, path)
  server.signal('SIGCONT')
  t.equal(offset, 10)
  stalled.close()
})

t.test('workers that can\'t start end the command', async t => {
  const { code, stderr } = await runCli(['serve', '--workers', '2', '--port', '0', '--dir', '/dev/null/uploads', '--log-level', 'silent'])
  t.equal(code, 1)
  t.match(stderr, /could not start/)
})

for (const workers of ['0', '-1', 'many', '1.5', '1025']) {
  t.test(`--workers ${workers} is refused`, async t => {
    const { code, stderr } = await runCli(['serve', `--workers=${workers}`])
    t.equal(code, 2)
    t.match(stderr, /--workers must be a number from 1 to 1024/)
  })
}

/** Whether exactly the workers that live are registered. */
function isSettled (server: ServerProcess): boolean {
  const registered = readdirSync(join(server.directory, '.processes')).map(name => Number(name.split('-').at(-2)))
  return registered.sort().join() === server.getWorkers().sort().join()
}

/** A connection that was kept open may be closed at the moment in which it is used again: whoever reads tries once more. */
async function downloadFrom (url: string): Promise<string> {
  return (await download(url).catch(() => download(url))).sha256
}

function start (t: Test, workers = WORKERS): Promise<ServerProcess> {
  return ServerProcess.start(t, { flags: ['--workers', String(workers)] })
}
