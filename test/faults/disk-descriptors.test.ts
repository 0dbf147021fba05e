import { readdirSync } from 'node:fs'
import t from 'tap'
import { makeBytes, sleep, until } from '../support/http-tus.js'
import { ServerProcess } from '../support/server-process.js'
import { sha256 } from '../support/small-disk.app.js'
import { limitProcess } from '../support/small-disk.js'
import { ask as askOnce, askOffset, createUpload, RawConnection, type RawResponse } from '../support/tus-client-raw.js'
import { DEADLINE } from '../support/waiting.js'

// A process that may open hardly any more files.

const SIZE = 200_000

/** `null` if there is no answer: with no descriptor left, the system holds a connection back. */
async function send (port: number, path: string, offset: number, bytes: Buffer, patience = 10_000): Promise<RawResponse | null> {
  const connection = await RawConnection.open(port).catch(() => null)
  if (connection === null) return null
  try {
    await connection.patch(path, offset, bytes.length).write(bytes)
    return await Promise.race([connection.response(), sleep(patience).then(() => null)])
  } finally {
    connection.close()
  }
}

/** With no descriptor left the system refuses connections, too: who got no answer tries again. */
async function ask<Answer> (request: () => Promise<Answer | null>): Promise<Answer> {
  let answer: Answer | null = null
  await until('there is an answer', async () => (answer = await request()) !== null)
  return answer!
}

async function download (url: string): Promise<Buffer | null> {
  const response = await fetch(url).catch(() => null)
  return response && Buffer.from(await response.arrayBuffer())
}

t.test('uploads that nobody uses give up their files for those that are needed', { skip: process.platform !== 'linux' }, async t => {
  const server = await ServerProcess.start(t)
  limitProcess(server.pid, '--nofile=64:64')
  const content = makeBytes(SIZE)
  const paths: string[] = []
  for (let count = 0; count < 100; count++) paths.push(await createUpload(server.port, SIZE))
  for (const path of paths) {
    // 409 to who got no answer, though his bytes are there.
    t.match(String((await ask(() => send(server.port, path, 0, content.subarray(0, 1000)))).status), /^(?:204|409)$/)
  }
  for (const path of paths) t.equal(await ask(() => askOffset(server.port, path)), 1000)
  const sums = new Set<string>()
  for (const path of paths) {
    await ask(() => send(server.port, path, 1000, content.subarray(1000)))
    sums.add(sha256(await ask(() => download(`http://127.0.0.1:${server.port}${path}`))))
  }
  t.same([...sums], [sha256(content)])
})

t.test('200 connections on 64 descriptors lose nothing, and the process recovers', { skip: process.platform !== 'linux' }, async t => {
  const server = await ServerProcess.start(t)
  const content = makeBytes(SIZE)
  const paths: string[] = []
  for (let count = 0; count < 200; count++) paths.push(await createUpload(server.port, SIZE))
  await server.kill('SIGTERM')
  await server.restart()
  const before = server.getDescriptors().length
  limitProcess(server.pid, '--nofile=64:')
  const answers = await Promise.all(paths.map(path => send(server.port, path, 0, content)))
  const statuses = new Map<number, number>()
  for (const answer of answers) statuses.set(answer?.status ?? 0, (statuses.get(answer?.status ?? 0) ?? 0) + 1)
  t.comment(`answers: ${JSON.stringify([...statuses])}`)
  for (const answer of answers) {
    if (answer === null || answer.status === 204) continue
    t.equal(answer.status, 503, answer.body)
    t.match(JSON.parse(answer.body), { code: 'TUS_ERR_STORAGE_UNAVAILABLE' })
    t.notMatch(answer.body, /\/|EMFILE/)
  }
  limitProcess(server.pid, '--nofile=4096:')
  await until('the connections are gone', () => server.countConnections() === 0)
  for (const [index, path] of paths.entries()) {
    const offset = (await askOffset(server.port, path))!
    if (answers[index]?.status === 204) t.equal(offset, SIZE, 'what was acknowledged is there')
    if (offset < SIZE) t.equal((await send(server.port, path, offset, content.subarray(offset), DEADLINE))?.status, 204)
  }
  const sums = new Set<string>()
  for (const path of paths) sums.add(sha256((await download(`http://127.0.0.1:${server.port}${path}`))!))
  t.same([...sums], [sha256(content)])
  for (const path of paths) await askOnce(server.port, 'DELETE', path)
  t.same(readdirSync(server.directory).filter(name => !name.startsWith('.')), [])
  await until('no descriptor is lost', () => server.getDescriptors().filter(target => target.startsWith(server.directory + '/')).length === 0)
  await until('no other either', () => server.getDescriptors().filter(target => !target.startsWith('socket:')).length <= before)
})
