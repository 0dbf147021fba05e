import { readFileSync, writeFileSync } from 'node:fs'
import { inspect } from 'node:util'
import { collect } from './runner/collect.mjs'
import { UsageError, parseFlags, select, usage } from './runner/flags.mjs'
import { describeMachine } from './runner/machine.mjs'
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
  const results = flags.from ? readResults(flags.from) : await measureAll(flags, chosen, contestants, tools)
  save(flags, results)
  const report = formatReport(results, chosen, contestants)
  process.stdout.write(report)
  if (flags.write || isWhole(flags)) writeResults(results, chosen, contestants)
}

/** Whether everything was measured: what would be left out would vanish from the README. */
function isWhole ({ workload, contestant, quick, from }) {
  return !quick && [workload, contestant, from].every(flag => flag === undefined)
}

async function measureAll (flags, chosen, contestants, tools) {
  const present = contestants.filter(contestant => isPresent(contestant, flags.contestant !== undefined))
  const facts = { machine: describeMachine(), versions: getVersions(present), quick: flags.quick }
  // Somebody may end it before its end.
  const keep = samples => save(flags, { ...facts, samples })
  return { ...facts, samples: await collect(chosen, { ...flags, contestants: present, nodeOptions: flags['node-option'], tools, keep }) }
}

function save ({ json }, results) {
  if (json) writeFileSync(json, JSON.stringify(results, null, 1) + '\n')
}

/** @throws Unprepared if one that was asked for can't be run */
function isPresent ({ name, getLack }, asked) {
  const lack = getLack?.() ?? null
  if (lack !== null && asked) throw new Unprepared(`${name}: ${lack}`)
  if (lack !== null) process.stderr.write(`without ${name}: ${lack}\n`)
  return lack === null
}

function shrink (workload) {
  return { ...workload, title: `${workload.title}, shrunk`, ...workload.quick }
}

function getVersions (contestants) {
  return Object.assign({}, ...contestants.map(({ versions }) => versions?.() ?? {}))
}

function readResults (files) {
  const all = files.map(file => JSON.parse(readFileSync(file, 'utf8')))
  const samples = all.reduce((sum, results) => {
    const replaced = new Set(results.samples.map(({ workload }) => workload))
    return [...sum.filter(({ workload }) => !replaced.has(workload)), ...results.samples]
  }, [])
  return { ...all.at(-1), versions: Object.assign({}, ...all.map(({ versions }) => versions)), samples }
}
