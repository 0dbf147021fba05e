import assert from 'node:assert/strict'
import { once } from 'node:events'
import { request, type IncomingMessage } from 'node:http'
import t from 'tap'
import { createContainer, describeAccount, getAccount, skip } from '../support/azure/azurite.js'
import { BYTES, makeBytes, sleep, TUS, until, type Headers } from '../support/http-tus.js'
import { ServerProcess } from '../support/server-process.js'
import { download, sha256 } from '../support/tus-client-bytes.js'

// Two server processes and one container. Every connection is cut in the middle, and the client goes on at the other server; one of them is killed on the way.

const CONTENT = makeBytes(24 * 1024 ** 2)
const CUTS = [1, 500_000, 9 * 1024 ** 2, 70_000, 10 * 1024 ** 2]

interface Answer {
  readonly status: number
  readonly headers: IncomingMessage['headers']
}

/** Sends so many of the bytes as `cut` says, and then cuts the connection; `null` if nobody answered. */
async function send (url: string, method: string, headers: Headers = {}, bytes: Buffer = Buffer.alloc(0), cut = Infinity): Promise<Answer | null> {
  const sent = request(url, { method, headers: { ...TUS, ...headers, 'content-length': String(bytes.length) }, agent: false })
  const answered = once(sent, 'response').then(([response]: IncomingMessage[]) => {
    response!.resume()
    return { status: response!.statusCode!, headers: response!.headers }
  }, () => null)
  sent.on('error', () => {})
  if (cut >= bytes.length) {
    sent.end(bytes)
    return answered
  }
  await new Promise<void>(resolve => { sent.write(bytes.subarray(0, cut), () => resolve()) })
  await sleep(50)
  sent.destroy()
  return answered
}

async function getOffset (url: string): Promise<number> {
  let found: Answer | null = null
  await until(`${url} tells its offset`, async () => {
    found = await send(url, 'HEAD')
    assert.ok(found === null || found.status === 423 || found.status === 200, `HEAD ${url}: ${found?.status}`)
    return found?.status === 200
  })
  return Number(found!['headers']['upload-offset'])
}

t.test('a client whose connections are cut, between two machines of which one is killed, gets what it sent', { skip }, async t => {
  const account = await getAccount(t)
  process.env.AZURE_STORAGE_CONNECTION_STRING = describeAccount(account)
  const flags = ['--azure-container', (await createContainer(account)).containerName, '--azure-prefix', 'incoming/']
  const machines = await Promise.all([0, 1].map(() => ServerProcess.start(t, { flags })))
  const created = await send(machines[0]!.url, 'POST', { 'upload-length': String(CONTENT.length) })
  const path = new URL(created!.headers.location!).pathname
  const getUrl = (turn: number) => `http://127.0.0.1:${machines[turn % 2]!.port}${path}`

  let offset = 0
  for (const [turn, cut] of CUTS.entries()) {
    await send(getUrl(turn), 'PATCH', { ...BYTES, 'upload-offset': String(offset) }, CONTENT.subarray(offset), cut)
    if (turn === 2) {
      await machines[0]!.kill('SIGKILL')
      await machines[0]!.restart()
    }
    const now = await getOffset(getUrl(turn + 1))
    t.ok(now >= offset && now <= CONTENT.length, `${offset}, then ${now}`)
    offset = now
  }
  const last = await send(getUrl(1), 'PATCH', { ...BYTES, 'upload-offset': String(offset) }, CONTENT.subarray(offset))
  t.equal(last?.status, 204)
  for (const turn of [0, 1]) t.strictSame(await download(getUrl(turn)), { size: CONTENT.length, sha256: sha256(CONTENT) })

  t.equal((await send(getUrl(0), 'DELETE'))?.status, 204)
  t.equal((await send(getUrl(1), 'HEAD'))?.status, 404)
})
