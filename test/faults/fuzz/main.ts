import { writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { parseArgs } from 'node:util'
import type { Violation } from './client.js'
import { fuzz } from './fuzz.js'

// npm run fuzz -- [--requests N] [--seed S] [--connections N] [--dir DIRECTORY] [--durability fsync|none] [--both-protocols] [--json FILE]
// npm run fuzz -- --seed S --replay CONNECTION:INDEX     sends again what one connection had sent, up to that request
// Without a seed, it draws one and prints it, at the start and with the commands that repeat what failed.
const { values } = parseArgs({
  options: {
    requests: { type: 'string', default: '1000000' },
    seed: { type: 'string', default: String(Math.floor(Math.random() * 2 ** 31)) },
    connections: { type: 'string', default: '32' },
    dir: { type: 'string', default: tmpdir() },
    durability: { type: 'string', default: 'fsync' },
    json: { type: 'string' },
    'both-protocols': { type: 'boolean', default: false },
    /** `CONNECTION:INDEX`, as a violation names them. */
    replay: { type: 'string' }
  }
})

const [connection, index] = values.replay?.split(':').map(Number) ?? []
const requests = Number(values.requests)
console.log(`seed ${values.seed}`)
const report = await fuzz({
  requests,
  seed: Number(values.seed),
  connections: Number(values.connections),
  parent: values.dir,
  tusOnly: !values['both-protocols'],
  durability: values.durability,
  ...connection !== undefined && index !== undefined && { replay: { connection, index } },
  onProgress: sent => { if (process.stdout.isTTY) process.stdout.write(`\r${sent} of ${requests}`) }
})
const { violations, ...figures } = report
for (const violation of violations) console.log(`\n${describe(violation)}`)
console.log(JSON.stringify({ ...figures, violations: violations.length }, null, 2))
if (violations.length > 0) console.log(`failed with seed ${values.seed}: ${repeat()}`)
if (values.json) writeFileSync(values.json, JSON.stringify({ ...figures, violations: violations.map(encode) }, null, 2))
process.exitCode = violations.length === 0 ? 0 : 1

function describe ({ connection, index, message, bytes }: Violation): string {
  const replay = index < 0 ? '' : `${repeat()} --replay ${connection}:${index}\n`
  return `${replay}${message}\nsent: ${JSON.stringify(bytes.toString('latin1').slice(0, 3000))}`
}

/** The command that sends the same again. */
function repeat (): string {
  const { seed, requests, connections, durability } = values
  return `npm run fuzz -- --seed ${seed} --requests ${requests} --connections ${connections} --durability ${durability}${values['both-protocols'] ? ' --both-protocols' : ''}`
}

function encode (violation: Violation): object {
  return { ...violation, bytes: violation.bytes.toString('base64') }
}
