import { existsSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { inspect } from 'node:util'
import { UsageError, parseFlags, select, usage } from './runner/flags.mjs'
import { describeMachine, getFilesystem } from './runner/machine.mjs'
import { measure } from './runner/measure.mjs'
import { Unprepared, prepare } from './runner/prepare.mjs'
import { writeResults } from './runner/readme.mjs'
import { formatReport } from './runner/report.mjs'
import { loadContestants } from './servers/index.mjs'
import { workloads } from './workloads/index.mjs'

try {
  await run(parseFlags(process.argv.slice(2)))
} catch (error) {
  const expected = error instanceof UsageError || error instanceof Unprepared
  process.stderr.write(`bench: ${expected ? error.message : inspect(error)}\n${error instanceof UsageError ? `\n${usage}` : ''}`)
  process.exitCode = error instanceof UsageError ? 2 : 1
}

async function run (flags) {
  if (flags.help) return process.stdout.write(usage)
  const chosen = select('workload', workloads, flags.workload).map(workload => flags.quick ? shrink(workload) : workload)
  const tools = prepare()
  const contestants = select('contestant', await loadContestants(), flags.contestant)
  const directory = createDirectory(flags.dir)
  try {
    const plan = { contestants, rounds: flags.rounds, directory, nodeOptions: flags['node-option'], tools, flush: getFilesystem(directory) !== 'tmpfs' }
    // Every workload gets a fresh process, but for a smoke run that would take too long.
    const samples = await collect(flags.quick ? [chosen] : chosen.map(workload => [workload]), plan)
    const facts = { machine: describeMachine(directory), versions: getVersions(contestants), rounds: flags.rounds, quick: flags.quick }
    if (flags.json) writeFileSync(flags.json, JSON.stringify({ ...facts, samples }, null, 2) + '\n')
    const report = formatReport(facts, chosen, contestants, samples)
    process.stdout.write(report)
    if (flags.write) writeResults(report)
  } finally {
    rmSync(directory, { recursive: true, force: true })
  }
}

function shrink (workload) {
  return { ...workload, title: `${workload.title}, shrunk`, ...workload.quick }
}

async function collect (groups, plan) {
  const samples = []
  for (const group of groups) {
    for await (const sample of measure(group, plan)) {
      samples.push(sample)
      process.stderr.write(`${sample.workload} ${sample.round}/${plan.rounds} ${sample.contestant} ${sample.seconds.toFixed(2)} s\n`)
    }
  }
  return samples
}

/** A directory of this run alone: on the memory filesystem if nobody asks for a disk. */
function createDirectory (parent) {
  const directory = mkdtempSync(join(parent ?? (existsSync('/dev/shm') ? '/dev/shm' : tmpdir()), 'fastify-tus-bench-'))
  for (const signal of ['SIGINT', 'SIGTERM']) {
    process.once(signal, () => {
      rmSync(directory, { recursive: true, force: true })
      process.exit(1)
    })
  }
  return directory
}

function getVersions (contestants) {
  return Object.assign({}, ...contestants.map(({ versions }) => versions?.() ?? {}))
}
