import { reference } from '../servers/index.mjs'
import { getCost, getRate, getRatios, summarize } from './statistics.mjs'

/** The whole report, as Markdown. */
export function formatReport ({ machine, versions, rounds, quick }, workloads, contestants, samples) {
  const { date, node, system, processor, memory, filesystem } = machine
  const facts = [date, `Node ${node}`, system, processor, formatMemory(memory), filesystem, ...Object.entries(versions).map(entry => entry.join(' '))]
  const method = quick
    ? 'A smoke run: these figures say nothing.'
    : `Medians of ${rounds} interleaved rounds (lowest–highest). Only durability fsync syncs before it answers.`
  const tables = workloads.map(workload => formatTable(workload, contestants, samples.filter(sample => sample.workload === workload.name)))
  return [`${facts.join(' · ')}\n`, `${method}\n`, ...tables].join('\n')
}

/** One workload: a contestant per line. */
export function formatTable (workload, contestants, samples) {
  const of = name => samples.filter(({ contestant }) => contestant === name)
  const rows = contestants.map(({ name, title }) => formatRow(workload, title, of(name), of(reference)))
  const cost = workload.unit === 'MB/s' ? 'CPU s per GiB' : 'CPU µs per upload'
  const table = [
    ['', workload.unit, 'ratio to @tus/server', cost, 'peak memory', 'generator, cores'],
    ['---', ...Array(5).fill('---:')],
    ...rows
  ].map(cells => `| ${cells.join(' | ')} |`)
  return [`### ${workload.title}`, table.join('\n'), ...formatNotes(contestants, samples)].join('\n\n') + '\n'
}

/** What spoils a comparison: somebody else's work on the machine, servers that give up their connections. */
function formatNotes (contestants, samples) {
  const others = samples.map(({ machineCpu, serverCpu, generatorCpu, seconds }) => Math.max(0, machineCpu - serverCpu - generatorCpu) / seconds)
  const closers = contestants.filter(({ name }) => samples.some(({ contestant, reconnects }) => contestant === name && reconnects > 0))
  return [
    `Other programs meanwhile used ${formatSpread(others, cores => cores.toFixed(1))} cores.`,
    ...closers.map(({ name, title }) => `${title} closed the connection behind ${formatClosed(samples.filter(({ contestant }) => contestant === name))} of its responses.`)
  ]
}

function formatClosed (samples) {
  const [reconnects, requests] = ['reconnects', 'requests'].map(key => samples.reduce((sum, sample) => sum + sample[key], 0))
  return `${(reconnects / requests * 100).toFixed(1)} %`
}

function formatRow (workload, title, samples, base) {
  const rate = samples.map(sample => getRate(workload, sample))
  const ratios = getRatios(workload, samples, base)
  return [
    title,
    formatSpread(rate, formatNumber),
    ratios.length > 0 ? formatSpread(ratios, ratio => ratio.toFixed(2)) : '',
    formatNumber(summarize(samples.map(sample => getCost(workload, sample))).median),
    formatMemory(summarize(samples.map(({ peakMemory }) => peakMemory)).median),
    summarize(samples.map(({ generatorCpu, seconds }) => generatorCpu / seconds)).median.toFixed(2)
  ]
}

function formatSpread (values, format) {
  const { median, min, max } = summarize(values)
  return values.length === 1 ? format(median) : `${format(median)} (${format(min)}–${format(max)})`
}

function formatNumber (number) {
  return number < 10 ? number.toFixed(2) : number.toFixed(0)
}

function formatMemory (bytes) {
  return bytes < 2 ** 30 ? `${(bytes / 2 ** 20).toFixed(0)} MiB` : `${(bytes / 2 ** 30).toFixed(0)} GiB`
}
