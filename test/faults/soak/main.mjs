import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { parseArgs } from 'node:util'
import { runRawClient } from '../chaos/client-raw.mjs'
import { runStockClient } from '../chaos/client-stock.mjs'
import { inspectDirectory } from '../chaos/directory.mjs'
import { createRandom } from '../chaos/random.mjs'
import { Run } from '../chaos/run.mjs'
import { startServers } from '../chaos/servers.mjs'
import { compare, formatSamples } from './compare.mjs'
import { Sampler } from './sampler.mjs'

// The clients of the chaos run on a server that nobody kills: what it holds when they have gone is what it held before they came.

/** How long a server rests before it is looked at, in ms: descriptors of uploads that nobody uses are closed after 20 to 30 s. */
const REST = 35_000

const flags = parseArgs({
  options: {
    minutes: { type: 'string', default: '30' },
    workers: { type: 'string', default: '1' },
    clients: { type: 'string', default: '12' },
    seed: { type: 'string', default: String(Date.now()) },
    json: { type: 'string' }
  }
}).values

const directory = mkdtempSync(join(tmpdir(), 'fastify-tus-soak-'))
process.once('exit', () => rmSync(directory, { recursive: true, force: true }))
for (const signal of ['SIGINT', 'SIGTERM']) process.once(signal, () => process.exit(1))
process.exit(await main() === 0 ? 0 : 1)

/** Resolves to the number of things that are wrong. */
async function main () {
  const run = new Run(flags.seed)
  const sampler = new Sampler()
  run.servers = await startServers({
    mode: Number(flags.workers) > 1 ? 'cluster' : 'processes',
    workers: Number(flags.workers),
    directory,
    flags: ['--expire', '24h'],
    nodeFlags: ['--expose-gc', '--import', new URL('probe.mjs', import.meta.url).href],
    onDeath: what => run.violate(what),
    onLog: text => sampler.read(text)
  })
  const total = Number(flags.minutes) * 60_000
  await load(run, 'warm-up', Math.min(60_000, total / 4))
  const begin = await sampler.take(run.servers, 'begin', REST)
  const watching = watch(sampler, run, total)
  await load(run, 'soak', total)
  await watching
  let end = await sampler.take(run.servers, 'end', REST)
  // A sweep that happens to run has files open as well: it comes to an end.
  for (let patience = 3; patience > 0 && end.files > begin.files; patience--) end = await sampler.take(run.servers, 'end, again', REST)
  return report(run, sampler.samples, begin, end)
}

/** Lets clients work for so long, and waits until each is done with its last upload. */
async function load (run, name, duration) {
  run.resume()
  setTimeout(() => run.stop(), duration)
  await Promise.all(Array.from({ length: Number(flags.clients) }, (_, number) => {
    const random = createRandom(`${run.seed}/${name}/${number}`)
    return (number % 6 === 5 ? runStockClient : runRawClient)(run, random, `${name}/${number}`)
  }))
}

async function watch (sampler, run, total) {
  const interval = Math.max(5_000, total / 20)
  for (let passed = interval; passed < total; passed += interval) {
    await sleep(interval)
    await sampler.take(run.servers, `${Math.round(passed / 1000)} s`, 0)
  }
}

async function report (run, samples, begin, end) {
  const problem = await run.servers.stop()
  if (problem) run.violate(`a server did not end in order: ${problem}`)
  const { own, temporary } = await inspectDirectory(directory)
  if (own.length + temporary.length > 0) run.violate(`files stay: ${[...own, ...temporary].join(', ')}`)
  for (const what of compare(begin, end)) run.violate(what)
  const uploads = run.figures.total('finished')
  process.stdout.write(`${formatSamples(samples)}\n${uploads} uploads finished, ${run.figures.total('cuts')} cuts, ${run.violationCount} violations\n`)
  for (const { what } of run.violations) process.stdout.write(`- ${what}\n`)
  if (flags.json) writeFileSync(flags.json, JSON.stringify({ ...flags, samples, uploads, violations: run.violationCount, details: run.violations, figures: run.figures }, null, 2) + '\n')
  return run.violationCount
}
