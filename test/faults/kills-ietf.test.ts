import { once } from 'node:events'
import { readFile } from 'node:fs/promises'
import { join } from 'node:path'
import t, { type Test } from 'tap'
import { makeDirectory } from '../support/app.js'
import { makeBytes, until } from '../support/http-tus.js'
import { append, ask, begin, getPath, open, PARTIAL, retrieve, V8 } from '../support/ietf.js'
import { formatHead, openRaw } from '../support/raw-socket.js'
import { ServerProcess, spawnNode, waitForLine } from '../support/server-process.js'
import { download, sha256 } from '../support/tus-client-bytes.js'

// Servers are killed where it hurts, in the words of the draft.

const CONTENT = makeBytes(9_000_000)

t.test('CN-10, CN-11: a server that is killed in the middle of an upload in one request, again and again', async t => {
  const server = await ServerProcess.start(t)
  const client = openRaw(t, server.port)
  await client.send(formatHead('POST', '/files', { ...V8, 'upload-complete': '?1', 'content-length': String(CONTENT.length) }))
  const path = getPath((await client.receiveAny())!)
  let sending = client
  let known = 0
  for (let round = 0; round < 4; round++) {
    await sending.send(CONTENT.subarray(known, known + 1_500_000))
    await until('something arrived', async () => (await readFile(join(server.directory, path.split('/').at(-1)!))).length > known)
    await server.kill('SIGKILL')
    await server.restart()
    const { headers } = await retrieve(t, server.port, path)
    t.match(headers, { 'upload-complete': '?0', 'upload-length': String(CONTENT.length) })
    t.ok(Number(headers['upload-offset']) >= known, 'ST-4')
    known = Number(headers['upload-offset'])
    sending = await open(t, server.port, 'PATCH', path, { ...V8, ...PARTIAL, 'upload-offset': String(known), 'upload-complete': '?1', 'content-length': String(CONTENT.length - known) }, '')
  }
  await sending.send(CONTENT.subarray(known))
  t.match(await sending.receive('PATCH'), { status: 201, headers: { 'upload-complete': '?1' } })
  t.strictSame(await download(`http://127.0.0.1:${server.port}${path}`), { size: CONTENT.length, sha256: sha256(CONTENT) })
})

t.test('CY-3: a request at another process ends the one that hangs, and gets its offset', async t => {
  const directory = await makeDirectory(t)
  const [a, b] = await Promise.all([ServerProcess.start(t, { directory }), ServerProcess.start(t, { directory })])
  for (let round = 0; round < 20; round++) {
    const [holder, asked] = round % 2 === 0 ? [a, b] : [b, a]
    const path = await begin(t, holder.port)
    const client = await open(t, holder.port, 'PATCH', path, { ...V8, ...PARTIAL, 'upload-offset': '0', 'upload-complete': '?1', 'content-length': '2000' }, 'x'.repeat(1000))
    await until('the first process has written what came', async () => (await readFile(join(directory, path.split('/').at(-1)!))).length === 1000)
    t.match((await retrieve(t, asked.port, path)).headers, { 'upload-offset': '1000', 'upload-complete': '?0' })
    t.match(await client.receive('PATCH'), { status: 423, headers: { 'upload-offset': '1000', 'upload-complete': '?0' } })
    t.match(await append(t, asked.port, path, 1000, 'x'.repeat(1000), '?1'), { status: 201, headers: { 'upload-complete': '?1' } })
  }
})

async function startDocuments (t: Test, directory: string, log: string, hanging = '') {
  const child = spawnNode(['test/support/resumable-process.mjs', directory, log, hanging])
  t.teardown(() => { child.kill('SIGKILL') })
  let errors = ''
  child.stderr!.on('data', text => { errors += text })
  const line = await waitForLine(child, /^ready /, () => errors)
  return {
    port: Number(new URL(line.slice('ready '.length)).port),
    pid: child.pid,
    async kill () {
      const exited = once(child, 'exit')
      child.kill('SIGKILL')
      await exited
    }
  }
}

for (const [where, runs] of [['handler', 2], ['answer', 1]] as const) {
  t.test(`AP-7, AP-10: a process that is killed ${where === 'handler' ? 'while the handler runs: it runs again' : 'behind the handler, before its answer has left: the answer is there'}`, async t => {
    const directory = await makeDirectory(t)
    const log = join(await makeDirectory(t), 'log')
    const first = await startDocuments(t, directory, log, where)
    const path = await begin(t, first.port, 'hello', {}, '/documents')
    const client = await open(t, first.port, 'PATCH', path, { ...PARTIAL, 'upload-offset': '5', 'upload-complete': '?1', 'content-length': '6' }, ' world')
    await until('the handler has run', async () => (await readFile(log, 'utf8').catch(() => '')).length > 0)
    // The record that holds the answer is written behind the handler.
    if (where === 'answer') await until('the answer is kept', async () => (await readFile(join(directory, `${path.split('/').at(-1)}.json`), 'utf8')).includes('"status":200'))
    await first.kill()
    t.equal(await client.receive('PATCH'), null)

    const second = await startDocuments(t, directory, log)
    t.match(await retrieve(t, second.port, path), { status: 204, headers: { 'upload-offset': '11', 'upload-complete': '?1' } })
    const answer = await append(t, second.port, path, 11, '', '?1')
    t.match(answer, { status: 200, headers: { 'upload-complete': '?1' } })
    t.strictSame(JSON.parse(answer.body), { size: 11, by: where === 'handler' ? second.pid : first.pid })
    t.equal((await readFile(log, 'utf8')).trim().split('\n').length, runs)
    t.equal((await ask(t, second.port, 'DELETE', path)).status, 204)
  })
}
