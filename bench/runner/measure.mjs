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
 * Measures one workload, round after round: what disturbs the machine for a while disturbs all contestants.
 *
 * @param {object} plan
 * @returns {AsyncGenerator<Sample>}
 * @throws at the first wrong answer and at the first upload that was stored wrongly
 */
export async function * measure (workload, { contestants, rounds, directory, nodeOptions, tools, flush }) {
  for (let round = 1; round <= rounds; round++) {
    for (const contestant of contestants) {
      const server = await startServer(contestant, join(directory, contestant.name), nodeOptions)
      try {
        const warmup = await sendUploads(tools, server, workload, workload.warmup)
        if (round === 1) await checkStored(tools, server, contestant, workload, warmup)
        if (flush) spawnSync('sync', ['-f', directory])
        const result = await sendUploads(tools, server, workload, workload.timed)
        yield { ...result, stored: undefined, workload: workload.name, contestant: contestant.name, round, peakMemory: server.getPeakMemory() }
      } catch (cause) {
        throw new Error(`${workload.name} with ${contestant.name} failed`, { cause })
      } finally {
        await server.stop()
      }
    }
  }
}
