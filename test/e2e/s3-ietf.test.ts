import { ListMultipartUploadsCommand, ListObjectsV2Command } from '@aws-sdk/client-s3'
import t, { type Test } from 'tap'
import { makeBytes, sleep, until } from '../support/http-tus.js'
import { append, ask, begin, getPath, open, PARTIAL, receiveAll, retrieve, V8 } from '../support/ietf.js'
import type { RawClient } from '../support/raw-socket.js'
import { createBucket, createClient, getServer } from '../support/s3/bucket.js'
import { ServerProcess } from '../support/server-process.js'
import { download, sha256 } from '../support/tus-client-bytes.js'

// Clients of interop version 8 and two server processes on one bucket.

const MIB = 1024 ** 2
const CONTENT = makeBytes(12 * MIB + 345)

const server = await getServer(t)
Object.assign(process.env, { AWS_ACCESS_KEY_ID: server.accessKeyId, AWS_SECRET_ACCESS_KEY: server.secretAccessKey })
const client = createClient(t, server)
const bucket = await createBucket(client)
const flags = ['--s3-bucket', bucket, '--s3-endpoint', server.endpoint, '--s3-part-size', '5MiB']
const machines = await Promise.all([ServerProcess.start(t, { flags }), ServerProcess.start(t, { flags })])
const [a, b] = machines

/** A PATCH that says it brings all the rest of the content, and has sent `bytes`. */
async function resume (t: Test, port: number, path: string, offset: number, bytes: Uint8Array): Promise<RawClient> {
  const headers = { ...V8, ...PARTIAL, 'upload-offset': String(offset), 'upload-complete': '?1', 'content-length': String(CONTENT.length - offset) }
  const sending = await open(t, port, 'PATCH', path, headers, '')
  await sending.send(bytes)
  return sending
}

/** Sends piece by piece until an interim response names an offset; resolves to that, and to how much was sent. */
async function sendUntilTold (sending: RawClient, bytes: Uint8Array): Promise<{ sent: number, told: number }> {
  const telling = receiveProgress(sending)
  const state = { told: false }
  telling.then(() => { state.told = true }, () => {})
  let sent = 0
  while (!state.told && sent < bytes.length) {
    // More than a part, and then little by little: it is told when more comes.
    const piece = bytes.subarray(sent, sent + (sent < 6 * MIB ? MIB : 1024))
    sent += piece.length
    await sending.send(piece)
    await sleep(30)
  }
  return { sent, told: await telling }
}

async function receiveProgress (sending: RawClient): Promise<number> {
  for (;;) {
    const { status, headers } = (await sending.receiveAny())!
    if (status !== 104) throw new Error(`answered ${status} instead of 104`)
    if (headers['upload-offset'] !== undefined) return Number(headers['upload-offset'])
  }
}

t.test('CN-3, CN-7, AP-13, ST-7: the 104s of an upload in one request name what another machine has when this one is killed', async t => {
  const sending = await open(t, a.port, 'POST', '/files', { ...V8, 'upload-complete': '?1', 'content-length': String(CONTENT.length), 'content-type': 'video/mp4' }, '')
  const announced = (await sending.receiveAny())!
  t.match(announced, { status: 104, headers: { 'upload-draft-interop-version': '8', 'upload-limit': String, location: String } })
  const path = getPath(announced)
  const { sent, told } = await sendUntilTold(sending, CONTENT.subarray(0, 11 * MIB))
  t.ok(told > 0 && told <= sent, `${told} of ${sent} bytes are durable`)
  await a.kill('SIGKILL')
  const restarted = a.restart()

  const { headers } = await retrieve(t, b.port, path, V8)
  t.match(headers, { 'upload-complete': '?0', 'upload-length': String(CONTENT.length) })
  const offset = Number(headers['upload-offset'])
  t.ok(offset >= told && offset <= sent, `${offset} of ${sent} bytes are there`)
  t.match(await receiveAll(await resume(t, b.port, path, offset, CONTENT.subarray(offset))), { status: 201, headers: { 'upload-complete': '?1' } })
  t.strictSame(await download(`http://127.0.0.1:${b.port}${path}`), { size: CONTENT.length, sha256: sha256(CONTENT) })
  await restarted
})

t.test('CN-10, AP-2, AP-3: an upload in pieces that are cut, each on the other machine, is what was sent', async t => {
  const path = await begin(t, machines[0].port, '', { ...V8, 'upload-length': String(CONTENT.length) })
  let offset = 0
  for (let round = 0; round < 24; round++) {
    const [one, other] = round % 2 === 0 ? machines : [machines[1], machines[0]]
    const rest = CONTENT.subarray(offset)
    const cut = Math.min(rest.length - 1, 500_000 + round)
    const sending = await resume(t, one.port, path, offset, rest.subarray(0, cut))
    await sleep(round % 4 * 30)
    // Some leave in order, some with RST, and some stay and are told to leave.
    if (round % 3 === 0) sending.reset()
    if (round % 3 === 1) sending.finish()
    const { headers } = await retrieve(t, other.port, path, V8)
    const now = Number(headers['upload-offset'])
    if (now < offset || now > offset + cut || headers['upload-complete'] !== '?0') t.fail(`round ${round}: ${now}, ${headers['upload-complete']}, after ${offset} and ${cut} bytes more`)
    offset = now
  }
  t.ok(offset > 0, `${offset} bytes came in 24 pieces`)
  const last = await resume(t, machines[0].port, path, offset, CONTENT.subarray(offset))
  t.match(await receiveAll(last, 'PATCH'), { status: 201, headers: { 'upload-complete': '?1', 'upload-offset': String(CONTENT.length) } })
  t.match(await append(t, machines[1].port, path, CONTENT.length, '', '?1', V8), { status: 201, headers: { 'upload-complete': '?1' } }, 'AP-10: whoever lost the answer gets it again')
  t.strictSame(await download(`http://127.0.0.1:${machines[0].port}${path}`), { size: CONTENT.length, sha256: sha256(CONTENT) })
})

t.test('CY-3, CY-4: a request at another machine gets the offset of one that hangs, whose bytes then come to nothing', async t => {
  const path = await begin(t, a.port, '', { ...V8, 'upload-length': String(CONTENT.length) })
  const sending = await resume(t, a.port, path, 0, Buffer.alloc(0))
  const { sent, told } = await sendUntilTold(sending, CONTENT.subarray(0, 11 * MIB))
  const { headers } = await retrieve(t, b.port, path, V8)
  const offset = Number(headers['upload-offset'])
  t.ok(offset >= told && offset <= sent, `${offset} of ${sent} bytes are there, and ${told} were told of`)
  const own = Buffer.alloc(CONTENT.length - offset, 'own')
  t.match(await receiveAll(await resume(t, b.port, path, offset, own)), { status: 201, headers: { 'upload-complete': '?1' } })
  await sending.send(CONTENT.subarray(sent))
  const lost = await receiveAll(sending, 'PATCH')
  t.ok(lost === null || (lost.status >= 400 && lost.status < 500), `the older one is answered ${lost?.status}`)
  for (const { port } of [a, b]) t.strictSame(await download(`http://127.0.0.1:${port}${path}`), { size: CONTENT.length, sha256: sha256(Buffer.concat([CONTENT.subarray(0, offset), own])) })
})

t.test('CA-1, CA-2: a DELETE at either machine ends the request that sends, and the upload', async t => {
  for (const machine of machines) {
    const sending = await open(t, a.port, 'POST', '/files', { ...V8, 'upload-complete': '?1', 'content-length': String(CONTENT.length) }, '')
    const path = getPath((await sending.receiveAny())!)
    await sending.send(CONTENT.subarray(0, 6 * MIB))
    t.match(await ask(t, machine.port, 'DELETE', path, V8), { status: 204 })
    // The other machine learns it when it commits.
    await sending.send(CONTENT.subarray(6 * MIB))
    const lost = await receiveAll(sending)
    t.ok(lost === null || lost.status >= 400 || lost.headers['upload-complete'] === '?0', `the one that sends is answered ${lost?.status}`)
    for (const { port } of machines) t.match([(await retrieve(t, port, path, V8)).status, (await append(t, port, path, 6 * MIB, '', '?0', V8)).status], [404, 404])
    // What the other machine has in hand at that moment, and can't note any more, is left to the sweep.
    if (machine === a) await until('nothing of it is in the bucket', () => isGone(path.split('/').at(-1)!))
  }
})

async function isGone (id: string): Promise<boolean> {
  const [objects, uploads] = await Promise.all([
    client.send(new ListObjectsV2Command({ Bucket: bucket })),
    client.send(new ListMultipartUploadsCommand({ Bucket: bucket }))
  ])
  return ![...objects.Contents ?? [], ...uploads.Uploads ?? []].some(({ Key }) => Key!.includes(id))
}
