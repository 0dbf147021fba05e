import { availableParallelism } from 'node:os'
import { measure } from './measure.mjs'
import { openPlace } from './places.mjs'

/**
 * Measures workloads, one after the other, and gives `plan.keep` what is there so far.
 *
 * @returns {Promise<import('./measure.mjs').Sample[]>}
 */
export async function collect (workloads, plan) {
  const samples = []
  for (const group of getGroups(workloads, plan)) {
    const place = await openPlace(group[0].place, plan, plan.tools)
    if (place === null) {
      process.stderr.write(`without ${group.map(({ name }) => name).join(', ')}: S3_ENDPOINT is not set\n`)
      continue
    }
    const leave = closeOnSignals(place)
    try {
      for await (const sample of measure(group, plan, place)) {
        samples.push({ ...sample, filesystem: place.filesystem, cores: availableParallelism() })
        process.stderr.write(`${sample.workload} ${sample.round}/${plan.rounds} ${sample.contestant} ${sample.seconds.toFixed(2)} s\n`)
      }
      plan.keep(samples)
    } finally {
      leave()
      place.close()
    }
  }
  return samples
}

/** What shares the processes of servers: groups; in a smoke run everything at one place, for starting them takes long. */
function getGroups (workloads, { quick }) {
  const groups = new Map()
  for (const workload of workloads) {
    const key = quick ? workload.place : workload.group?.name ?? workload.name
    groups.set(key, [...groups.get(key) ?? [], workload])
  }
  return [...groups.values()]
}

function closeOnSignals (place) {
  const close = () => {
    place.close()
    process.exit(1)
  }
  for (const signal of SIGNALS) process.once(signal, close)
  return () => { for (const signal of SIGNALS) process.off(signal, close) }
}

const SIGNALS = ['SIGINT', 'SIGTERM']
