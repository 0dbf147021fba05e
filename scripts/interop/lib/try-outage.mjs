import { createHash, randomBytes } from 'node:crypto'
import { mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { setTimeout as pause } from 'node:timers/promises'
import { startProxy } from './proxy.mjs'
import { Trail } from './trail.mjs'
import { hash, runToEnd } from './try.mjs'

const MIB = 1024 ** 2
const SIZE = 16 * MIB
/** In bytes a second. */
const RATE = 8 * MIB
/** How long a client has, in ms. */
const DEADLINE = 40_000

/**
 * Uploads 16 MiB, slowly, with an outage when half has passed. Resolves to `{ result, facts, errors }`, where the result
 * is one of
 *
 * - `resumes`: the client ends well, and the server has the file, as its only upload
 * - `begins again`: the same, but there are more uploads, or bytes from the first one on were sent twice
 * - `gives up`: the client ends with an error
 * - `lies`: the client ends well, and the server does not have the file
 */
export async function tryOutage (command, { start, act, lasts, rate = RATE }, variables) {
  const home = await mkdtemp(join(tmpdir(), 'fastify-tus-outage-'))
  const trail = new Trail()
  const file = join(home, 'file.bin')
  await writeFile(file, randomBytes(SIZE))
  const server = await start(join(home, 'uploads'))
  let endsAt = 0
  const proxy = await startProxy(server.port, {
    rate,
    trail,
    at: SIZE / 2,
    act: (proxy, from) => {
      endsAt = performance.now() + lasts
      act(server, proxy, from)
    }
  })
  try {
    const began = performance.now()
    const url = `http://127.0.0.1:${proxy.port}/files/`
    const { code, errors } = await runToEnd(command, [url, file], variables, DEADLINE)
    const seconds = (performance.now() - began) / 1000
    if (endsAt === 0) throw new Error(`It ended with ${code} before half of the file had passed: ${errors}`)
    await pause(Math.max(0, endsAt - performance.now()) + SETTLED)
    const result = await judge(server, file, code === 0, trail.requests)
    const facts = `${(proxy.sent / SIZE).toFixed(2)} of the file in ${seconds.toFixed(1)} s: ${trail}`
    return { result: code === 'SIGKILL' ? 'hangs' : result, facts, errors }
  } finally {
    proxy.close()
    await server.close()
    await rm(home, { recursive: true, force: true })
  }
}

async function judge (server, file, succeeded, requests) {
  if (!succeeded) return 'gives up'
  const ids = await server.list()
  const sum = await hash(file)
  const arrived = await Promise.all(ids.map(id => hasFile(`http://127.0.0.1:${server.direct}/files/${id}`, sum)))
  if (!arrived.includes(true)) return 'lies'
  const appends = requests.filter(({ method }) => method === 'PATCH')
  return ids.length > 1 || appends.slice(1).some(({ offset }) => offset === 0) ? 'begins again' : 'resumes'
}

/** Whether the upload at a URL is complete, and has that sum. */
async function hasFile (url, sum) {
  const head = await fetch(url, { method: 'HEAD', headers: { 'Tus-Resumable': '1.0.0' } })
  if (Number(head.headers.get('upload-offset')) !== SIZE) return false
  const file = await fetch(url)
  return createHash('sha256').update(Buffer.from(await file.arrayBuffer())).digest('hex') === sum
}

/** How long after an outage the server is asked, in ms: it may have to find its storage again. */
const SETTLED = 500
