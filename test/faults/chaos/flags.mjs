import { parseArgs } from 'node:util'

export const usage = `Usage: npm run chaos -- [flags]

  --minutes N       how long clients upload and servers die (1)
  --seed S          the same seed, the same plan; what the network makes of it differs (the time)
  --workers N       processes (4)
  --clients N       at once (50); one in eight is tus-js-client
  --kill-every T    how often a random worker is killed: 2s, 500ms (2s)
  --mode M          cluster: serve --workers N. processes: N independent servers on one directory (cluster)
  --protocol P      tus, or ietf: in the words of the draft, tus-js-client in its two versions of it (tus)
  --dir D           where the uploads are; must be empty or missing, and stays (a temporary one)
  --s3-endpoint U   an S3 server, with the credentials of the environment: the uploads are in a bucket of their own there
  --durability M    fsync or none (fsync)
  --json FILE       writes every figure and violation
`

/** The command line can't be understood. */
export class UsageError extends Error {}

/** @throws UsageError */
export function parseFlags (args) {
  const values = parse(args)
  if (!['cluster', 'processes'].includes(values.mode)) throw new UsageError("--mode must be 'cluster' or 'processes'")
  if (!['tus', 'ietf'].includes(values.protocol)) throw new UsageError("--protocol must be 'tus' or 'ietf'")
  return {
    ...values,
    minutes: positive('minutes', values.minutes),
    workers: Math.ceil(positive('workers', values.workers)),
    clients: Math.ceil(positive('clients', values.clients)),
    killEvery: parseDuration(values['kill-every']),
    seed: values.seed ?? String(Date.now())
  }
}

function parse (args) {
  try {
    return parseArgs({ args, options }).values
  } catch (error) {
    throw new UsageError(error.message)
  }
}

function positive (name, text) {
  const value = Number(text)
  if (!(value > 0)) throw new UsageError(`--${name} must be a number above 0`)
  return value
}

/** In ms. */
function parseDuration (text) {
  const [, number, unit] = /^(\d+(?:\.\d+)?)(ms|s)$/.exec(text) ?? []
  if (!(Number(number) > 0)) throw new UsageError("--kill-every must be a duration such as '2s' or '500ms'")
  return Number(number) * (unit === 's' ? 1000 : 1)
}

const options = {
  minutes: { type: 'string', default: '1' },
  seed: { type: 'string' },
  workers: { type: 'string', default: '4' },
  clients: { type: 'string', default: '50' },
  'kill-every': { type: 'string', default: '2s' },
  mode: { type: 'string', default: 'cluster' },
  protocol: { type: 'string', default: 'tus' },
  dir: { type: 'string' },
  's3-endpoint': { type: 'string' },
  durability: { type: 'string', default: 'fsync' },
  json: { type: 'string' },
  help: { type: 'boolean', default: false }
}
