import { parseArgs } from 'node:util'

export const usage = `Usage: node bench/run.mjs [flags]

  --workload a,b      only these workloads
  --contestant a,b    only these servers
  --rounds N          how often each server runs each workload (5)
  --dir PATH          where to store what goes to the memory filesystem else
  --disk PATH         where to store in workloads for a disk (bench/build)
  --quick             tiny sizes, one round: shows that it works, not how fast
  --json FILE         writes every sample
  --from a,b          measures nothing: reports on samples that --json wrote; later files replace workloads of earlier ones
  --write             puts the report into bench/README.md, and draws bench/plots, as a run of everything does
  --node-option X     for the processes of servers made of Node, such as --cpu-prof; repeatable
`

/** The command line can't be understood. */
export class UsageError extends Error {}

/** @throws UsageError */
export function parseFlags (args) {
  const values = parse(args)
  const rounds = Number(values.rounds ?? (values.quick ? 1 : 5))
  if (!Number.isInteger(rounds) || rounds < 1) throw new UsageError('--rounds must be a number from 1 on')
  return { ...values, rounds, workload: split(values.workload), contestant: split(values.contestant), from: split(values.from) }
}

/**
 * The entries of a table that a flag names, in the order of the table; all of them without the flag.
 *
 * @throws UsageError for a name that is not there
 */
export function select (flag, table, names) {
  const known = table.map(({ name }) => name)
  const unknown = names?.find(name => !known.includes(name))
  if (unknown !== undefined) throw new UsageError(`--${flag} can be ${known.join(', ')}, not '${unknown}'`)
  return names ? table.filter(({ name }) => names.includes(name)) : table
}

function parse (args) {
  try {
    return parseArgs({ args, options }).values
  } catch (error) {
    throw new UsageError(error.message)
  }
}

function split (list) {
  return list?.split(',').map(name => name.trim()).filter(Boolean)
}

const options = {
  workload: { type: 'string' },
  contestant: { type: 'string' },
  rounds: { type: 'string' },
  dir: { type: 'string' },
  disk: { type: 'string' },
  quick: { type: 'boolean', default: false },
  json: { type: 'string' },
  from: { type: 'string' },
  write: { type: 'boolean', default: false },
  'node-option': { type: 'string', multiple: true, default: [] },
  help: { type: 'boolean', default: false }
}
