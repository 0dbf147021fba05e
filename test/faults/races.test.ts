import { createHash } from 'node:crypto'
import { readdir, readFile, stat } from 'node:fs/promises'
import { join } from 'node:path'
import t, { type Test } from 'tap'
import { makeDirectory } from '../support/app.js'
import { sleep, until } from '../support/http-tus.js'
import { ServerProcess } from '../support/server-process.js'
import { download, makeBytes, sha256 } from '../support/tus-client-bytes.js'
import { RawConnection, ask, askOffset, createUpload, type RawResponse } from '../support/tus-client-raw.js'

// Requests on one upload that reach different processes at the same time. RACES=1000 makes as many rounds of each.

const ROUNDS = Number(process.env.RACES ?? 60)

/** Two processes that serve one directory. */
async function startPair (t: Test): Promise<readonly [ServerProcess, ServerProcess]> {
  const directory = await makeDirectory(t)
  return Promise.all([ServerProcess.start(t, { directory }), ServerProcess.start(t, { directory })])
}

async function patch (port: number, path: string, offset: number, bytes: Buffer, headers: Record<string, string> = {}): Promise<RawResponse | null> {
  const connection = await RawConnection.open(port)
  try {
    connection.request('PATCH', path, { 'Content-Type': 'application/offset+octet-stream', 'Upload-Offset': offset, 'Content-Length': bytes.length, ...headers })
    await connection.write(bytes)
    return await connection.response()
  } finally {
    connection.close()
  }
}

t.test(`two bodies for the same place of an upload, through two processes: one counts, whole and alone (${ROUNDS} rounds)`, async t => {
  const [a, b] = await startPair(t)
  const answers: Record<string, number> = {}
  for (let round = 0; round < ROUNDS; round++) {
    const size = 1 + round * 97 % 20_000
    const base = round % 3 === 0 ? makeBytes(round, 500) : Buffer.alloc(0)
    const rivals = [makeBytes(2 * round + 1_000_000, size), makeBytes(2 * round + 1_000_001, size)]
    const path = await createUpload(a.port, base.length + size)
    if (base.length > 0) t.equal((await patch(b.port, path, 0, base))?.status, 204)
    const sums = rivals.map((rival): Record<string, string> => round % 2 === 0 ? {} : { 'Upload-Checksum': `sha1 ${createHash('sha1').update(rival).digest('base64')}` })
    const responses = await Promise.all([patch(a.port, path, base.length, rivals[0]!, sums[0]), patch(b.port, path, base.length, rivals[1]!, sums[1])])
    const statuses = responses.map(response => response?.status)
    answers[statuses.join(' and ')] = (answers[statuses.join(' and ')] ?? 0) + 1

    const offset = await askOffset([a, b][round % 2]!.port, path)
    const content = await readFile(join(a.directory, path.split('/').at(-1)!))
    if (content.length !== offset) t.fail(`round ${round}: ${content.length} bytes on the disk, offset ${offset}`)
    const own = content.subarray(base.length)
    const winners = rivals.map(rival => rival.subarray(0, own.length).equals(own))
    // One byte may happen to be the same in both.
    if (!winners.includes(true)) t.fail(`round ${round}: ${own.length} bytes that are those of neither`)
    statuses.forEach((status, index) => {
      if (![204, 409, 423].includes(status!)) t.fail(`round ${round}: answered ${status}`)
      if (status === 204 && !(winners[index] && own.length === size)) t.fail(`round ${round}: 204 for bytes that are not there`)
    })
    if (statuses[0] === 204 && statuses[1] === 204) t.fail(`round ${round}: both were told that their bytes count`)
    if (!content.subarray(0, base.length).equals(base)) t.fail(`round ${round}: what was acknowledged before has changed`)
    if (offset !== base.length + size) {
      const winner = rivals[winners.indexOf(true)]!
      t.equal((await patch(b.port, path, offset!, winner.subarray(own.length)))?.status, 204, 'the winner goes on')
    }
    const whole = Buffer.concat([base, rivals[winners.indexOf(true)]!])
    if ((await download(`http://127.0.0.1:${b.port}${path}`)).sha256 !== sha256(whole)) t.fail(`round ${round}: GET gives something else`)
  }
  t.comment(`answers: ${JSON.stringify(answers)}`)
})

t.test(`DELETE through one process, PATCH through another: afterwards nothing is there, or all of it was never removed (${ROUNDS} rounds)`, async t => {
  const [a, b] = await startPair(t)
  const answers: Record<string, number> = {}
  for (let round = 0; round < ROUNDS; round++) {
    const bytes = makeBytes(round, 1 + round * 997 % 100_000)
    const path = await createUpload([a, b][round % 2]!.port, bytes.length)
    const [removed, appended] = await Promise.all([
      sleep(round % 4).then(() => ask(a.port, 'DELETE', path)),
      patch(b.port, path, 0, bytes)
    ])
    const key = `DELETE ${removed?.status}, PATCH ${appended?.status}`
    answers[key] = (answers[key] ?? 0) + 1
    if (removed?.status !== 204) t.fail(`round ${round}: DELETE answers ${removed?.status}`)
    if (![204, 404, 410, 423].includes(appended?.status ?? 0)) t.fail(`round ${round}: PATCH answers ${appended?.status}`)
    for (const { port } of [a, b]) {
      for (const method of ['HEAD', 'GET', 'DELETE']) {
        const { status } = (await ask(port, method, path))!
        if (status !== 404 && status !== 410) t.fail(`round ${round}: ${method} answers ${status} after the upload was removed`)
      }
      if (![404, 410].includes((await patch(port, path, 0, bytes))!.status)) t.fail(`round ${round}: PATCH finds the upload that was removed`)
    }
  }
  t.comment(`answers: ${JSON.stringify(answers)}`)
  const left = (await readdir(a.directory)).filter(name => !name.startsWith('.'))
  t.strictSame(left, [], 'no file of any of them stays')
})

t.test(`HEAD through both processes while PATCHes come in: never more than was sent, never less than before (${ROUNDS} rounds)`, async t => {
  const [a, b] = await startPair(t)
  let heads = 0
  for (let round = 0; round < ROUNDS; round++) {
    const content = makeBytes(round, 30_000)
    const path = await createUpload(a.port, content.length)
    let sent = 0
    let known = 0
    const asking = async (port: number) => {
      while (known < content.length) {
        const floor = known
        const response = await ask(port, 'HEAD', path)
        const offset = Number(response?.headers['upload-offset'])
        heads++
        if (response?.status !== 200) t.fail(`round ${round}: HEAD answers ${response?.status}`)
        if (offset > sent) t.fail(`round ${round}: HEAD names ${offset} of ${sent} bytes that were sent`)
        if (offset < floor) t.fail(`round ${round}: HEAD names ${offset} after ${floor} was acknowledged`)
        known = Math.max(known, offset)
        await sleep(round % 5)
      }
    }
    const sending = async () => {
      for (let turn = 0; known < content.length; turn++) {
        const offset = (await askOffset([a, b][turn % 2]!.port, path))!
        const end = Math.min(content.length, offset + 7_000)
        sent = Math.max(sent, end)
        const response = await patch([b, a][turn % 2]!.port, path, offset, content.subarray(offset, end))
        if (![204, 409, 423].includes(response?.status ?? 0)) t.fail(`round ${round}: PATCH answers ${response?.status}`)
        known = Math.max(known, Number(response?.headers['upload-offset'] ?? 0))
      }
    }
    await Promise.all([sending(), asking(a.port), asking(b.port)])
    if ((await download(`http://127.0.0.1:${a.port}${path}`)).sha256 !== sha256(content)) t.fail(`round ${round}: GET gives something else`)
  }
  t.ok(heads >= ROUNDS, `${heads} HEADs`)
})

t.test('HEAD at one process while another holds a PATCH that stalls: it gets what arrived', async t => {
  const [a, b] = await startPair(t)
  const times: number[] = []
  for (let round = 0; round < Math.max(ROUNDS, 200); round++) {
    const [holder, asked] = round % 2 === 0 ? [a, b] : [b, a]
    const path = await createUpload(holder.port, 10_000)
    const connection = await RawConnection.open(holder.port)
    await connection.patch(path, 0, 10_000).write(makeBytes(round, 1_000))
    await until('the first process has written what came', async () => (await stat(join(a.directory, path.split('/').at(-1)!))).size === 1_000)
    const start = performance.now()
    const offset = await askOffset(asked.port, path)
    times.push(performance.now() - start)
    const lost = await connection.response()
    connection.close()
    if (offset !== 1_000) t.fail(`round ${round}: HEAD names ${offset} of 1000 bytes`)
    if (lost?.status !== 423 || Number(lost.headers['upload-offset']) !== offset) t.fail(`round ${round}: HEAD names ${offset}, the PATCH ended with ${lost?.status} at ${lost?.headers['upload-offset']}`)
    if ((await patch(asked.port, path, 1_000, makeBytes(round, 10_000).subarray(1_000)))?.status !== 204) t.fail(`round ${round}: the client can not go on at once`)
  }
  times.sort((x, y) => x - y)
  const at = (share: number) => times[Math.floor(times.length * share)]!.toFixed(1)
  t.comment(`takeover across processes, ${times.length} rounds: median ${at(0.5)} ms, p99 ${at(0.99)} ms, at most ${times.at(-1)!.toFixed(1)} ms`)
  t.ok(times.length >= 200)
  // They talk through one connection in each direction, however often they have to.
  await until('the clients have gone', () => a.countConnections() <= 4 && b.countConnections() <= 4)
})
