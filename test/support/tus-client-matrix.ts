import { createReadStream } from 'node:fs'
import { readFile } from 'node:fs/promises'
import { join } from 'node:path'
import { Readable } from 'node:stream'
import type { Test } from 'tap'
import { makeDirectory } from './app.js'
import { makeRandom } from './proxy-random.js'
import { Proxy } from './proxy.js'
import { Chaos } from './server-chaos.js'
import { ServerProcess } from './server-process.js'
import { download, generateBytes, makeBytes, sha256, writeBytes } from './tus-client-bytes.js'
import { askOffset } from './tus-client-raw.js'
import { Journal, upload, type Library } from './tus-client.js'
import { until } from './waiting.js'

const MIB = 1024 * 1024
/** What the uploads of the matrix bring, in bytes; `FASTIFY_TUS_E2E_MIB=300` raises them all. */
const SIZE = Number(process.env.FASTIFY_TUS_E2E_MIB ?? 48) * MIB
/** What one in another protocol brings. */
const DRAFT_SIZE = Number(process.env.FASTIFY_TUS_E2E_MIB ?? 24) * MIB
/** No multiple of anything: the end of a stream lies within its last chunk. */
const ODD = 12_345

interface Mode {
  readonly name: string
  readonly size: number
  readonly options?: object
  /** How tus-js-client gets the file. Default: as a path. */
  readonly input?: (path: string, size: number) => unknown
  readonly cuts?: number
  readonly kills?: number
  /** Of the server; with `--s3-bucket`, its uploads are there. */
  readonly flags?: readonly string[]
}

const asPath = (path: string) => createReadStream(path)
const asStream = (_path: string, size: number) => Readable.from(generateBytes(size, size), { objectMode: false })
const asBuffer = (path: string) => readFile(path)

const PLAIN = 'in one request'
const MODES: readonly Mode[] = [
  { name: PLAIN, size: SIZE },
  { name: 'with chunkSize', size: SIZE + ODD, options: { chunkSize: 3 * MIB } },
  { name: 'with chunkSize, from memory', size: SIZE + ODD, options: { chunkSize: 3 * MIB }, input: asBuffer },
  { name: 'with uploadDataDuringCreation and chunkSize', size: SIZE + ODD, options: { uploadDataDuringCreation: true, chunkSize: 2 * MIB } },
  // A creation that is cut begins anew, because the client never learns the URL: only a few cuts, or it would never end.
  { name: 'with uploadDataDuringCreation', size: SIZE + ODD, options: { uploadDataDuringCreation: true }, cuts: 4, kills: 1 },
  { name: 'as a stream of deferred length', size: SIZE + ODD, options: { uploadLengthDeferred: true, chunkSize: 2 * MIB }, input: asStream },
  { name: 'with overridePatchMethod', size: SIZE + ODD, options: { overridePatchMethod: true } }
]

/**
 * Lets one version of tus-js-client upload through a proxy that cuts its connections, to a server that is killed and started
 * again, in every mode that it has.
 *
 * @param largest how many bytes the upload in one request brings
 */
export async function testClient (t: Test, library: Library, largest = SIZE): Promise<void> {
  for (const mode of MODES) {
    const size = mode.name === PLAIN ? largest : mode.size
    await t.test(`${size} bytes ${mode.name}`, t => uploadInterrupted(t, library, { ...mode, size }))
  }
  await t.test('empty files', t => uploadSmall(t, library, { sizes: Array(24).fill(0) }))
  await t.test('files of 1 byte', t => uploadSmall(t, library, { sizes: Array(24).fill(1) }))
  await t.test('40 small files in parallel', t => {
    const sizes = Array.from({ length: 40 }, (_, index) => 1 + (index * 7919 * 13) % (512 * 1024))
    return uploadSmall(t, library, { sizes, parallel: 40 })
  })
  await t.test('in parts that are uploaded in parallel', t => uploadParts(t, library))
  await t.test('goes on within a second when the server did not notice that the connection is gone', t => uploadStalled(t, library))
  await t.test('goes on where it was when the server stops in order and starts again', t => uploadDrained(t, library))
}

/**
 * One upload in one of the other protocols that the client speaks, through 20 cuts and more, and kills of the server.
 *
 * @param flags of the server
 */
export async function testProtocol (t: Test, library: Library, protocol: string, flags: readonly string[] = []): Promise<void> {
  await uploadInterrupted(t, library, { name: protocol, size: DRAFT_SIZE, options: { protocol }, kills: 3, flags })
}

async function uploadInterrupted (t: Test, library: Library, { size, options = {}, input = asPath, cuts = 24, kills = 5, flags = [] }: Mode): Promise<void> {
  const random = makeRandom(t)
  const path = join(await makeDirectory(t), 'file')
  const hash = await writeBytes(path, size, size)
  const server = await ServerProcess.start(t, { flags })
  const proxy = await Proxy.start(t, { target: server.port, random, mean: 0.7 * size / cuts, most: cuts })
  const journal = new Journal()
  const chaos = new Chaos({ server, proxy, journals: [journal], after: spread(kills, 0.9 * size) })

  const start = performance.now()
  await upload({ library, input: await input(path, size), endpoint: `http://127.0.0.1:${proxy.port}/files`, options, journal })
  await chaos.settle()
  t.comment(`${Math.round(performance.now() - start)} ms; ${describe(proxy, chaos, journal)}`)

  t.ok(proxy.cutCount >= Math.min(cuts, 20), `the connection was cut ${proxy.cutCount} times`)
  t.equal(chaos.kills, kills, `the server was killed ${kills} times`)
  await checkUpload(t, server, journal, { size, hash })
  // One that keeps its uploads on S3 has connections of its own, which are open for a while.
  if (flags.length === 0) await checkConnections(server, proxy)
}

/** Small files, so small that it is the requests themselves that are cut. */
async function uploadSmall (t: Test, library: Library, { sizes, parallel = 1 }: { sizes: readonly number[], parallel?: number }): Promise<void> {
  const random = makeRandom(t)
  const server = await ServerProcess.start(t)
  // At least so many bytes go through the proxy: a POST, and a PATCH where there is something to send.
  const total = sizes.reduce((sum, size) => sum + (size === 0 ? 130 : 300 + size), 0)
  const proxy = await Proxy.start(t, { target: server.port, random, mean: 0.7 * total / 24, most: 24 })
  const journals = sizes.map(() => new Journal())
  const chaos = new Chaos({ server, proxy, journals, after: spread(3, 0.8 * total) })

  const queue = [...sizes.keys()]
  const work = async () => {
    for (let index; (index = queue.shift()) !== undefined;) {
      await upload({ library, input: makeBytes(index, sizes[index]!), endpoint: `http://127.0.0.1:${proxy.port}/files`, journal: journals[index]! })
    }
  }
  await Promise.all(Array.from({ length: parallel }, work))
  await chaos.settle()
  t.comment(describe(proxy, chaos, journals[0]!))

  t.ok(proxy.cutCount >= 5, `connections were cut ${proxy.cutCount} times`)
  t.equal(chaos.kills, 3, 'the server was killed 3 times')
  for (const [index, size] of sizes.entries()) {
    await checkUpload(t, server, journals[index]!, { size, hash: sha256(makeBytes(index, size)) })
  }
  await checkConnections(server, proxy)
}

async function uploadParts (t: Test, library: Library): Promise<void> {
  const size = 12 * MIB + ODD
  const random = makeRandom(t)
  const server = await ServerProcess.start(t)
  const { headers } = await fetch(server.url, { method: 'OPTIONS' })
  if (!headers.get('tus-extension')!.includes('concatenation')) {
    t.pass('parts become one upload', { skip: 'the server does not offer concatenation' })
    return
  }
  const path = join(await makeDirectory(t), 'file')
  const hash = await writeBytes(path, size, size)
  const proxy = await Proxy.start(t, { target: server.port, random, mean: 0.7 * size / 12, most: 12 })
  const journal = new Journal()
  const chaos = new Chaos({ server, proxy, journals: [], after: spread(2, 0.9 * size) })
  await upload({ library, input: createReadStream(path), endpoint: `http://127.0.0.1:${proxy.port}/files`, options: { parallelUploads: 3 }, journal })
  await chaos.settle()
  t.comment(describe(proxy, chaos, journal))

  t.equal(chaos.kills, 2, 'the server was killed 2 times')
  // The last that the client created is the whole.
  const { pathname } = new URL(journal.url!)
  t.strictSame(await download(`http://127.0.0.1:${server.port}${pathname}`), { size, sha256: hash })
}

async function uploadStalled (t: Test, library: Library): Promise<void> {
  const size = 24 * MIB
  const random = makeRandom(t)
  const path = join(await makeDirectory(t), 'file')
  const hash = await writeBytes(path, size, size)
  const server = await ServerProcess.start(t)
  const proxy = await Proxy.start(t, { target: server.port, random, mean: 0.7 * size / 20, most: 20, ways: ['stall'] })
  const journal = await upload({ library, input: createReadStream(path), endpoint: `http://127.0.0.1:${proxy.port}/files` })

  t.equal(proxy.cuts.stall, 20)
  // One that had to wait for the stalled body would be told that the upload is in use.
  t.notOk(Object.keys(journal.failures).some(failure => failure.includes('423')), `${journal}`)
  await checkUpload(t, server, journal, { size, hash })
  // The dead connections are still open at their other end: the server has to let go by itself.
  await until('the dead connections are closed', () => server.countConnections() <= proxy.connections - 20)
}

async function uploadDrained (t: Test, library: Library): Promise<void> {
  const size = 6 * MIB + ODD
  const random = makeRandom(t)
  const path = join(await makeDirectory(t), 'file')
  const hash = await writeBytes(path, size, size)
  const server = await ServerProcess.start(t)
  const proxy = await Proxy.start(t, { target: server.port, random, mean: size, most: 0 })
  const journals = Array.from({ length: 12 }, () => new Journal())
  const chaos = new Chaos({ server, proxy, journals, after: spread(4, 0.9 * size * journals.length), signal: 'SIGTERM' })
  await Promise.all(journals.map(journal => upload({ library, input: createReadStream(path), endpoint: `http://127.0.0.1:${proxy.port}/files`, journal })))
  await chaos.settle()
  for (const journal of journals) t.comment(`${journal}`)

  t.equal(chaos.kills, 4, 'the server was stopped 4 times')
  for (const journal of journals) await checkUpload(t, server, journal, { size, hash })
}

/** The bytes are right, the client never had to start over, and no acknowledged offset decreased. */
async function checkUpload (t: Test, server: ServerProcess, { url, created, decreases, acknowledgements }: Journal, { size, hash }: { size: number, hash: string }): Promise<void> {
  const { pathname } = new URL(url!)
  const offset = await askOffset(server.port, pathname)
  const stored = await download(`http://127.0.0.1:${server.port}${pathname}`)
  t.strictSame({ created, decreases, offset, stored }, { created: 1, decreases: [], offset: size, stored: { size, sha256: hash } },
    `one upload of ${size} bytes, as they were sent; ${acknowledgements} offsets acknowledged, none decreased`)
}

async function checkConnections (server: ServerProcess, proxy: Proxy): Promise<void> {
  await proxy.close()
  // The download above leaves one connection that is kept for more.
  await until('no other connection is left', () => server.countConnections() <= 1)
}

/** `count` places in an upload, in order. */
function spread (count: number, size: number): number[] {
  return Array.from({ length: count }, (_, index) => Math.round(size * (index + 1) / (count + 1)))
}

function describe (proxy: Proxy, chaos: Chaos, journal: Journal): string {
  return `${JSON.stringify(proxy.cuts)} in ${proxy.connections} connections, ${chaos.kills} kills; slowest HEAD ${Math.round(Math.max(0, ...journal.heads))} ms; ${journal}`
}
