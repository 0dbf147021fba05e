import { getCost, getRate, getRatios, summarize } from './statistics.mjs'

/**
 * What this project wants to reach.
 *
 * @typedef {object} Target
 * @property {string} workload
 * @property {string} title what is compared
 * @property {string} [other] the contestant that it is compared with
 * @property {'least' | 'most'} bound
 * @property {number} asked
 * @property {(find: (contestant: string, workload?: string) => object[], workload: object) => number[]} getFigures one of each round; none if something was
 *   not measured
 * @property {(figure: number) => string} format
 */

const ours = 'fastify-tus'
const unsynced = 'fastify-tus-unsynced'
const journal = 'fastify-tus-journal'
const peer = 'tus-server'

const asFactor = figure => `${figure.toFixed(2)} ×`
const asShare = figure => figure.toFixed(2)
const asMemory = figure => `${(figure / 2 ** 20).toFixed(0)} MiB`
const asTime = figure => `${figure.toFixed(1)} ms`

const addition = { [unsynced]: ' with durability none', [journal]: ' with the journal' }

const rate = workload => sample => getRate(workload, sample)
const cost = workload => sample => getCost(workload, sample)

/** A rate as multiple of that of another contestant. */
const faster = (workload, asked, other, name = ours) => ({
  workload,
  title: `throughput${addition[name] ?? ''}`,
  other,
  bound: 'least',
  asked,
  getFigures: (find, entry) => getRatios(find(name), find(other), rate(entry)),
  format: asFactor
})

/** The rate or the cost of a workload as share of that of another one. */
const against = (workload, base, getFigure, target, name = ours) => ({
  workload,
  ...target,
  getFigures: (find, entry) => getRatios(find(name), find(name, base), getFigure(entry)),
  format: asShare
})

const within = (workload, title, asked, getFigure, format) => ({
  workload, title, bound: 'most', asked, getFigures: find => find(ours).map(getFigure), format
})

const groupCommit = (title, name) => against(
  'group-commit-64', 'group-commit-1', () => ({ syncs, uploads }) => syncs / uploads, { title, bound: 'most', asked: 0.25 }, name
)

/** @type {Target[]} */
export const targets = [
  faster('one-patch', 2.2, peer),
  {
    workload: 'one-patch',
    title: 'processor time per GiB',
    other: peer,
    bound: 'most',
    asked: 0.5,
    getFigures: (find, entry) => getRatios(find(ours), find(peer), cost(entry)),
    format: asFactor
  },
  faster('one-patch', 1, 'nginx'),
  faster('one-patch', 0.6, 'discard'),
  faster('patches-1m', 3, peer),
  faster('parallel-64', 2, peer),
  within('parallel-64', 'peak memory', 150 * 2 ** 20, ({ peakMemory }) => peakMemory, asMemory),
  faster('post-patch-1k', 7, peer, unsynced),
  faster('post-patch-1k', 0.5, 'discard-fastify', unsynced),
  faster('disk-post-patch-1k', 2, peer),
  faster('disk-post-patch-1k', 2, peer, journal),
  groupCommit('syncs per upload, to those over 1 connection', ours),
  groupCommit('syncs per upload with the journal, to those over 1 connection', journal),
  faster('creation-1k', 7, peer, unsynced),
  against('checksum-sha1', 'checksum-none', rate, { title: 'throughput, to the same without', bound: 'least', asked: 0.75 }),
  within('slow-200', 'peak memory', 120 * 2 ** 20, ({ peakMemory }) => peakMemory, asMemory),
  within('slow-200', 'p99 of a HEAD', 10, ({ probe }) => probe.p99 * 1000, asTime),
  against('open-10000', 'open-none', cost, { title: 'processor time per PATCH, to an empty server', bound: 'most', asked: 1.1 }),
  {
    workload: 'workers-64',
    title: 'throughput of 2 workers on 2 cores to that of 1 on 1 core, the share of the load generator taken out',
    bound: 'least',
    asked: 1.6,
    getFigures: (find, entry) => getScales(find('fastify-tus-1-core'), find('fastify-tus-2-workers'), entry),
    format: asFactor
  },
  faster('get', 0.9, 'fastify-static')
]

/**
 * How much more two workers do than one, if each had a core for itself: the load generator and everybody else on the machine take theirs from one of them.
 */
function getScales (single, double, workload) {
  const capacity = workers => sample => getRate(workload, sample) * workers / Math.min(workers, getCoresLeft(sample))
  const base = new Map(single.map(sample => [sample.round, capacity(1)(sample)]))
  return double.filter(({ round }) => base.has(round)).map(sample => capacity(2)(sample) / base.get(sample.round))
}

function getCoresLeft ({ cores, machineCpu, serverCpu, seconds }) {
  return cores - Math.max(0, machineCpu - serverCpu) / seconds
}

/** As Markdown: what was asked, what is reached. Targets of which nothing was measured are left out. */
export function formatTargets (workloads, contestants, samples) {
  const rows = targets.flatMap(target => formatTarget(target, workloads, contestants, samples))
  if (rows.length === 0) return ''
  return ['### Targets', [['', 'asked', 'reached', ''], ['---', '---:', '---:', '---'], ...rows].map(cells => `| ${cells.join(' | ')} |`).join('\n')].join('\n\n') + '\n'
}

function formatTarget ({ workload: name, title, other, bound, asked, getFigures, format }, workloads, contestants, samples) {
  const workload = workloads.find(entry => entry.name === name)
  const find = (contestant, from = name) => samples.filter(sample => sample.workload === from && sample.contestant === contestant)
  const figures = workload ? getFigures(find, workload) : []
  if (figures.length === 0) return []
  const { median } = summarize(figures)
  const reached = bound === 'least' ? median >= asked : median <= asked
  const otherTitle = contestants.find(contestant => contestant.name === other)?.title
  return [[`${workload.title}: ${title}${otherTitle ? `, to ${otherTitle}` : ''}`, `${bound === 'least' ? '≥' : '≤'} ${format(asked)}`, format(median), reached ? 'yes' : 'no']]
}
