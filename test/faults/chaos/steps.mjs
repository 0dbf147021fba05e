import { setTimeout as sleep } from 'node:timers/promises'
import { ask, openConnection } from './exchange.mjs'
import { Patch, patch } from './patch.mjs'

// What a raw client does next with an upload that it believes at `offset`: in order, or as badly as networks and clients are. `end` is where its
// body ends. Afterwards it asks where the upload is, so a step needs no result.

async function append (run, random, journal, { offset, end }) {
  const how = random.pick(['plain', 'plain', 'chunked', 'sum', 'trailer'])
  const request = await open(run, random, journal, { offset, end, how })
  await request?.finish(random.pick([1000, 64 * 1024, 1024 * 1024]))
  return request?.receive()
}

/** The connection breaks in the middle. */
async function cut (run, random, journal, { offset, end }) {
  const request = await open(run, random, journal, { offset, end, how: random.pick(['plain', 'plain', 'chunked', 'sum', 'trailer']) })
  if (request === null) return
  await request.send(random.int(0, end - offset))
  if (random.chance(0.5)) await sleep(random.int(0, 30))
  request.cut(random.pick(['close', 'reset']))
}

/** Everything is sent, and the connection breaks before the answer. */
async function cutBehind (run, random, journal, { offset, end }) {
  const request = await open(run, random, journal, { offset, end, how: random.pick(['plain', 'sum', 'trailer']) })
  if (request === null) return
  await request.finish()
  if (random.chance(0.5)) await sleep(random.int(0, 10))
  request.cut(random.pick(['close', 'reset']))
}

/** Half of the header, and then nothing, or the other half after a while. */
async function sendHalfHead (run, random, journal, { offset, end }) {
  const request = await Patch.open(run, random, journal, { offset, end })
  if (request === null) return
  const at = random.int(1, request.head.length - 1)
  await request.sendRaw(request.head.slice(0, at))
  await sleep(random.int(0, 200))
  if (random.chance(0.5)) return request.cut('close')
  await (await request.begin(request.head.slice(at))).finish()
  return request.receive()
}

/** The connection stays open and brings nothing more; the client comes back on another one and asks. */
async function stall (run, random, journal, { offset, end }) {
  const request = await openStalled(run, random, journal, { offset, end })
  if (request === null) return
  const asked = await ask(run, random, journal, 'HEAD')
  const lost = await leave(request)
  // Only if the stalled request was there and had to leave, it was a takeover.
  if (lost?.status === 423 && asked?.status === 200) run.figures.measure(run.isCalm(asked.took) ? 'takeover' : 'takeover while a worker was struck', asked.took)
}

/** The same, but the client does not ask and goes on right away. */
async function stallAndGoOn (run, random, journal, { offset, end }) {
  const request = await openStalled(run, random, journal, { offset, end })
  if (request === null) return
  await patch(run, random, journal, { offset, end })
  return leave(request)
}

/** The same request twice at once, through two connections. */
async function duplicate (run, random, journal, { offset, end }) {
  run.figures.count('duplicates', 'at once')
  const how = random.pick(['plain', 'plain', 'chunked', 'sum', 'trailer'])
  const other = random.chance(0.3) ? random.int(offset, end) : end
  await Promise.all([patch(run, random, journal, { offset, end, how }), patch(run, random, journal, { offset, end: other, how: random.chance(0.5) ? how : 'plain' })])
}

/** The same request again, after it was answered or lost. */
async function repeat (run, random, journal, { offset, end }) {
  run.figures.count('duplicates', 'one after the other')
  await patch(run, random, journal, { offset, end })
  await patch(run, random, journal, { offset, end })
}

/** Somewhere else than where the upload is. */
async function missOffset (run, random, journal, { offset, end }) {
  const before = random.chance(0.5)
  if (before && offset === 0) return
  await patch(run, random, journal, before ? { offset: random.int(0, offset - 1), end } : { offset: random.int(offset, end), end })
}

/** The second piece first, or both at once. */
async function reorder (run, random, journal, { offset, end }) {
  run.figures.count('duplicates', 'reordered')
  const middle = random.int(offset, end)
  const second = patch(run, random, journal, { offset: middle, end })
  if (random.chance(0.5)) await sleep(random.int(0, 20))
  await Promise.all([second, patch(run, random, journal, { offset, end: middle })])
}

/** Two pieces on one connection, the second without waiting for the answer to the first. */
async function pipeline (run, random, journal, { offset, end }) {
  const connection = await openConnection(run, random)
  if (connection === null) return
  const middle = random.int(offset, end)
  const first = new Patch(run, journal, connection, { offset, end: middle })
  const second = new Patch(run, journal, connection, { offset: middle, end })
  const bytes = Buffer.concat([first.takeWhole(), second.takeWhole()])
  await first.beginWhole(bytes)
  await second.beginWhole('')
  const answer = await first.receive('keep')
  if (answer === null || answer.headers.connection === 'close') return connection.close()
  await second.receive()
}

/** While a body comes in slowly, others ask where the upload is. */
async function interrogate (run, random, journal, { offset, end }) {
  const request = await open(run, random, journal, { offset, end })
  if (request === null) return
  const asking = async () => {
    await sleep(random.int(0, 60))
    await ask(run, random, journal, 'HEAD')
  }
  const sending = request.finish(Math.ceil((end - offset) / 8), () => sleep(random.int(0, 15))).then(() => request.receive())
  await Promise.all([sending, ...Array.from({ length: random.int(1, 4) }, asking)])
}

/** A checksum that is wrong: nothing of the body may stay. */
async function corrupt (run, random, journal, { offset, end }) {
  const request = await open(run, random, journal, { offset, end, how: random.pick(end > offset ? ['wrong sum', 'wrong bytes', 'wrong trailer'] : ['wrong sum', 'wrong trailer']) })
  await request?.finish()
  return request?.receive()
}

async function open (run, random, journal, plan) {
  const request = await Patch.open(run, random, journal, plan)
  return request && request.begin()
}

async function openStalled (run, random, journal, { offset, end }) {
  const request = await open(run, random, journal, { offset, end })
  if (request === null) return null
  run.figures.count('cuts', 'stall')
  await request.send(random.int(0, end - offset - 1))
  await sleep(random.int(0, 150))
  return request
}

/** The answer to a stalled request that had to leave. One that got hold of the upload only behind who asked for it is not disturbed: it gives up by itself. */
async function leave (request) {
  for (let waited = 0; !request.answered && waited < 2000; waited += 20) await sleep(20)
  if (!request.answered) return request.cut('close')
  return request.receive()
}

/** How often each happens, and what. */
export const steps = [
  [30, append],
  [8, cut],
  [5, cutBehind],
  [4, sendHalfHead],
  [8, stall],
  [4, stallAndGoOn],
  [7, duplicate],
  [3, repeat],
  [4, missOffset],
  [4, reorder],
  [3, pipeline],
  [5, interrogate],
  [5, corrupt]
]
