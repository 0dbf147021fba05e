import { spawnSync } from 'node:child_process'
import { join } from 'node:path'
import { readUploads, sendUploads } from './load.mjs'
import { startServer } from './server.mjs'
import { checkServed, checkStored, placeFiles } from './stored.mjs'

/**
 * One measurement of one contestant.
 *
 * @typedef {Omit<import('./load.mjs').LoadResult, 'stored'> & { workload: string, contestant: string, round: number, peakMemory: number, syncs: number | null }} Sample
 */

/**
 * Measures workloads, round after round: what disturbs the machine for a while disturbs all contestants.
 *
 * In each round a contestant starts once, and takes all of `workloads` that it can one after the other.
 *
 * @param {import('../workloads/index.mjs').Workload[]} workloads all of the same place
 * @param {object} plan
 * @param {import('./places.mjs').Place} place
 * @returns {AsyncGenerator<Sample>}
 * @throws at the first wrong answer and at the first upload that was stored wrongly
 */
export async function * measure (workloads, plan, place) {
  for (let round = 1; round <= plan.rounds; round++) {
    for (const contestant of plan.contestants) {
      const taken = workloads.filter(workload => takesPart(contestant, workload))
      if (taken.length === 0) continue
      const server = await startServer(contestant, join(place.directory, contestant.name), { nodeOptions: plan.nodeOptions, environment: place.environment })
      try {
        // Else whoever comes first in a group would be measured while the code is still being compiled.
        if (taken[0].group && !plan.quick) await measureOnce(taken[0], contestant, server, round, plan, place)
        for (const workload of taken) yield await measureOnce(workload, contestant, server, round, plan, place)
      } finally {
        await server.stop()
      }
    }
  }
}

/** Whether a contestant can do a workload. */
export function takesPart ({ name, does }, { needs, also = [], only }) {
  return [needs, ...also].some(ability => does.includes(ability)) && (only === undefined || only.includes(name))
}

/** @returns {Promise<Sample>} */
async function measureOnce (workload, contestant, server, round, { tools }, place) {
  try {
    server.forgetPeakMemory()
    if (workload.ground) await sendUploads(tools, server, contestant, { ...workload, ...workload.ground }, workload.ground)
    const stored = await prepare(workload, contestant, server, round, tools)
    if (place.flushes) spawnSync('sync', ['-f', place.directory])
    const syncs = place.countSyncs()
    const result = await runTimed(workload, contestant, server, tools, stored)
    const counted = contestant.command || syncs === null ? null : place.countSyncs() - syncs
    return { ...result, stored: undefined, workload: workload.name, contestant: contestant.name, round, peakMemory: server.getPeakMemory(), syncs: counted }
  } catch (cause) {
    throw new Error(`${workload.name} with ${contestant.name} failed`, { cause })
  }
}

/** Warms the server up; resolves to uploads that are there then. */
async function prepare (workload, contestant, server, round, tools) {
  const warmup = { ...workload, ...workload.warmup }
  const reads = workload.kind === 'get'
  const stored = reads && contestant.does.includes('file')
    ? placeFiles(tools, server, contestant, warmup)
    : (await sendUploads(tools, server, contestant, warmup, workload.warmup)).stored
  if (round === 1) await checkStored(tools, server, contestant, warmup, stored)
  if (round === 1 && reads) await checkServed(tools, server, contestant, warmup, stored)
  if (reads) await readUploads(tools, server, workload, stored, { uploads: workload.connections })
  if (workload.kind === 'head') await readUploads(tools, server, workload, stored, { seconds: 'seconds' in workload.timed ? 1 : 0.05 })
  return stored
}

function runTimed (workload, contestant, server, tools, stored) {
  const { kind, timed } = workload
  if (kind === 'get' || kind === 'head') return readUploads(tools, server, workload, stored, timed)
  return sendUploads(tools, server, contestant, workload, timed, kind === 'slow' ? stored[0].path : undefined)
}
