import { spawnSync } from 'node:child_process'
import { join } from 'node:path'
import { checkStored, sendUploads } from './load.mjs'
import { startServer } from './server.mjs'

/**
 * One measurement of one contestant.
 *
 * @typedef {Omit<import('./load.mjs').LoadResult, 'stored'> & { workload: string, contestant: string, round: number, peakMemory: number }} Sample
 */

/**
 * Measures workloads, round after round: what disturbs the machine for a while disturbs all contestants.
 *
 * In each round a contestant starts once, and takes all of `workloads` one after the other.
 *
 * @param {import('../workloads/index.mjs').Workload[]} workloads
 * @param {object} plan
 * @returns {AsyncGenerator<Sample>}
 * @throws at the first wrong answer and at the first upload that was stored wrongly
 */
export async function * measure (workloads, plan) {
  for (let round = 1; round <= plan.rounds; round++) {
    for (const contestant of plan.contestants) {
      const server = await startServer(contestant, join(plan.directory, contestant.name), plan.nodeOptions)
      try {
        for (const workload of workloads) yield await measureOnce(workload, contestant, server, round, plan)
      } finally {
        await server.stop()
      }
    }
  }
}

/** @returns {Promise<Sample>} */
async function measureOnce (workload, contestant, server, round, { tools, directory, flush }) {
  try {
    const warmup = await sendUploads(tools, server, workload, workload.warmup)
    if (round === 1) await checkStored(tools, server, contestant, workload, warmup)
    if (flush) spawnSync('sync', ['-f', directory])
    const result = await sendUploads(tools, server, workload, workload.timed)
    return { ...result, stored: undefined, workload: workload.name, contestant: contestant.name, round, peakMemory: server.getPeakMemory() }
  } catch (cause) {
    throw new Error(`${workload.name} with ${contestant.name} failed`, { cause })
  }
}
