import assert from 'node:assert/strict'
import { once } from 'node:events'
import { request, type ClientRequest, type IncomingMessage } from 'node:http'
import t from 'tap'
import { BYTES, makeBytes, sleep, TUS, until, type Headers } from '../support/http-tus.js'
import { createBucket, createClient, getServer } from '../support/s3/bucket.js'
import { ServerProcess } from '../support/server-process.js'
import { download, sha256 } from '../support/tus-client-bytes.js'

// Two server processes and one bucket. The client goes to the other server with every request, while the one before still has a body of it in hand.
// As many uploads as S3_UPLOADS says, and others with another S3_SEED.

const MIB = 1024 ** 2
const UPLOADS = Number(process.env.S3_UPLOADS ?? 24)
const SEED = Number(process.env.S3_SEED ?? 0)
const CONTENT = makeBytes(14 * MIB)

interface Answer {
  readonly status: number
  readonly headers: IncomingMessage['headers']
}

function send (url: string, method: string, headers: Headers): { request: ClientRequest, answer: Promise<Answer | null> } {
  const sent = request(url, { method, headers: { ...TUS, ...headers }, agent: false })
  const answer = once(sent, 'response').then(([response]: IncomingMessage[]) => {
    response!.resume()
    return { status: response!.statusCode!, headers: response!.headers }
  }, () => null)
  sent.on('error', () => {})
  return { request: sent, answer }
}

async function ask (url: string, method: string, headers: Headers = {}): Promise<Answer> {
  const { request, answer } = send(url, method, headers)
  request.end()
  const found = await answer
  if (found === null) throw new Error(`${method} ${url} was not answered`)
  return found
}

/** Whole numbers that look random, the same at every run. */
function createRandom (seed: number): (below: number) => number {
  let state = seed + 1
  return below => {
    state = (state * 48271) % 2147483647
    return state % below
  }
}

t.test('a client that moves between two machines with every request, while the old one still drains, gets what it sent', async t => {
  const server = await getServer(t)
  Object.assign(process.env, { AWS_ACCESS_KEY_ID: server.accessKeyId, AWS_SECRET_ACCESS_KEY: server.secretAccessKey })
  const bucket = await createBucket(createClient(t, server))
  const flags = ['--s3-bucket', bucket, '--s3-endpoint', server.endpoint, '--s3-part-size', '5MiB']
  const machines = await Promise.all([0, 1].map(() => ServerProcess.start(t, { flags })))
  const statuses: Record<string, number> = {}
  const note = ({ status }: Answer) => { statuses[status] = (statuses[status] ?? 0) + 1 }

  const upload = async (index: number) => {
    const random = createRandom(index + SEED * 1000)
    const content = CONTENT.subarray(0, index % 4 === 0 ? MIB + random(13 * MIB) : random(300_000))
    let turn = index
    const turnUrl = (path: string) => `http://127.0.0.1:${machines[turn++ % 2]!.port}${path}`
    const created = await ask(turnUrl('/files'), 'POST', { 'upload-length': String(content.length) })
    const path = new URL(created.headers.location!).pathname
    const abandoned: Array<Promise<void>> = []
    let offset = 0
    while (offset < content.length) {
      const rest = content.subarray(offset)
      const { request, answer } = send(turnUrl(path), 'PATCH', { ...BYTES, 'upload-offset': String(offset), 'content-length': String(rest.length) })
      const leaves = random(3) > 0
      const sent = leaves ? rest.subarray(0, 1 + random(rest.length)) : rest
      await new Promise<void>(resolve => request.write(sent, () => resolve()))
      if (!leaves) request.end()
      // Sometimes the bytes have arrived by then, sometimes they are on their way, and sometimes the connection is cut.
      await sleep(random(40))
      abandoned.push(answer.then(found => { if (found) note(found) }))
      if (leaves) setTimeout(() => request.destroy(), random(2000)).unref()
      else await answer
      const found = await ask(turnUrl(path), 'HEAD')
      if (found.status !== 200) {
        assert.equal(found.status, 423, `HEAD of upload ${index}, ${path}`)
        continue
      }
      const now = Number(found.headers['upload-offset'])
      t.ok(now >= offset, `upload ${index}: ${offset} bytes were there, and ${now} are left`)
      offset = now
    }
    t.strictSame(await download(turnUrl(path)), { size: content.length, sha256: sha256(content) }, `upload ${index}`)
    await Promise.all(abandoned)
  }

  let next = 0
  await Promise.all(Array.from({ length: 4 }, async () => { while (next < UPLOADS) await upload(next++) }))
  t.strictSame(Object.keys(statuses).filter(status => Number(status) >= 500), [], JSON.stringify(statuses))
  t.comment(JSON.stringify(statuses))
})

t.test('so it is for the workers of one command, one of which is killed', async t => {
  const server = await getServer(t)
  Object.assign(process.env, { AWS_ACCESS_KEY_ID: server.accessKeyId, AWS_SECRET_ACCESS_KEY: server.secretAccessKey })
  const bucket = await createBucket(createClient(t, server))
  const machine = await ServerProcess.start(t, { flags: ['--s3-bucket', bucket, '--s3-endpoint', server.endpoint, '--s3-part-size', '5MiB', '--workers', '2'] })
  const uploads = await Promise.all([0, 1, 2, 3].map(async () => {
    const created = await ask(`http://127.0.0.1:${machine.port}/files`, 'POST', { 'upload-length': String(CONTENT.length) })
    return { url: `http://127.0.0.1:${machine.port}${new URL(created.headers.location!).pathname}`, offset: 0 }
  }))
  for (let end = 2 * MIB; end <= CONTENT.length; end += 2 * MIB) {
    if (end === 6 * MIB) process.kill(machine.getWorkers()[0]!, 'SIGKILL')
    await Promise.all(uploads.map(async upload => {
      await until(`an upload passes ${upload.offset}`, async () => {
        const bytes = CONTENT.subarray(upload.offset, end)
        const { request, answer } = send(upload.url, 'PATCH', { ...BYTES, 'upload-offset': String(upload.offset), 'content-length': String(bytes.length) })
        request.end(bytes)
        const found = await answer ?? await ask(upload.url, 'HEAD').catch(() => null)
        const now = Number(found?.headers['upload-offset'] ?? upload.offset)
        assert.ok(now >= upload.offset, `${upload.offset} bytes were there, and ${now} are left`)
        upload.offset = now
        return now >= end
      })
    }))
  }
  for (const { url } of uploads) t.strictSame(await download(url), { size: CONTENT.length, sha256: sha256(CONTENT) })
})
