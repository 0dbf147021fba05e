import { setTimeout as sleep } from 'node:timers/promises'
import { createUpload } from './create.mjs'
import { ask, insist } from './exchange.mjs'
import { patch } from './patch.mjs'

/** An upload that is removed while others append to it and ask for it: afterwards it is gone for everybody, with all of its files. */
export async function terminateUpload (run, random, seed) {
  const length = random.size(2 * 1024 * 1024) + 1
  const journal = await createUpload(run, random, { kind: 'throwaway', seed, length, ...random.chance(0.5) && { first: random.size(length) } })
  if (journal === null) return
  const offset = journal.acknowledged
  journal.state = 'leaving'
  const racers = Array.from({ length: random.int(1, 4) }, async () => {
    await sleep(random.int(0, 25))
    if (random.chance(0.6)) return patch(run, random, journal, { offset, end: length, how: random.pick(['plain', 'chunked', 'sum']) })
    return ask(run, random, journal, random.pick(['HEAD', 'HEAD', 'DELETE']))
  })
  await sleep(random.int(0, 25))
  await removeForGood(run, random, journal)
  await Promise.all(racers)
  for (const method of ['HEAD', 'DELETE']) await ask(run, random, journal, method)
  await patch(run, random, journal, { offset, end: length })
  run.remove(journal)
}

/** Removes an upload of which nobody wants anything any more. */
export async function removeUpload (run, random, journal) {
  await removeForGood(run, random, journal)
  await ask(run, random, journal, random.pick(['HEAD', 'DELETE']))
  run.remove(journal)
}

async function removeForGood (run, random, journal) {
  journal.state = 'leaving'
  await insist(run, random, journal, 'DELETE', async () => {
    const response = await ask(run, random, journal, 'DELETE')
    return [204, 404, 410].includes(response?.status) ? response : null
  })
  journal.state = 'gone'
}
