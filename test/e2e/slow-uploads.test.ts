import { setTimeout as sleep } from 'node:timers/promises'
import t, { type Test } from 'tap'
import { makeRandom } from '../support/proxy-random.js'
import { eventually } from '../support/server-chaos.js'
import { ServerProcess } from '../support/server-process.js'
import { download, makeBytes, sha256 } from '../support/tus-client-bytes.js'
import { RawConnection, ask, askOffset, createUpload } from '../support/tus-client-raw.js'

// 200 clients on bad lines, one chunk a second each, and nobody else notices.

const MIB = 1024 * 1024
const UPLOADS = 200
const CHUNK = 64 * 1024
const CHUNKS = 8
const SIZE = CHUNK * CHUNKS
const HEADS = 1000
/** A request that had to wait for a slow body would take longer, in ms; one on a busy machine takes less. */
const STUCK = 6000

t.test('200 slow uploads hold under 150 MiB, and 1000 HEADs during them answer', async t => {
  const server = await ServerProcess.start(t)
  const bytes = makeBytes(1, SIZE)
  const paths = await createMany(server, UPLOADS)
  const others = await createMany(server, 40)
  const statuses = Promise.all(paths.map(async (path, index) => {
    await sleep(index * 1000 / UPLOADS)
    return sendSlowly(server, path, bytes)
  }))
  await sleep(1500)

  const latencies = await askMany(server, others)
  t.ok(latencies.at(-1)! < STUCK, `${latencies.length} HEADs answered, half within ${latencies[HEADS / 2]} ms, all within ${latencies.at(-1)} ms`)
  t.strictSame(new Set(await statuses), new Set([204]), 'every slow upload went through in one request')
  t.ok(server.getPeakMemory() < 150 * MIB, `${Math.round(server.getPeakMemory() / MIB)} MiB were resident at most`)
  await checkAll(t, server, paths, bytes)
  t.ok(await eventually(() => server.countConnections() <= 1, 10_000), `${server.countConnections()} connections are left`)
})

t.test('1000 HEADs on running uploads wait for none of them, and the uploads go on', async t => {
  const random = makeRandom(t)
  const server = await ServerProcess.start(t)
  const bytes = makeBytes(2, SIZE)
  const paths = await createMany(server, UPLOADS)
  const sending = Promise.all(paths.map(async (path, index) => {
    await sleep(index * 1000 / UPLOADS)
    return resumeSlowly(server, path, bytes)
  }))
  await sleep(1500)

  const latencies = await askMany(server, Array.from({ length: HEADS }, () => random.pick(paths)))
  t.ok(latencies.at(-1)! < STUCK, `${latencies.length} HEADs answered, half within ${latencies[HEADS / 2]} ms, all within ${latencies.at(-1)} ms`)
  const resumed = (await sending).reduce((sum, count) => sum + count, 0)
  t.ok(resumed > 100, `requests were asked to leave ${resumed} times`)
  t.ok(server.getPeakMemory() < 150 * MIB, `${Math.round(server.getPeakMemory() / MIB)} MiB were resident at most`)
  await checkAll(t, server, paths, bytes)
  t.ok(await eventually(() => server.countConnections() <= 1, 10_000), `${server.countConnections()} connections are left`)
})

async function createMany ({ port }: ServerProcess, count: number): Promise<string[]> {
  const paths = []
  for (let index = 0; index < count; index++) paths.push(await createUpload(port, SIZE))
  return paths
}

/** One `PATCH`, a chunk a second; the status of its response. */
async function sendSlowly ({ port }: ServerProcess, path: string, bytes: Buffer): Promise<number | undefined> {
  const connection = await RawConnection.open(port)
  connection.patch(path, 0, bytes.length)
  for (let at = 0; at < bytes.length; at += CHUNK) {
    if (at > 0) await sleep(1000)
    if (connection.answered) break
    await connection.write(bytes.subarray(at, at + CHUNK))
  }
  const response = await connection.response()
  connection.close()
  return response?.status
}

/** As many `PATCH`es as it takes, a chunk a second; how often it was asked to leave. */
async function resumeSlowly ({ port }: ServerProcess, path: string, bytes: Buffer): Promise<number> {
  for (let offset = 0, left = 0; ; left++) {
    const connection = await RawConnection.open(port)
    connection.patch(path, offset, bytes.length - offset)
    while (offset < bytes.length && !connection.answered) {
      const end = Math.min(offset + CHUNK, bytes.length)
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

/** Asks for offsets, a thousand times over five seconds; how long each took, in ms, in order. */
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
