import { insist, locate } from './exchange.mjs'
import { patch } from './patch.mjs'
import { removeUpload } from './terminate.mjs'
import { verifyDownload } from './verify.mjs'
import { needsEnd } from './words.mjs'

/** Sends what is missing, without any tricks, and looks at what arrived. */
export async function finish (run, random, journal) {
  const done = await insist(run, random, journal, 'upload', async () => {
    const offset = await locate(run, random, journal)
    if (offset === journal.length) return !needsEnd() || await end(run, random, journal)
    if (offset !== null) await patch(run, random, journal, { offset, end: journal.length })
    return null
  })
  if (done === null || !await verifyDownload(run, random, journal)) return
  await retire(run, random, journal)
}

/** Says that this is all, whoever has said so before; `null` if nobody heard it. */
async function end (run, random, journal) {
  const response = await patch(run, random, journal, { offset: journal.length, end: journal.length })
  return response?.status === 204 ? true : null
}

/** An upload that is done and right stays on the disk as long as there is room. */
export async function retire (run, random, journal) {
  run.figures.count('finished', journal.kind)
  run.figures.count('bytes', 'finished', journal.length)
  journal.finished = true
  if (!run.keep(journal)) return removeUpload(run, random, journal)
  journal.close()
}
