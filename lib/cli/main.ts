#!/usr/bin/env node
import cluster from 'node:cluster'
import { readFileSync } from 'node:fs'
import { adopt } from './adopt/adopt.js'
import { parseAdoptFlags } from './adopt/flags.js'
import { UsageError, parseServeFlags, type ServeFlags } from './flags.js'
import type { Ready } from './workers.js'

const USAGE = `fastify-tus: resumable uploads over tus

  fastify-tus serve [--host 127.0.0.1] [--port 1080] [--prefix /files]
                    [--dir ./uploads] [--durability fsync|none] [--index] [--journal]
                    [--s3-bucket NAME] [--s3-endpoint URL] [--s3-region REGION] [--s3-prefix PREFIX] [--s3-part-size SIZE]
                    [--azure-container NAME] [--azure-prefix PREFIX]
                    [--max-size SIZE] [--expire DURATION] [--cors ORIGIN] [--no-download] [--no-ietf] [--no-page]
                    [--trust-proxy CIDR] [--headers-timeout DURATION] [--max-connections N]
                    [--workers N] [--locks directory|process] [--log-level LEVEL] [--tusd-urls]
                    [--metrics] [--metrics-port PORT] [--metrics-tusd] [--no-metrics]
  fastify-tus upload FILE... --to URL [--parallel N] [--chunk-size SIZE] [--metadata KEY=VALUE]... [--header 'NAME: VALUE']...
                     [--retry N] [--stall-timeout DURATION]
  fastify-tus adopt --from tus-server|tusd
                    --directory DIR | --bucket NAME [--endpoint URL] [--region REGION] [--prefix PREFIX]
                    [--url-prefix /files] [--claimable] [--no-backup] [--write]

Sizes read 5GB or 8MiB, durations 24h or 30s. Incomplete uploads expire that long after their last byte,
by default after 24h. adopt takes over the uploads of another server where they are, and without --write only says which. With several workers, SIGHUP replaces one after the other. Each flag of serve and upload also reads from the environment: FASTIFY_TUS_PORT, FASTIFY_TUS_MAX_SIZE, …
`

try {
  await run(process.argv.slice(2))
} catch (error) {
  const usage = error instanceof UsageError
  process.stderr.write(`fastify-tus: ${(error as Error).message}\n${usage ? `\n${USAGE}` : ''}`)
  process.exit(usage ? 2 : 1)
}

async function run ([command, ...args]: string[]): Promise<void> {
  if (args.includes('--help') || args.includes('-h')) return run(['--help'])
  switch (command) {
    case 'serve':
      await start(parseServeFlags(args, process.env))
      return
    case 'upload':
      await send(args)
      return
    case 'adopt':
      await adopt(parseAdoptFlags(args), line => { process.stdout.write(`${line}\n`) })
      return
    case '--help': case '-h': case 'help':
      process.stdout.write(USAGE)
      return
    case '--version': case '-v':
      process.stdout.write(`${readVersion()}\n`)
      return
    default:
      throw new UsageError(command === undefined ? 'a command is missing' : `there is no command '${command}'`)
  }
}

/** Each command loads what it needs itself: who sends a file need not wait for a server. */
async function start (flags: ServeFlags): Promise<void> {
  const [{ serve }, { WORKER_PORT, Workers }] = await Promise.all([import('./serve.js'), import('./workers.js')])
  const several = flags.workers > 1
  const port = Number(process.env[WORKER_PORT] ?? flags.port)
  const url = several && cluster.isPrimary ? await new Workers(flags).start() : await serve({ ...flags, port })
  if (cluster.isWorker) process.send!({ url } satisfies Ready)
  else process.stdout.write(`fastify-tus listening on ${url}\n`)
}

async function send (args: readonly string[]): Promise<void> {
  const [{ parseUploadFlags }, { upload }] = await Promise.all([import('./upload/flags.js'), import('./upload/index.js')])
  const code = await upload(parseUploadFlags(args, process.env))
  // When all that was printed has gone out.
  process.stdout.write('', () => process.exit(code))
}

function readVersion (): string {
  return JSON.parse(readFileSync(new URL('../../../package.json', import.meta.url), 'utf8')).version
}
