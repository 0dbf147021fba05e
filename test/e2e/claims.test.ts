import { spawn, type ChildProcess } from 'node:child_process'
import { once } from 'node:events'
import { readFile, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import t, { type Test } from 'tap'
import { makeApp, makeDirectory } from '../support/app.js'
import { until } from '../support/waiting.js'

const UPLOADS = 500
/** For all of them, in ms. */
const PATIENCE = 300_000

interface Note {
  readonly what: string
  readonly id: string
  readonly pid: number
}

t.test('two workers and a SIGKILL: every upload is done, none is lost, none is held by two that live', async t => {
  const { app, directory } = await makeApp(t)
  const log = join(await makeDirectory(t), 'log')
  await writeFile(log, '')
  const ids = await Promise.all(Array.from({ length: UPLOADS }, async (_, index) => {
    const payload = `upload ${index}`
    const headers = { 'tus-resumable': '1.0.0', 'upload-length': String(payload.length), 'content-type': 'application/offset+octet-stream' }
    const response = await app.inject({ method: 'POST', url: '/files', headers, payload })
    return response.headers.location!.split('/').at(-1)!
  }))

  const victim = await startWorker(t, directory, log)
  const survivor = await startWorker(t, directory, log)
  await until('the first has done some', async () => (await readNotes(log)).filter(({ what, pid }) => what === 'done' && pid === victim.pid).length > 20)
  victim.kill('SIGKILL')
  await until('nearly all are done', async () => new Set((await readNotes(log)).filter(({ what }) => what === 'done').map(({ id }) => id)).size >= UPLOADS - 1, PATIENCE)
  // The one that the victim held, or had done without noting it, is looked at again when its lease has run out.
  await until('all are', async () => (await Promise.all(ids.map(async id => (await app.tus.find(id))?.processed))).every(Boolean), PATIENCE)
  const exited = once(survivor, 'exit')
  survivor.kill('SIGKILL')
  await exited

  const notes = await readNotes(log)
  t.same([...new Set(notes.filter(({ what }) => what === 'claimed').map(({ id }) => id))].sort(), [...ids].sort())
  const twice = ids.filter(id => notes.filter(note => note.what === 'claimed' && note.id === id).length > 1)
  t.ok(twice.length <= 1, `only the upload that the victim held is claimed again: ${twice.length}`)
  const both = notes.filter(({ what, id }, index) => what === 'claimed' && notes.some((other, place) =>
    place < index && other.id === id && other.what === 'claimed' && other.pid !== victim.pid))
  t.same(both, [], 'an upload that a living worker holds is never given to another')
})

async function startWorker (t: Test, directory: string, log: string): Promise<ChildProcess> {
  const worker = spawn(process.execPath, ['test/support/claims-worker.mjs', directory, log], { stdio: ['ignore', 'pipe', 'inherit'] })
  t.teardown(() => { worker.kill('SIGKILL') })
  await once(worker.stdout, 'data')
  return worker
}

async function readNotes (log: string): Promise<Note[]> {
  const lines = (await readFile(log, 'utf8')).split('\n').filter(line => line.split(' ').length === 3)
  return lines.map(line => {
    const [what, id, pid] = line.split(' ')
    return { what: what!, id: id!, pid: Number(pid) }
  })
}
