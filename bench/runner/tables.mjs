import { formatMemory, formatNumber, formatSpread, formatTime } from './format.mjs'
import { getCost, getRate, getRatios, summarize } from './statistics.mjs'
import { units } from './units.mjs'

/**
 * One row of a table, and what its ratio refers to.
 *
 * @typedef {object} Line
 * @property {string} title
 * @property {import('./measure.mjs').Sample[]} samples
 * @property {import('./measure.mjs').Sample[]} base
 */

/**
 * What stands together: a workload with all who took part, or the variants of a group.
 *
 * @typedef {object} Table
 * @property {string} name
 * @property {string} title
 * @property {import('../workloads/index.mjs').Workload} workload its first
 * @property {string} baseTitle
 * @property {Line[]} lines
 */

/** @returns {Table[]} those that anybody took part in */
export function getTables (workloads, contestants, samples) {
  const find = (workload, contestant) => samples.filter(sample => sample.workload === workload.name && sample.contestant === contestant.name)
  const tables = workloads.filter(workload => getVariants(workloads, workload)[0] === workload).map(workload => {
    const variants = getVariants(workloads, workload)
    return workload.group ? getGroupTable(variants, contestants, find) : getTable(workload, contestants, find)
  })
  return tables.map(table => ({ ...table, lines: table.lines.filter(line => line.samples.length > 0) })).filter(({ lines }) => lines.length > 0)
}

function getVariants (workloads, { name, group }) {
  return workloads.filter(other => group ? other.group?.name === group.name : other.name === name)
}

function getTable (workload, contestants, find) {
  const reference = contestants.find(({ name }) => name === workload.reference)
  const lines = contestants.map(contestant => ({ title: contestant.title, samples: find(workload, contestant), base: reference ? find(workload, reference) : [] }))
  return { name: workload.name, title: workload.title, workload, baseTitle: reference?.title ?? workload.reference, lines }
}

function getGroupTable (variants, contestants, find) {
  const [first] = variants
  const lines = contestants.flatMap(contestant => variants.map(variant => (
    { title: `${variant.variant} · ${contestant.title}`, samples: find(variant, contestant), base: find(first, contestant) }
  )))
  return { name: first.group.name, title: first.group.title, workload: first, baseTitle: first.variant, lines }
}

/** As Markdown. */
export function formatTable ({ title, workload, baseTitle, lines }) {
  const { label, cost } = units[workload.unit]
  const hasSyncs = lines.some(({ samples }) => samples.some(({ syncs }) => syncs !== null))
  const head = ['', label, `ratio to ${baseTitle}`, cost, 'peak memory', 'p50', 'p99', 'generator, cores', ...hasSyncs ? ['syncs per upload'] : []]
  const rows = [head, ['---', ...head.slice(1).map(() => '---:')], ...lines.map(line => [...formatLine(workload, line), ...hasSyncs ? [formatSyncs(line)] : []])]
  const all = lines.flatMap(({ samples }) => samples)
  return [`### ${title}`, rows.map(cells => `| ${cells.join(' | ')} |`).join('\n'), formatNotes(lines, all)].join('\n\n') + '\n'
}

function formatLine (workload, { title, samples, base }) {
  const ratios = getRatios(samples, base, sample => getRate(workload, sample))
  const median = getFigure => summarize(samples.map(getFigure)).median
  const getLatency = sample => workload.kind === 'slow' ? sample.probe : sample.latency
  return [
    title,
    formatSpread(samples.map(sample => getRate(workload, sample)), formatNumber),
    ratios.length > 0 ? formatSpread(ratios, ratio => ratio.toFixed(2)) : '',
    formatNumber(median(sample => getCost(workload, sample))),
    formatMemory(median(({ peakMemory }) => peakMemory)),
    formatTime(median(sample => getLatency(sample).p50)),
    formatTime(median(sample => getLatency(sample).p99)),
    median(({ generatorCpu, seconds }) => generatorCpu / seconds).toFixed(2)
  ]
}

function formatSyncs ({ samples }) {
  const counted = samples.filter(({ syncs }) => syncs !== null)
  return counted.length > 0 ? formatNumber(summarize(counted.map(({ syncs, uploads }) => syncs / uploads)).median) : ''
}

/** What spoils a comparison: somebody else's work on the machine, servers that give up their connections. */
function formatNotes (lines, samples) {
  const others = samples.map(({ machineCpu, serverCpu, generatorCpu, seconds }) => Math.max(0, machineCpu - serverCpu - generatorCpu) / seconds)
  const closers = lines.filter(({ samples }) => samples.some(({ reconnects }) => reconnects > 0))
  return [
    `Stored on ${samples[0].filesystem}; ${formatRounds(samples)}. Other programs meanwhile used ${formatSpread(others, cores => cores.toFixed(1))} cores.`,
    ...closers.map(({ title, samples }) => `${title} closed the connection behind ${formatClosed(samples)} of its responses.`)
  ].join(' ')
}

function formatRounds (samples) {
  const rounds = Math.max(...samples.map(({ round }) => round))
  return `${rounds} ${rounds === 1 ? 'round' : 'rounds'}`
}

function formatClosed (samples) {
  const [reconnects, requests] = ['reconnects', 'requests'].map(key => samples.reduce((sum, sample) => sum + sample[key], 0))
  return `${(reconnects / requests * 100).toFixed(1)} %`
}
