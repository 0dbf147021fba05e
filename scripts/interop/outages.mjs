// Uploads 16 MiB with each client that this machine can run, through each outage. Writes what came of it between the
// markers of docs/clients.md.
//
//   node scripts/interop/outages.mjs [--only NAME,…] [--outage NAME,…] [--patient] [--print] [--jobs N]
//
// Each client is tried as it is by default, and where that does not resume, once more with the setting that the table
// names; `--patient` tries that alone. A cell that is not tried stays as it is. `--jobs` (3) run at once. Needs Linux and
// a build (`npm run build`); clients are installed as for run.mjs.
import { spawnSync } from 'node:child_process'
import { parseArgs } from 'node:util'
import { clients } from './lib/clients.mjs'
import { outages } from './lib/outages.mjs'
import { updateOutageTable } from './lib/outage-table.mjs'
import { prepare } from './lib/prepare.mjs'
import { tryOutage } from './lib/try-outage.mjs'

const { values } = parseArgs({
  options: {
    only: { type: 'string' },
    outage: { type: 'string' },
    patient: { type: 'boolean' },
    print: { type: 'boolean' },
    jobs: { type: 'string', default: '3' }
  }
})
const chosen = choose(clients, values.only)
const happening = choose(outages, values.outage)
const noNginx = spawnSync('nginx', ['-v']).error !== undefined

const cells = []
const work = []
for (const client of chosen) {
  const prepared = await prepare(client)
  if (prepared === null) {
    console.error(`${client.name}: ${client.needs} is not installed`)
    continue
  }
  for (const outage of happening) if (!(outage.nginx && noNginx)) work.push(() => tryCell(client, prepared, outage))
}
await Promise.all(Array.from({ length: Number(values.jobs) }, async () => {
  for (let next = work.shift(); next !== undefined; next = work.shift()) await next()
}))
if (!values.print) updateOutageTable(cells)
if (cells.some(({ result }) => result === 'lies')) process.exitCode = 1

async function tryCell (client, { command }, outage) {
  for (const patient of values.patient ? [true] : [false, true]) {
    const variables = { ...patient && { PATIENT: '1' }, ...patient && outage.nginx && client.behindNginx }
    const { result, facts, errors } = await tryOutage(command, outage, variables)
    cells.push({ client, outage, patient, result })
    console.error(`${client.name}, ${outage.name}${patient ? ', patient' : ''}: ${result}. ${facts}`)
    if (result === 'gives up') console.error(`  ${errors.trim().split('\n').at(-1)}`)
    if (result === 'resumes') break
  }
}

function choose (all, names = all.map(({ name }) => name).join()) {
  return names.split(',').map(name => {
    const found = all.find(one => one.name === name)
    if (!found) throw new Error(`There is no ${name}: ${all.map(({ name }) => name).join(', ')}`)
    return found
  })
}
