import { spawnSync } from 'node:child_process'
import { join } from 'node:path'
import { checkStored, sendUploads } from './load.mjs'
import { startServer } from './server.mjs'

/**
 * One measurement of one contestant.
 *
 * @typedef {import('./load.mjs').LoadResult & { workload: string, contestant: string, round: number, peakMemory: number }} Sample
 */

/**
 * Measures one workload, round after round: what disturbs the machine for a while disturbs all contestants.
 *
 * @param {object} plan
 * @returns {AsyncGenerator<Sample>}
 */
export async function * measure (workload, { contestants, rounds, directory, nodeOptions, tools, flush }) {
  for (let round = 1; round <= rounds; round++) {
    for (const contestant of contestants) {
      const server = await startServer(contestant, join(directory, contestant.name), nodeOptions)
      try {
        const warmup = await sendUploads(tools, server, workload, workload.warmup)
        if (round === 1) await checkStored(tools, server, contestant, workload, warmup)
        if (flush) spawnSync('sync', ['-f', directory])
        const { stored, ...result } = await sendUploads(tools, server, workload, workload.timed)
        yield { workload: workload.name, contestant: contestant.name, round, ...result, peakMemory: server.getPeakMemory() }
      } finally {
        await server.stop()
      }
    }
  }
}
