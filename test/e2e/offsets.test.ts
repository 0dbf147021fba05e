import t, { type Test } from 'tap'
import { makeRandom, type Random } from '../support/proxy-random.js'
import { Proxy } from '../support/proxy.js'
import { Chaos } from '../support/server-chaos.js'
import { ServerProcess } from '../support/server-process.js'
import { download, makeBytes, sha256 } from '../support/tus-client-bytes.js'
import { RawConnection, askOffset, createUpload } from '../support/tus-client-raw.js'
import { Journal } from '../support/tus-client.js'
import { sleep, until } from '../support/waiting.js'

// An acknowledged offset never decreases: it is read after every acknowledgement and after every kill.

const MIB = 1024 * 1024

t.test('no acknowledged offset decreases through cuts, lost answers, takeovers and kills', async t => {
  const random = makeRandom(t)
  const bytes = makeBytes(random.seed, 24 * MIB + 1)
  const server = await ServerProcess.start(t)
  const proxy = await Proxy.start(t, { target: server.port, random, mean: 0.7 * bytes.length / 40, most: 40 })
  const { path, journal } = await create(server, bytes.length)
  const chaos = new Chaos({ server, proxy, journals: [journal], after: Array.from({ length: 8 }, (_, index) => bytes.length * (index + 1) / 10) })

  const patches = { sent: 0, acknowledged: 0 }
  while (journal.offset < bytes.length) {
    patches.sent++
    const acknowledged = await sendSome({ port: proxy.port, server, path, journal, bytes, random })
    const before = journal.offset
    const offset = await askUntilAnswered(server, path)
    journal.learnt(offset, before, 'HEAD')
    if (!acknowledged) continue
    patches.acknowledged++
    if (offset < before) break
  }
  await chaos.settle()
  t.comment(`${JSON.stringify(proxy.cuts)}, ${chaos.kills} kills, ${JSON.stringify(patches)}, ${journal.acknowledgements} acknowledgements`)

  t.equal(chaos.kills, 8)
  t.ok(proxy.cutCount >= 20, `${proxy.cutCount} cuts`)
  await checkBytes(t, server, { path, journal, bytes })
})

t.test('what was acknowledged a moment before the server is killed is there afterwards', async t => {
  const random = makeRandom(t)
  const bytes = makeBytes(random.seed, 6 * 200_000)
  const server = await ServerProcess.start(t)
  const { path, journal } = await create(server, bytes.length)

  while (journal.offset < bytes.length) {
    const connection = await RawConnection.open(server.port)
    connection.patch(path, journal.offset, 200_000)
    await connection.write(bytes.subarray(journal.offset, journal.offset + 200_000))
    const response = await connection.response()
    await server.kill('SIGKILL')
    if (!t.equal(response?.status, 204)) break
    const acknowledged = Number(response?.headers['upload-offset'])
    await server.restart()
    if (!t.equal(await askOffset(server.port, path), acknowledged)) break
    journal.learnt(acknowledged, journal.offset, 'PATCH')
  }
  await checkBytes(t, server, { path, journal, bytes })
})

t.test('of clients that race for one upload one at a time goes on, and no byte comes twice', async t => {
  const random = makeRandom(t)
  const bytes = makeBytes(random.seed, 3 * MIB)
  const server = await ServerProcess.start(t)
  const { path, journal } = await create(server, bytes.length)
  const statuses: Record<string, number> = {}

  const race = async () => {
    while (journal.offset < bytes.length) {
      const offset = journal.offset
      const connection = await RawConnection.open(server.port)
      const length = Math.min(random.between(1, 128 * 1024), bytes.length - offset)
      connection.patch(path, offset, length)
      await connection.write(bytes.subarray(offset, offset + length))
      const response = await connection.response()
      connection.close()
      statuses[response?.status ?? 'none'] = (statuses[response?.status ?? 'none'] ?? 0) + 1
      if (response?.status === 204 && Number(response.headers['upload-offset']) !== offset + length) journal.decreases.push('a PATCH counted wrong')
      // Answers of several connections arrive in any order: each is compared with what was known when it was asked for.
      if (response?.headers['upload-offset'] !== undefined) journal.learnt(Number(response.headers['upload-offset']), offset, `PATCH ${response.status}`)
      await sleep(random.between(0, 10))
    }
  }
  await Promise.all([race(), race(), race(), race()])
  t.comment(JSON.stringify(statuses))

  t.strictSame(Object.keys(statuses).filter(status => !['204', '409', '423'].includes(status)), [], 'the losers are told 409 or 423')
  await checkBytes(t, server, { path, journal, bytes })
})

async function create (server: ServerProcess, length: number): Promise<{ path: string, journal: Journal }> {
  const path = await createUpload(server.port, length)
  const journal = new Journal()
  journal.url = new URL(path, server.url).href
  return { path, journal }
}

interface Sending {
  readonly port: number
  readonly server: ServerProcess
  readonly path: string
  readonly journal: Journal
  readonly bytes: Buffer
  readonly random: Random
}

/** One `PATCH` of some bytes in some pieces, now and then disturbed by a `HEAD`; whether it was acknowledged. */
async function sendSome ({ port, server, path, journal, bytes, random }: Sending): Promise<boolean> {
  const connection = await RawConnection.open(port).catch(() => null)
  if (connection === null) return false
  const start = journal.offset
  const end = start + random.between(1, Math.min(2 * MIB, bytes.length - start))
  const disturbed = random.next() < 0.1 ? random.between(start, end) : Infinity
  try {
    connection.patch(path, start, end - start)
    for (let at = start; at < end && !connection.answered;) {
      const piece = bytes.subarray(at, Math.min(end, at + random.between(1, 256 * 1024)))
      if (at <= disturbed && disturbed < at + piece.length) await disturb(server, path, journal)
      if (!await connection.write(piece)) break
      at += piece.length
    }
    const response = await connection.response()
    const offset = response?.headers['upload-offset']
    if (offset !== undefined) journal.learnt(Number(offset), start, `PATCH ${response!.status}`)
    return response?.status === 204
  } finally {
    connection.close()
  }
}

/** Asks for the offset while a `PATCH` is on its way, so that it has to leave. */
async function disturb (server: ServerProcess, path: string, journal: Journal): Promise<void> {
  const before = journal.offset
  const offset = await askOffset(server.port, path)
  if (offset !== null) journal.learnt(offset, before, 'HEAD during a PATCH')
}

async function askUntilAnswered (server: ServerProcess, path: string): Promise<number> {
  let offset: number | null = null
  await until('the server is back', async () => (offset = await askOffset(server.port, path)) !== null)
  return offset!
}

async function checkBytes (t: Test, server: ServerProcess, { path, journal, bytes }: { path: string, journal: Journal, bytes: Buffer }): Promise<void> {
  t.strictSame(journal.decreases, [], `none of ${journal.acknowledgements} acknowledged offsets decreased`)
  t.equal(journal.offset, bytes.length)
  t.strictSame(await download(`http://127.0.0.1:${server.port}${path}`), { size: bytes.length, sha256: sha256(bytes) })
}
