import { competeForUpload } from './compete.mjs'
import { concatenateUploads } from './concatenate.mjs'
import { createUpload } from './create.mjs'
import { locate } from './exchange.mjs'
import { finish } from './finish.mjs'
import { steps } from './steps.mjs'
import { terminateUpload } from './terminate.mjs'
import { needsEnd } from './words.mjs'

/** A client that writes its requests by hand, and treats the server as badly as it can, until the run stops. */
export async function runRawClient (run, random, name) {
  const scenarios = SCENARIOS.filter(([, scenario]) => (scenario !== concatenateUploads || !needsEnd()) && (scenario !== competeForUpload || run.servers.directory !== undefined))
  for (let number = 0; !run.stopped; number++) {
    const scenario = random.weighted(scenarios)
    await scenario(run, random, `${run.seed}/${name}/${number}`)
  }
}

/** Sends an upload to its end, step by step, and looks at what arrived; sometimes gives up and leaves it to somebody else. */
async function uploadRoughly (run, random, seed) {
  const length = random.chance(0.03) ? 0 : random.size(LARGEST)
  const deferred = length > 0 && random.chance(0.15)
  // The last byte comes with the length, and a creation that defers it can't tell it.
  const journal = await createUpload(run, random, { kind: 'rough', seed, length, deferred, ...planFirst(random, deferred ? length - 1 : length) })
  if (journal === null) return
  if (random.chance(0.04)) return run.abandoned.push(journal)
  await carryOn(run, random, journal)
}

async function adopt (run, random) {
  const journal = run.abandoned.shift()
  if (journal) await carryOn(run, random, journal)
}

/** What comes along with the creation, if anything. */
function planFirst (random, length) {
  if (!random.chance(0.4)) return {}
  return { first: random.size(length), how: random.weighted([[8, 'plain'], [2, 'sum'], [1, 'wrong sum']]) }
}

async function carryOn (run, random, journal) {
  for (let count = 0; count < MOST_STEPS; count++) {
    const offset = await locate(run, random, journal)
    if (offset === null || offset === journal.length) break
    const step = random.weighted(steps)
    await step(run, random, journal, { offset, end: chooseEnd(random, offset, journal.length) })
  }
  await finish(run, random, journal)
}

function chooseEnd (random, offset, length) {
  if (random.chance(0.35)) return length
  return Math.min(length, offset + Math.max(random.size(length - offset), Math.ceil(length / 20)))
}

const LARGEST = 8 * 1024 * 1024
const MOST_STEPS = 60
const SCENARIOS = [
  [76, uploadRoughly],
  [6, adopt],
  [6, terminateUpload],
  [6, concatenateUploads],
  [6, competeForUpload]
]
