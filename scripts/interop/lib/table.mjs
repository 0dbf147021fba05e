import { readFileSync, writeFileSync } from 'node:fs'
import { fileURLToPath } from 'node:url'
import { clients } from './clients.mjs'

/** The first is where rows of clients that were not tried are taken from. */
const PAGES = ['docs/clients.md', 'README.md'].map(name => fileURLToPath(new URL(`../../../${name}`, import.meta.url)))
const MARKERS = /(<!-- interop -->\n)([\s\S]*?)(<!-- \/interop -->)/

/** Writes the rows over those of the same clients. The others stay as they are. */
export function updateTable (rows) {
  const before = MARKERS.exec(readFileSync(PAGES[0], 'utf8'))[2].split('\n').filter(line => line.startsWith('| ['))
  const lines = clients.map(client => {
    const row = rows.find(row => row.client === client)
    return row ? describe(row) : before.find(line => line.startsWith(getHead(client)))
  })
  const table = ['| client | version | runs on | 20 MiB | cut at 10 MiB | goes on |', '|---|---|---|---|---|---|', ...lines.filter(line => line !== undefined)]
  for (const page of PAGES) writeFileSync(page, readFileSync(page, 'utf8').replace(MARKERS, (all, start, old, end) => `${start}\n${table.join('\n')}\n\n${end}`))
}

function describe ({ client, version, runtime, whole, cut }) {
  return `${getHead(client)} ${version} | ${runtime} | ${whole} | ${cut} | ${client.resumes} |`
}

function getHead ({ title, url }) {
  return `| [${title}](${url}) |`
}
