import { open } from 'node:fs/promises'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { makeContent } from './content.mjs'
import { createUpload } from './create.mjs'
import { insist, locate } from './exchange.mjs'
import { retire } from './finish.mjs'
import { Patch } from './patch.mjs'
import { verifyDownload } from './verify.mjs'

/**
 * Two clients append different bytes to one upload, each at the same offset. Whatever the upload has behind a round must be
 * one client's bytes alone, and those of the one that was told so.
 */
export async function competeForUpload (run, random, seed) {
  const length = random.size(1024 * 1024) + 1
  const variants = [makeContent(`${seed}.a`, length), makeContent(`${seed}.b`, length)]
  const content = makePatchwork(length)
  const journal = await createUpload(run, random, { kind: 'contested', seed, length, content })
  if (journal === null) return
  const done = await insist(run, random, journal, 'contested upload', async () => {
    const offset = content.known
    await compete(run, random, journal, variants, offset)
    const end = await locate(run, random, journal)
    if (end !== null && end > offset) await settle(run, journal, variants, offset, end)
    return content.known === length ? true : null
  })
  if (done && await verifyDownload(run, random, journal)) await retire(run, random, journal)
}

async function compete (run, random, journal, variants, offset) {
  run.figures.count('duplicates', 'with other bytes')
  const end = random.chance(0.5) ? journal.length : random.int(offset + 1, journal.length)
  const how = random.pick(['plain', 'plain', 'sum'])
  await Promise.all(variants.map(async (content, index) => {
    if (random.chance(0.3)) await sleep(random.int(0, 5))
    const request = await Patch.open(run, random, journal, { offset, end, how, content })
    if (request === null) return
    await (await request.begin()).finish(random.pick([5_000, 100_000, 1_000_000]))
    const response = await request.receive()
    const reached = Number(response?.headers['upload-offset'] ?? 0)
    // 423 tells how far this very request came.
    if ((response?.status === 204 || response?.status === 423) && reached > offset) journal.wins.push({ index, offset, reached })
  }))
}

/** Finds out on the disk whose bytes they are. Behind `HEAD`, nothing below its offset may change any more. */
async function settle (run, journal, variants, offset, end) {
  const bytes = await readRange(join(run.servers.directory, journal.id), offset, end)
  const winner = variants.findIndex(variant => variant.read(offset, end).equals(bytes))
  if (winner < 0) run.violate(`the bytes ${offset}–${end} are those of neither client, but of both: ${describeMixture(variants, offset, bytes)}`, journal)
  const told = journal.wins.filter(win => win.offset === offset)
  if (told.some(({ index }) => winner >= 0 && index !== winner)) run.violate(`the bytes from ${offset} are not those of the client that was told so: ${JSON.stringify(told)}`, journal)
  journal.note(`${offset}–${end} are those of client ${winner}`)
  journal.content.extend(variants[Math.max(0, winner)], end)
}

/** Where the bytes stop being those of the one client, and of the other. */
function describeMixture (variants, offset, bytes) {
  return variants.map((variant, index) => {
    const expected = variant.read(offset, offset + bytes.length)
    return `those of client ${index} up to ${offset + bytes.findIndex((byte, at) => byte !== expected[at])}`
  }).join(', ')
}

async function readRange (path, start, end) {
  const file = await open(path)
  try {
    const bytes = Buffer.alloc(end - start)
    const { bytesRead } = await file.read(bytes, 0, bytes.length, start)
    return bytes.subarray(0, bytesRead)
  } finally {
    await file.close()
  }
}

/** A content that gets known piece by piece. */
function makePatchwork (length) {
  const pieces = []
  return {
    length,
    get known () { return pieces.at(-1)?.end ?? 0 },
    extend (content, end) { pieces.push({ content, start: this.known, end }) },
    read: (start, end) => Buffer.concat(pieces.filter(piece => piece.start < end && piece.end > start)
      .map(({ content, start: from, end: to }) => content.read(Math.max(start, from), Math.min(end, to))))
  }
}
