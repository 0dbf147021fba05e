// Uploads 20 MiB with each client that this machine can run, twice: as it is, and with its connection cut in the middle. Compares the SHA-256 of what
// arrived, and writes what came of it between the markers of docs/clients.md and README.md.
//
//   node scripts/interop/run.mjs [--only NAME,…] [--print]
//
// A client that can't be run here keeps its row. Needs a build (`npm run build`); installs and builds the clients in INTEROP_CACHE, by default in the
// system's directory for temporary files.
import { parseArgs } from 'node:util'
import { clients } from './lib/clients.mjs'
import { prepare } from './lib/prepare.mjs'
import { tryClient } from './lib/try.mjs'
import { updateTable } from './lib/table.mjs'

const { values } = parseArgs({ options: { only: { type: 'string' }, print: { type: 'boolean' } } })
const names = values.only?.split(',') ?? clients.map(({ name }) => name)
const unknown = names.find(name => !clients.some(client => client.name === name))
if (unknown !== undefined) throw new Error(`There is no client ${unknown}: ${clients.map(({ name }) => name).join(', ')}`)

const rows = []
for (const client of clients.filter(({ name }) => names.includes(name))) {
  const prepared = await prepare(client)
  if (prepared === null) {
    console.error(`${client.name}: ${client.needs} is not installed`)
    continue
  }
  const row = { client, version: prepared.version, runtime: prepared.runtime, ...await tryClient(prepared.command) }
  console.error(`${client.name} ${row.version} (${row.runtime}): ${row.whole}; cut: ${row.cut}`)
  rows.push(row)
}
if (!values.print) updateTable(rows)
if (rows.some(({ whole, cut }) => whole !== 'same bytes' || cut !== 'same bytes')) process.exitCode = 1
