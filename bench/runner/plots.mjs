import { mkdirSync, rmSync, writeFileSync } from 'node:fs'
import { fileURLToPath } from 'node:url'
import { formatNumber } from './format.mjs'
import { drawBars } from './plot.mjs'
import { getRate, summarize } from './statistics.mjs'
import { units } from './units.mjs'

const folder = fileURLToPath(new URL('../plots/', import.meta.url))

/** Draws a table into `bench/plots`, and returns the Markdown that shows it in `bench/README.md`. */
export function writePlot (table) {
  mkdirSync(folder, { recursive: true })
  writeFileSync(`${folder}${table.name}.svg`, drawBars(getPlot(table)))
  return `![${table.title}](plots/${table.name}.svg)\n`
}

/** Removes all plots. */
export function clearPlots () {
  rmSync(folder, { recursive: true, force: true })
}

function getPlot ({ title, workload, lines }) {
  const { label, better } = units[workload.unit]
  return { title, subtitle: `${label}, ${better} is better; medians, with the lowest and the highest`, bars: lines.map(line => getBar(workload, line)) }
}

function getBar (workload, { title, samples }) {
  const { median, min, max } = summarize(samples.map(sample => getRate(workload, sample)))
  return { label: title, value: median, low: min, high: max, kind: getKind(title), text: formatNumber(median) }
}

function getKind (title) {
  if (title.includes('fastify-tus')) return 'own'
  return title.startsWith('limit') ? 'limit' : 'bar'
}
