import { readFileSync, writeFileSync } from 'node:fs'
import { clearPlots, writePlot } from './plots.mjs'
import { formatReport } from './report.mjs'

const readme = new URL('../README.md', import.meta.url)
const begin = '<!-- results -->'
const end = '<!-- /results -->'

/** Replaces what stands between the two marks in `bench/README.md`, and the plots that it shows. */
export function writeResults (results, workloads, contestants) {
  const text = readFileSync(readme, 'utf8')
  const from = text.indexOf(begin)
  const to = text.indexOf(end)
  if (from < 0 || to < from) throw new Error(`bench/README.md has no ${begin} … ${end}`)
  clearPlots()
  const report = formatReport(results, workloads, contestants, writePlot)
  writeFileSync(readme, `${text.slice(0, from + begin.length)}\n\n${report}\n${text.slice(to)}`)
}
