import { existsSync } from 'node:fs'
import t, { type Test } from 'tap'
import { makeRandom } from '../support/proxy-random.js'
import { ServerProcess } from '../support/server-process.js'
import { download, makeBytes, sha256 } from '../support/tus-client-bytes.js'
import { RawConnection, ask, askOffset, createUpload } from '../support/tus-client-raw.js'
import { sleep, until } from '../support/waiting.js'

// A server that is told to stop ends what runs, keeps what arrived, and is gone, whatever its clients do.

const MIB = 1024 * 1024
const SIZE = 2 * MIB
const PIECE = 64 * 1024

for (const signal of ['SIGTERM', 'SIGINT'] as const) {
  t.test(`${signal} ends running requests cleanly, and every byte that arrived is there afterwards`, async t => {
    const random = makeRandom(t)
    const server = await ServerProcess.start(t)
    const bytes = makeBytes(random.seed, SIZE)
    const running = await Promise.all(Array.from({ length: 30 }, () => begin(server, bytes.subarray(0, random.between(0, SIZE - 1)))))
    await Promise.all(running.map(({ path, sent }) => server.waitForBytes(path, sent)))

    await stopInOrder(t, server, signal)
    const responses = await Promise.all(running.map(({ connection }) => connection.response()))
    const answers = responses.map(response => ({ status: response?.status, offset: Number(response?.headers['upload-offset']) }))
    t.strictSame(answers, running.map(({ sent }) => ({ status: 503, offset: sent })), 'every request is told how far it came')

    await server.restart()
    const offsets = await Promise.all(running.map(({ path }) => askOffset(server.port, path)))
    t.strictSame(offsets, running.map(({ sent }) => sent), 'the next process knows every byte')
    await Promise.all(running.map(({ path, sent }) => finish(t, server, path, bytes, sent)))
  })
}

t.test('a client that goes on sending as fast as it can does not keep the server from stopping', async t => {
  const server = await ServerProcess.start(t)
  const bytes = makeBytes(1, 64 * MIB)
  const running = await Promise.all(Array.from({ length: 4 }, () => flood(server, bytes)))
  await Promise.all(running.map(({ path }) => server.waitForBytes(path, 1)))
  await stopInOrder(t, server)

  const acknowledged = await Promise.all(running.map(({ done }) => done))
  await server.restart()
  for (const [index, { path }] of running.entries()) {
    const offset = await askOffset(server.port, path)
    t.ok(offset! >= acknowledged[index]!, `${acknowledged[index]} bytes were acknowledged, ${offset} are there`)
    await finish(t, server, path, bytes, offset!)
  }
})

const IDLE: Readonly<Record<string, (server: ServerProcess) => Promise<RawConnection>>> = {
  'has connected and says nothing': ({ port }) => RawConnection.open(port),
  'has sent half of the head of a request': async ({ port }) => {
    const connection = await RawConnection.open(port)
    connection.socket.write('PATCH /files/abc HTTP/1.1\r\nHost: x\r\nTus-Res')
    return connection
  },
  'keeps its connection for more': async ({ port }) => {
    const connection = await RawConnection.open(port)
    await connection.request('OPTIONS', '/files').response('OPTIONS')
    return connection
  },
  'stalls in the middle of a body': async server => (await begin(server, makeBytes(2, 1000))).connection,
  'stalls in the middle of a body that was refused': async ({ port }) => {
    const connection = await RawConnection.open(port)
    await connection.patch('/files/nowhere', 0, 1000).write(makeBytes(2, 10))
    await connection.response()
    return connection
  }
}

for (const [name, connect] of Object.entries(IDLE)) {
  t.test(`a client that ${name} does not keep the server from stopping`, async t => {
    const server = await ServerProcess.start(t)
    const connection = await connect(server)
    await until('the server has it', () => !existsSync('/proc') || server.countConnections() > 0)
    await sleep(200)
    await stopInOrder(t, server)
    connection.close()
  })
}

t.test('a client that does not read its download does not keep the server from stopping', async t => {
  const server = await ServerProcess.start(t)
  const bytes = makeBytes(3, 64 * MIB)
  const path = await createUpload(server.port, bytes.length)
  await finish(t, server, path, bytes, 0)
  const reader = await RawConnection.open(server.port)
  reader.request('GET', path)
  reader.socket.pause()
  await sleep(300)
  await stopInOrder(t, server)
  reader.close()
})

t.test('while one upload takes long to become durable, the clients of others are not told that theirs is lost', async t => {
  const server = await ServerProcess.start(t)
  const small = await begin(server, makeBytes(4, 1000))
  const large = await flood(server, makeBytes(5, 256 * MIB), 1)
  await server.waitForBytes(large.path, 16 * MIB)
  const stopped = stopInOrder(t, server)
  const statuses: Record<string, number> = {}
  while (server.running) {
    const status = (await ask(server.port, 'HEAD', small.path))?.status ?? 'none'
    statuses[status] = (statuses[status] ?? 0) + 1
    await sleep(5)
  }
  await Promise.all([stopped, large.done])
  small.connection.close()
  t.comment(JSON.stringify(statuses))
  // Any other 4xx or 5xx on HEAD makes tus-js-client create the upload anew, from byte 0.
  t.strictSame(Object.keys(statuses).filter(status => !['200', '423', 'none'].includes(status)), [])
})

async function stopInOrder (t: Test, server: ServerProcess, signal: NodeJS.Signals = 'SIGTERM'): Promise<void> {
  const { took, ...exit } = await server.kill(signal)
  t.strictSame(exit, { code: 0, signal: null }, `it ends by itself, after ${took} ms`)
}

/** Sends the beginning of an upload, and leaves the request open. */
async function begin ({ port }: ServerProcess, bytes: Buffer): Promise<{ path: string, connection: RawConnection, sent: number }> {
  const path = await createUpload(port, SIZE)
  const connection = await RawConnection.open(port)
  await connection.patch(path, 0, SIZE).write(bytes)
  return { path, connection, sent: bytes.length }
}

/** Sends until the connection ends; resolves to what was acknowledged. */
async function flood ({ port }: ServerProcess, bytes: Buffer, spare = 0): Promise<{ path: string, done: Promise<number> }> {
  const path = await createUpload(port, bytes.length + spare)
  const connection = await RawConnection.open(port)
  connection.patch(path, 0, bytes.length + spare)
  const send = async () => {
    for (let at = 0; at < bytes.length && !connection.answered && await connection.write(bytes.subarray(at, at + PIECE));) at += PIECE
    const response = await connection.response()
    connection.close()
    return Number(response?.headers['upload-offset'] ?? 0)
  }
  return { path, done: send() }
}

/** Sends the rest, and compares what is stored with what was sent. */
async function finish (t: Test, { port }: ServerProcess, path: string, bytes: Buffer, offset: number): Promise<void> {
  const connection = await RawConnection.open(port)
  const rest = bytes.subarray(offset)
  await connection.patch(path, offset, rest.length).write(rest)
  const response = await connection.response()
  connection.close()
  const stored = await download(`http://127.0.0.1:${port}${path}`)
  t.strictSame({ status: response?.status, ...stored }, { status: 204, size: bytes.length, sha256: sha256(bytes) }, 'the upload goes on, and its bytes are right')
}
