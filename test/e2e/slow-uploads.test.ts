import t, { type Test } from 'tap'
import { makeRandom } from '../support/proxy-random.js'
import { ServerProcess } from '../support/server-process.js'
import { download, makeBytes, sha256 } from '../support/tus-client-bytes.js'
import { RawConnection, ask, askOffset, createUpload } from '../support/tus-client-raw.js'
import { createGate, sleep, until } from '../support/waiting.js'

// 200 clients on bad lines, one chunk a second each, and nobody else notices.

const MIB = 1024 * 1024
const UPLOADS = 200
const CHUNK = 64 * 1024
const CHUNKS = 8
const SIZE = CHUNK * CHUNKS
const HEADS = 1000

t.test('200 slow uploads hold under 150 MiB, and 1000 HEADs during them answer', async t => {
  const server = await ServerProcess.start(t)
  const bytes = makeBytes(1, SIZE)
  const paths = await createMany(server, UPLOADS)
  const others = await createMany(server, 40)
  const asked = createGate()
  const statuses = Promise.all(paths.map(async (path, index) => {
    await sleep(index * 1000 / UPLOADS)
    return sendSlowly(server, path, bytes, asked.passed)
  }))
  await Promise.all(paths.map(path => server.waitForBytes(path, 1)))

  report(t, await askMany(server, others))
  asked.open()
  t.strictSame(new Set(await statuses), new Set([204]), 'every slow upload went through in one request')
  t.ok(server.getPeakMemory() < 150 * MIB, `${Math.round(server.getPeakMemory() / MIB)} MiB were resident at most`)
  await checkAll(t, server, paths, bytes)
  await until('no other connection is left', () => server.countConnections() <= 1)
})

t.test('1000 HEADs on running uploads wait for none of them, and the uploads go on', async t => {
  const random = makeRandom(t)
  const server = await ServerProcess.start(t)
  const bytes = makeBytes(2, SIZE)
  const paths = await createMany(server, UPLOADS)
  const asked = createGate()
  const sending = Promise.all(paths.map(async (path, index) => {
    await sleep(index * 1000 / UPLOADS)
    return resumeSlowly(server, path, bytes, asked.passed)
  }))
  await Promise.all(paths.map(path => server.waitForBytes(path, 1)))

  report(t, await askMany(server, Array.from({ length: HEADS }, () => random.pick(paths))))
  asked.open()
  const resumed = (await sending).reduce((sum, count) => sum + count, 0)
  t.ok(resumed > 100, `requests were asked to leave ${resumed} times`)
  t.ok(server.getPeakMemory() < 150 * MIB, `${Math.round(server.getPeakMemory() / MIB)} MiB were resident at most`)
  await checkAll(t, server, paths, bytes)
  await until('no other connection is left', () => server.countConnections() <= 1)
})

async function createMany ({ port }: ServerProcess, count: number): Promise<string[]> {
  const paths = []
  for (let index = 0; index < count; index++) paths.push(await createUpload(port, SIZE))
  return paths
}

/** One `PATCH`, a chunk a second, the last one not before `asked`; the status of its response. */
async function sendSlowly ({ port }: ServerProcess, path: string, bytes: Buffer, asked: Promise<void>): Promise<number | undefined> {
  const connection = await RawConnection.open(port)
  connection.patch(path, 0, bytes.length)
  for (let at = 0; at < bytes.length; at += CHUNK) {
    if (at > 0) await sleep(1000)
    if (at + CHUNK >= bytes.length) await asked
    if (connection.answered) break
    await connection.write(bytes.subarray(at, at + CHUNK))
  }
  const response = await connection.response()
  connection.close()
  return response?.status
}

/** As many `PATCH`es as it takes, a chunk a second, the last one not before `asked`; how often it was asked to leave. */
async function resumeSlowly ({ port }: ServerProcess, path: string, bytes: Buffer, asked: Promise<void>): Promise<number> {
  for (let offset = 0, left = 0; ; left++) {
    const connection = await RawConnection.open(port)
    connection.patch(path, offset, bytes.length - offset)
    while (offset < bytes.length && !connection.answered) {
      const end = Math.min(offset + CHUNK, bytes.length)
      if (end === bytes.length) await Promise.race([asked, connection.ended])
      if (connection.answered) break
      await connection.write(bytes.subarray(offset, end))
      offset = end
      if (offset < bytes.length) await sleep(1000)
    }
    const response = await connection.response()
    connection.close()
    if (response?.status === 204) return left
    if (response?.status !== 423) throw new Error(`PATCH answers ${response?.status ?? 'nothing'}`)
    offset = Number(response.headers['upload-offset'])
  }
}

function report (t: Test, latencies: readonly number[]): void {
  t.comment(`${latencies.length} HEADs answered, half within ${latencies[HEADS / 2]} ms, all within ${latencies.at(-1)} ms`)
}

/** Asks for offsets, a thousand times over five seconds; how long each took, in ms, in order. One that had to wait for a slow body would get 423. */
async function askMany ({ port }: ServerProcess, paths: readonly string[]): Promise<number[]> {
  const latencies = await Promise.all(Array.from({ length: HEADS }, async (_, index) => {
    await sleep(index * 5)
    const start = performance.now()
    const response = await ask(port, 'HEAD', paths[index % paths.length]!)
    if (response?.status !== 200) throw new Error(`HEAD answers ${response?.status ?? 'nothing'}`)
    return Math.round(performance.now() - start)
  }))
  return latencies.sort((a, b) => a - b)
}

async function checkAll (t: Test, server: ServerProcess, paths: readonly string[], bytes: Buffer): Promise<void> {
  const wrong = []
  for (const path of paths) {
    const offset = await askOffset(server.port, path)
    const stored = offset === bytes.length ? await download(`http://127.0.0.1:${server.port}${path}`) : null
    if (stored?.sha256 !== sha256(bytes)) wrong.push({ path, offset })
  }
  t.strictSame(wrong, [], 'all uploads are complete and right')
}
