import { finish } from './finish.mjs'
import { verifyDownload } from './verify.mjs'

/** Drives everything to its end that somebody left, and looks at every upload again; the servers run in peace. */
export async function finishAll (run, random) {
  const journals = [...run.journals.values()]
  const open = journals.filter(journal => journal.kind === 'rough' && !journal.finished)
  await eachOf(open, journal => finish(run, random, journal))
  const done = [...run.journals.values()].filter(journal => journal.finished && journal.content !== null)
  await eachOf(done, async journal => {
    // A part is nothing to download.
    if (!journal.partial) await verifyDownload(run, random, journal)
    await run.place.verify(run, journal)
    run.figures.count('verified', journal.kind)
  })
}

/** Ends the servers, lets a sweep clear up, and looks at what is on the disk; resolves to what was there before and after. */
export async function clearUp (run) {
  const { place } = run
  run.expectRefusals()
  const problem = await run.servers.stop()
  if (problem) run.violate(`a server did not end in order: ${problem}`)
  const before = await place.inspect()
  const counts = await place.sweep()
  const after = await place.inspect()
  if (counts.failed > 0) run.violate(`the sweep failed on ${counts.failed} uploads`)
  for (const kind of ['temporary', 'orphans', 'own', 'waiting']) {
    if (after[kind].length > 0) run.violate(`${after[kind].length} files stay after the sweep (${kind}): ${after[kind].slice(0, 10).join(', ')}`)
  }
  for (const name of await place.findRemains(run.removed)) run.violate(`${name} is still there, of an upload that was removed`)
  await checkKept(run, after)
  return { before: summarize(before), counts, after: summarize(after) }
}

/** What was finished is there as it was, and nothing else is but uploads whose URL nobody learnt. */
async function checkKept (run, { ids }) {
  const present = new Set(ids)
  for (const journal of run.journals.values()) {
    // Partial uploads expire when their final one has been made.
    if (!journal.finished || journal.partial) continue
    if (!present.has(journal.id)) run.violate('a finished upload is gone', journal)
    else await run.place.verify(run, journal)
  }
}

function summarize ({ ids, ...kinds }) {
  return { uploads: ids.length, ...Object.fromEntries(Object.entries(kinds).map(([kind, names]) => [kind, names.length])) }
}

async function eachOf (items, work, width = 8) {
  const queue = [...items]
  await Promise.all(Array.from({ length: width }, async () => {
    for (let item; (item = queue.shift()) !== undefined;) await work(item)
  }))
}
