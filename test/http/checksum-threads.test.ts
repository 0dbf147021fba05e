import { createHash } from 'node:crypto'
import { once } from 'node:events'
import t, { type Test } from 'tap'
import type { Worker } from 'node:worker_threads'
import { crc32 } from 'node:zlib'
import { THREAD_NAME } from '../../lib/digest-thread.js'
import { startApp, type TestApp } from '../support/app.js'
import { BYTES, TUS, createUpload, getOffset, makeBytes, patch, until } from '../support/http-tus.js'
import { formatHead, openRaw, type RawClient, type RawResponse } from '../support/raw-socket.js'
import { spawnNode } from '../support/server-process.js'

const CONTENT = makeBytes(5_000_001)
const SPOILT = Buffer.from(CONTENT).fill(0, 4_900_000, 4_900_001)

function checksum (algorithm: string, content: Buffer): string {
  if (algorithm !== 'crc32') return `${algorithm} ${createHash(algorithm).update(content).digest('base64')}`
  const digest = Buffer.alloc(4)
  digest.writeUInt32BE(crc32(content))
  return `${algorithm} ${digest.toString('base64')}`
}

interface Server extends TestApp {
  /** Those that it started. */
  readonly threads: readonly Worker[]
  /** How often one of them said something; the first word of each is that it runs. */
  heard(): number
}

async function start (t: Test, digestThreads = 1): Promise<Server> {
  const threads: Worker[] = []
  let heard = 0
  onThread(t, thread => {
    threads.push(thread)
    thread.on('message', () => { heard++ })
  })
  return { ...await startApp(t, { digestThreads }), threads, heard: () => heard }
}

/** Hears of threads for digests when they are made. Where Node tells of those that load modules, it tells all names, too. */
function onThread (t: Test, hear: (thread: Worker) => void): void {
  const listen = (thread: Worker & { threadName?: string | null }) => {
    if (thread.threadName === undefined || thread.threadName === THREAD_NAME) hear(thread)
  }
  process.on('worker', listen)
  t.teardown(() => { process.off('worker', listen) })
}

interface Sending {
  readonly url: string
  readonly value: string
  readonly content?: Buffer
}

/** Sends the head of a PATCH with a checksum in front of its body. */
async function begin (t: Test, port: number, { url, value }: Sending): Promise<RawClient> {
  const client = openRaw(t, port)
  await client.send(formatHead('PATCH', url, { ...TUS, ...BYTES, 'upload-offset': '0', 'content-length': String(CONTENT.length), 'upload-checksum': value }))
  return client
}

async function send (t: Test, port: number, sending: Sending): Promise<RawResponse | null> {
  const client = await begin(t, port, sending)
  await client.send(sending.content ?? CONTENT)
  return client.receive('PATCH')
}

/** The same with the checksum behind the body. */
async function sendTrailing (t: Test, port: number, { url, value, content = CONTENT }: Sending): Promise<RawResponse | null> {
  const client = openRaw(t, port)
  await client.send(formatHead('PATCH', url, { ...TUS, ...BYTES, 'upload-offset': '0', 'transfer-encoding': 'chunked', trailer: 'Upload-Checksum' }))
  for (const chunk of [content.subarray(0, 1), content.subarray(1, 3_000_000), content.subarray(3_000_000)]) {
    await client.send(Buffer.concat([Buffer.from(`${chunk.length.toString(16)}\r\n`), chunk, Buffer.from('\r\n')]))
  }
  await client.send(`0\r\nUpload-Checksum: ${value}\r\n\r\n`)
  return client.receive('PATCH')
}

function create ({ app }: TestApp): Promise<string> {
  return createUpload(app, { 'upload-length': String(CONTENT.length) })
}

for (const algorithm of ['sha1', 'sha256', 'sha512', 'md5', 'crc32']) {
  for (const [place, sendTo] of [['in front of', send], ['behind', sendTrailing]] as const) {
    t.test(`${algorithm}, ${place} a large body: a wrong one is refused, the right one is stored`, async t => {
      const server = await start(t)
      const url = await create(server)
      const value = checksum(algorithm, CONTENT)
      t.match(await sendTo(t, server.port, { url, value, content: SPOILT }), { status: 460 })
      t.equal(await getOffset(server.app, url), '0')
      t.match(await sendTo(t, server.port, { url, value }), { status: 204, headers: { 'upload-offset': String(CONTENT.length) } })
      t.ok((await server.app.inject(url)).rawPayload.equals(CONTENT))
      t.equal(server.threads.length, algorithm === 'crc32' && place === 'in front of' ? 0 : 1, 'what is quick needs no thread')
    })
  }
}

t.test('small bodies need no thread, and without threads neither do large ones', async t => {
  const helped = await start(t)
  const small = CONTENT.subarray(0, 1_000_000)
  const url = await create(helped)
  t.equal((await patch(helped.app, url, 0, small, { 'upload-checksum': checksum('sha1', small) })).statusCode, 204)
  t.equal(helped.threads.length, 0)
  const alone = await start(t, 0)
  const sending = { url: await create(alone), value: checksum('sha1', CONTENT) }
  t.match(await send(t, alone.port, { ...sending, content: SPOILT }), { status: 460 })
  t.match(await send(t, alone.port, sending), { status: 204 })
  t.equal(alone.threads.length, 0)
})

t.test('many bodies at once share the threads, and a wrong one is the only one that is refused', async t => {
  const server = await start(t, 2)
  const value = checksum('sha1', CONTENT)
  const statuses = await Promise.all(Array.from({ length: 16 }, async (_, index) => {
    const url = await create(server)
    return (await send(t, server.port, { url, value, content: index === 7 ? SPOILT : CONTENT }))!.status
  }))
  t.strictSame(statuses, Array.from(statuses, (_, index) => index === 7 ? 460 : 204))
  t.ok(server.threads.length >= 1 && server.threads.length <= 2, `${server.threads.length} threads`)
})

t.test('clients that leave in the middle leave nothing behind: the thread goes on with others', async t => {
  const server = await start(t)
  const value = checksum('sha1', CONTENT)
  let failed = 0
  server.app.tus.addHook('postFail', () => { failed++ })
  const urls = await Promise.all(Array.from({ length: 12 }, async () => {
    const url = await create(server)
    const client = await begin(t, server.port, { url, value })
    await client.send(CONTENT.subarray(0, 4_500_000))
    client.reset()
    return url
  }))
  await until('all have been given up', () => failed === urls.length)
  for (const url of urls) t.equal(await getOffset(server.app, url), '0')
  for (const url of urls.slice(0, 2)) t.match(await send(t, server.port, { url, value }), { status: 204 })
  t.equal(server.threads.length, 1)
})

t.test('where a thread ends in the middle, the body counts for nothing, and the next try works without it', async t => {
  const server = await start(t)
  const sending = { url: await create(server), value: checksum('sha1', CONTENT) }
  const client = await begin(t, server.port, sending)
  await client.send(CONTENT.subarray(0, 4_500_000))
  await until('the thread has read some of it', () => server.heard() > 1)
  await server.threads[0]!.terminate()
  await client.send(CONTENT.subarray(4_500_000))
  const answer = await client.receive('PATCH')
  t.equal(answer?.status, 503)
  t.match(JSON.parse(answer!.body), { code: 'TUS_ERR_CHECKSUM_UNAVAILABLE' })
  t.equal(await getOffset(server.app, sending.url), '0')
  t.match(await send(t, server.port, { ...sending, content: SPOILT }), { status: 460 })
  t.match(await send(t, server.port, sending), { status: 204 })
  t.ok((await server.app.inject(sending.url)).rawPayload.equals(CONTENT))
  t.equal(server.threads.length, 1)
})

t.test('where a thread ends before it runs, the body does without it', async t => {
  const server = await start(t)
  onThread(t, thread => { thread.terminate() })
  const sending = { url: await create(server), value: checksum('sha1', CONTENT) }
  t.match(await send(t, server.port, { ...sending, content: SPOILT }), { status: 460 })
  t.match(await send(t, server.port, sending), { status: 204 })
  t.equal(server.heard(), 0)
})

t.test('the threads end with the server', async t => {
  const server = await start(t)
  t.match(await send(t, server.port, { url: await create(server), value: checksum('sha1', CONTENT) }), { status: 204 })
  t.not(server.threads[0]!.threadId, -1)
  await server.app.close()
  t.equal(server.threads[0]!.threadId, -1)
})

/** Verifies a large body in a process that does nothing to end itself, and gives what that printed. */
async function runAlone (...flags: string[]): Promise<{ code: unknown, stdout: string, stderr: string }> {
  const child = spawnNode([...flags, '--input-type=module', '--eval', `
    import fastify from 'fastify'
    import { createHash } from 'node:crypto'
    import fastifyTus from './dist/lib/index.js'
    import { createMemoryStorage } from './dist/adapters/memory/index.js'
    const app = fastify()
    await app.register(fastifyTus, { storage: createMemoryStorage(), digestThreads: 1 })
    const payload = Buffer.alloc(6_000_000, 'x')
    process.on('worker', () => console.log('a thread'))
    const headers = { 'tus-resumable': '1.0.0', 'content-type': 'application/offset+octet-stream', 'upload-length': '6000000' }
    const value = createHash('sha1').update(payload).digest('base64')
    console.log((await app.inject({ method: 'POST', url: '/files', headers: { ...headers, 'upload-checksum': 'sha1 ' + value }, payload })).statusCode)
  `])
  const output = { stdout: '', stderr: '' }
  child.stdout!.on('data', text => { output.stdout += text })
  child.stderr!.on('data', text => { output.stderr += text })
  const [code] = await once(child, 'close')
  return { code, ...output }
}

t.test('a process waits for its bodies and not for its threads, which load nothing of the application', async t => {
  const loader = `data:text/javascript,${encodeURIComponent('console.log("loaded")')}`
  t.strictSame(await runAlone('--import', loader), { code: 0, stdout: 'loaded\na thread\n201\n', stderr: '' })
})

const PERMISSION = ['--permission', '--experimental-permission'].find(flag => process.allowedNodeEnvironmentFlags.has(flag))

t.test('where Node may not start threads, bodies are verified all the same', { skip: PERMISSION === undefined && 'this Node has no permissions' }, async t => {
  t.match(await runAlone(PERMISSION!, '--allow-fs-read=*'), { code: 0, stdout: '201\n' })
})
