import { formatHead } from './connection.mjs'
import { joinContents } from './content.mjs'
import { createUpload } from './create.mjs'
import { ask, Exchange, insist, locate, openConnection } from './exchange.mjs'
import { retire } from './finish.mjs'
import { Journal } from './journal.mjs'
import { Patch, patch } from './patch.mjs'
import { verifyDownload } from './verify.mjs'

/** Partial uploads, and a final one that is often asked for before they are there. */
export async function concatenateUploads (run, random, seed) {
  const parts = []
  for (let number = random.int(1, 4); number > 0; number--) {
    const part = await createUpload(run, random, { kind: 'partial', seed: `${seed}.${number}`, length: random.size(1024 * 1024), partial: true })
    if (part === null) return
    parts.push(part)
  }
  const early = random.chance(0.5)
  if (!early) await fillAll(run, random, parts)
  const named = random.chance(0.2) ? [...parts, parts[0]] : parts
  const final = await createFinal(run, random, named, seed)
  if (final === null) return
  if (early) await fillAll(run, random, parts)
  if (await awaitFinal(run, random, final) && await verifyDownload(run, random, final)) await retire(run, random, final)
  for (const part of parts) run.figures.count('finished', part.kind)
}

async function fillAll (run, random, parts) {
  await Promise.all(parts.map(part => fill(run, random, part)))
}

async function fill (run, random, part) {
  await insist(run, random, part, 'partial upload', async () => {
    const offset = await locate(run, random, part)
    if (offset === part.length) return true
    if (offset === null) return null
    if (random.chance(0.2)) await cut(run, random, part, offset)
    else await patch(run, random, part, { offset, end: part.length, how: random.pick(['plain', 'sum', 'trailer']) })
    return null
  })
  part.finished = true
}

async function cut (run, random, part, offset) {
  const request = await Patch.open(run, random, part, { offset, end: part.length })
  if (request === null) return
  await (await request.begin()).send(random.int(0, part.length - offset))
  request.cut('close')
}

function createFinal (run, random, parts, seed) {
  return insist(run, random, null, 'POST (final)', async () => {
    const connection = await openConnection(run, random)
    if (connection === null) return null
    const exchange = new Exchange(run, null, 'POST')
    try {
      await connection.send(formatHead('POST', '/files', { 'Upload-Concat': `final;${parts.map(({ path }) => path).join(' ')}`, 'Content-Length': 0 }))
      const response = await exchange.receive(connection)
      return response?.status === 201 ? openJournal(run, response, parts, seed) : null
    } finally {
      connection.close()
    }
  })
}

function openJournal (run, { headers }, parts, seed) {
  const content = joinContents(parts.map(part => part.content))
  const final = run.add(new Journal({ path: new URL(headers.location, 'http://127.0.0.1').pathname, content, seed, kind: 'final', final: true }))
  final.note(`made of ${parts.map(({ id, length }) => `${id} (${length})`).join(', ')}`)
  // Nothing, or all of it.
  final.reach.add(content.length, content.length)
  return final
}

async function awaitFinal (run, random, final) {
  return insist(run, random, final, 'final upload', async () => {
    const response = await ask(run, random, final, 'HEAD')
    return Number(response?.headers['upload-offset'] ?? -1) === final.length ? true : null
  })
}
