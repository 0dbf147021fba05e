import { mkdtempSync, mkdirSync, readdirSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join, resolve } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { runRawClient } from './client-raw.mjs'
import { runStockClient } from './client-stock.mjs'
import { clearUp, finishAll } from './closing.mjs'
import { createDirectoryPlace } from './directory.mjs'
import { UsageError, parseFlags, usage } from './flags.mjs'
import { startKiller } from './killer.mjs'
import { createRandom } from './random.mjs'
import { formatReport } from './report.mjs'
import { Run } from './run.mjs'
import { startServers } from './servers.mjs'
import { speak } from './words.mjs'

try {
  const flags = parseFlags(process.argv.slice(2))
  if (flags.help) process.stdout.write(usage)
  // What a client left hanging must not keep the process.
  else process.exit(await main(flags) === 0 ? 0 : 1)
} catch (error) {
  process.stderr.write(`chaos: ${error instanceof UsageError ? `${error.message}\n\n${usage}` : error.stack}\n`)
  process.exit(2)
}

/** Resolves to the number of violations. */
async function main (flags) {
  const directory = prepareDirectory(flags.dir)
  const run = new Run(flags.seed)
  const start = performance.now()
  for (const signal of ['SIGINT', 'SIGTERM']) {
    process.once(signal, () => {
      run.violate(`ended by ${signal}: ${describeOpen(run)}`)
      report(run, flags, directory, { seconds: (performance.now() - start) / 1000, cleared: null })
      process.exit(1)
    })
  }
  const cleared = await perform(run, flags, directory).catch(error => {
    run.violate(`the run itself failed: ${error.stack}`)
    return null
  })
  report(run, flags, directory, { seconds: (performance.now() - start) / 1000, cleared })
  return run.violationCount
}

function report (run, flags, directory, { seconds, cleared }) {
  process.stdout.write(formatReport(run, flags, { seconds, cleared }))
  if (run.violationCount > 0 && run.servers?.log) process.stderr.write(`\nThe end of what servers logged:\n${run.servers.log.slice(-4000)}\n`)
  if (flags.json) writeFileSync(flags.json, JSON.stringify({ ...flags, seconds, violations: run.violationCount, cleared, figures: run.figures, details: run.violations }, null, 2) + '\n')
  if (!flags.dir && run.violationCount === 0) rmSync(directory, { recursive: true, force: true })
  else process.stderr.write(`chaos: the uploads are in ${directory}\n`)
}

/** The uploads that somebody still works on, for who wants to know what a run waits for. */
function describeOpen ({ journals }) {
  return JSON.stringify([...journals.values()].filter(({ finished, partial }) => !finished && !partial).slice(0, 5).map(journal => journal.tell()))
}

async function perform (run, flags, directory) {
  speak(flags.protocol)
  const endpoint = flags['s3-endpoint']
  run.place = endpoint === undefined ? createDirectoryPlace(directory) : await (await import('./bucket.mjs')).createBucketPlace(endpoint)
  run.servers = await startServers({
    mode: flags.mode,
    workers: flags.workers,
    place: run.place,
    ...endpoint === undefined && { directory },
    // Nothing expires while it runs.
    flags: ['--expire', '24h', '--durability', flags.durability],
    onDeath: what => run.violate(what)
  })
  const stopKiller = startKiller(run, createRandom(`${flags.seed}/killer`), flags.killEvery)
  const progress = setInterval(() => showProgress(run), 10_000)
  const clients = Array.from({ length: flags.clients }, (_, number) => startClient(run, number))
  await sleep(flags.minutes * 60_000)
  run.stop()
  await Promise.all(clients)
  await stopKiller()
  await run.servers.recover()
  await finishAll(run, createRandom(`${flags.seed}/end`))
  clearInterval(progress)
  return clearUp(run)
}

async function startClient (run, number) {
  const name = number % 8 === 7 ? `stock ${number}` : `raw ${number}`
  const random = createRandom(`${run.seed}/${name}`)
  try {
    await (name.startsWith('stock') ? runStockClient : runRawClient)(run, random, name)
  } catch (error) {
    run.violate(`client ${name} failed: ${error.stack}`)
  }
}

function showProgress ({ figures, violationCount }) {
  process.stderr.write(`chaos: ${figures.total('uploads')} uploads, ${figures.total('finished')} finished, ${figures.get('strikes', 'SIGKILL')} kills, ${violationCount} violations\n`)
}

function prepareDirectory (given) {
  if (!given) return mkdtempSync(join(tmpdir(), 'fastify-tus-chaos-'))
  const directory = resolve(given)
  mkdirSync(directory, { recursive: true })
  if (readdirSync(directory).length > 0) throw new UsageError('--dir must be empty')
  return directory
}
