import t from 'tap'
import { createBucket, createClient, getServer } from '../support/s3/bucket.js'
import { ServerProcess } from '../support/server-process.js'
import { download, makeBytes, sha256 } from '../support/tus-client-bytes.js'
import { RawConnection, askOffset, createUpload } from '../support/tus-client-raw.js'
import { until } from '../support/waiting.js'

// Clients that stall in the middle of a PATCH, as many as S3_STALLED says, and a fast one beside them. Together they have sent more than the budget of memory.

const MIB = 1024 ** 2
const STALLED = Number(process.env.S3_STALLED ?? 40)
/** The default of `serve`. */
const BUDGET = 256 * MIB
const SIZE = 16 * MIB
/** Less than a part: nothing but the budget moves it out of memory. */
const SENT = 7 * MIB
const FAST_SIZE = STALLED > 40 ? 256 * MIB : 64 * MIB

t.test(`${STALLED} stalled uploads hold neither the memory nor a fast one beside them`, async t => {
  const s3 = await getServer(t)
  Object.assign(process.env, { AWS_ACCESS_KEY_ID: s3.accessKeyId, AWS_SECRET_ACCESS_KEY: s3.secretAccessKey })
  const bucket = await createBucket(createClient(t, s3))
  const server = await ServerProcess.start(t, { flags: ['--s3-bucket', bucket, '--s3-endpoint', s3.endpoint] })
  const bytes = makeBytes(1, SIZE)
  await uploadFast(server)
  const alone = await uploadFast(server)

  const stalled = await stallMany(server, bytes)
  const beside = await uploadFast(server)
  t.equal(stalled.filter(({ connection }) => connection.answered || connection.socket.destroyed).length, 0, 'all others still stall')
  t.strictSame(await download(beside.url), { size: FAST_SIZE, sha256: beside.sha256 })
  const peak = server.getPeakMemory()
  t.ok(peak < BUDGET + 150 * MIB, `${Math.round(peak / MIB)} MiB were resident at most, with ${STALLED * SENT / MIB} MiB received of uploads that stall`)
  // The first one runs while the bytes of the others leave memory for S3.
  const later = await uploadFast(server)
  const compare = ({ rate }: Fast) => `${rate} MiB/s: ${Math.round(100 * rate / alone.rate)} %`
  t.comment(`alone ${alone.rate} MiB/s; beside them at first ${compare(beside)}, later ${compare(later)}; ${Math.round(peak / MIB)} MiB resident`)

  for (const { connection, path } of stalled.slice(0, 3)) {
    t.equal(await goOn(server, { path, connection }, bytes), 204, 'one that stalled goes on')
    t.strictSame(await download(`http://127.0.0.1:${server.port}${path}`), { size: SIZE, sha256: sha256(bytes) })
  }
  for (const { connection } of stalled) connection.close()
  await until('the connections of the clients are closed', () => server.countConnections() <= 20)
})

interface Stalled {
  readonly path: string
  readonly connection: RawConnection
}

async function stallMany ({ port }: ServerProcess, bytes: Buffer): Promise<Stalled[]> {
  const stalled: Stalled[] = []
  while (stalled.length < STALLED) {
    const path = await createUpload(port, SIZE)
    const connection = await RawConnection.open(port)
    connection.patch(path, 0, SIZE)
    await connection.write(bytes.subarray(0, SENT))
    stalled.push({ path, connection })
  }
  return stalled
}

/** The status. On a machine that was busy for long, it has stalled for too long, and goes on with another request. */
async function goOn ({ port }: ServerProcess, { path, connection }: Stalled, bytes: Buffer): Promise<number | undefined> {
  if (!connection.answered) {
    await connection.write(bytes.subarray(SENT))
    return (await connection.response())?.status
  }
  const offset = await askOffset(port, path) ?? 0
  const next = await RawConnection.open(port)
  await next.patch(path, offset, SIZE - offset).write(bytes.subarray(offset))
  const response = await next.response()
  next.close()
  return response?.status
}

interface Fast {
  readonly url: string
  readonly sha256: string
  /** In MiB/s. */
  readonly rate: number
}

async function uploadFast ({ port }: ServerProcess): Promise<Fast> {
  const bytes = makeBytes(2, FAST_SIZE)
  const path = await createUpload(port, FAST_SIZE)
  const connection = await RawConnection.open(port)
  const start = performance.now()
  connection.patch(path, 0, FAST_SIZE)
  await connection.write(bytes)
  const response = await connection.response()
  connection.close()
  if (response?.status !== 204) throw new Error(`PATCH answers ${response?.status ?? 'nothing'}`)
  return { url: `http://127.0.0.1:${port}${path}`, sha256: sha256(bytes), rate: Math.round(FAST_SIZE / MIB / (performance.now() - start) * 1000) }
}
