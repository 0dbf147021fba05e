import { readFileSync, writeFileSync } from 'node:fs'
import { fileURLToPath } from 'node:url'
import { clients } from './clients.mjs'
import { outages } from './outages.mjs'

const PAGE = fileURLToPath(new URL('../../../docs/clients.md', import.meta.url))
const MARKERS = /(<!-- outages -->\n)([\s\S]*?)(<!-- \/outages -->)/

/**
 * Writes the cells over those of the same client, setting and outage. The others stay as they are.
 *
 * A client has a second row where it does not resume by its first, with what it did there.
 */
export function updateOutageTable (cells) {
  const page = readFileSync(PAGE, 'utf8')
  const before = readRows(MARKERS.exec(page)[2])
  const lines = clients.flatMap(client => {
    const rows = [false, true].map(patient => [getHead(client, patient), ...outages.map(outage => {
      const tried = cells.filter(cell => cell.client === client && cell.outage === outage)
      if (tried.length > 0) return tried.find(cell => cell.patient === patient)?.result ?? ''
      return before.get(getHead(client, patient))?.get(outage.title) ?? ''
    })])
    return rows.filter(([, ...results]) => results.some(result => result !== '')).map(formatRow)
  })
  const head = ['client, tries', ...outages.map(({ title }) => title)]
  const table = [formatRow(head), formatRow(head.map(() => '---')), ...lines]
  writeFileSync(PAGE, page.replace(MARKERS, (all, start, old, end) => `${start}\n${table.join('\n')}\n\n${end}`))
}

/** Head → title of the column → cell. */
function readRows (table) {
  const [head, , ...rows] = table.trim().split('\n').map(line => line.split('|').slice(1, -1).map(cell => cell.trim()))
  return new Map(rows.map(([name, ...cells]) => [name, new Map(cells.map((cell, index) => [head[index + 1], cell]))]))
}

function formatRow (cells) {
  return `| ${cells.join(' | ')} |`
}

function getHead ({ title, retries, patient: setting }, patient) {
  return patient ? `${title}, ${setting}` : `${title}, ${retries}`
}
