import { parseArgs } from 'node:util'
import { readVariable, UsageError } from '../flags.js'
import { parseDuration, parseSize } from '../units.js'

/** What `upload` was told, with every default filled in. */
export interface UploadFlags {
  /** Paths; `-` is standard input. */
  readonly files: readonly string[]
  /** Where uploads are created. */
  readonly to: string
  /** How many files are sent at once. */
  readonly parallel: number
  /** The most that one request brings, in bytes; `null` is all that is left. */
  readonly chunkSize: number | null
  readonly metadata: Readonly<Record<string, string>>
  readonly headers: Readonly<Record<string, string>>
  /** How often a file that does not get on is tried again. */
  readonly retries: number
  /** After how long a connection on which nothing moves is given up, in ms; 0 is never. */
  readonly stallTimeout: number
}

/**
 * Reads the flags of `upload`; what is not given comes from the environment (`FASTIFY_TUS_TO` for `--to`), then from the defaults.
 *
 * @throws UsageError
 */
export function parseUploadFlags (args: readonly string[], env: NodeJS.ProcessEnv): UploadFlags {
  const { values, files } = parse(args)
  const get = (name: SingleFlag): string | null => values[name] ?? readVariable(env, name)
  const getAll = (name: RepeatedFlag): readonly string[] => values[name] ?? [readVariable(env, name) ?? []].flat()
  const [to, chunkSize] = [get('to'), get('chunk-size')]
  if (files.length === 0) throw new UsageError('a file is missing')
  if (files.filter(file => file === STDIN).length > 1) throw new UsageError('standard input can be sent once')
  if (to === null) throw new UsageError('--to is missing: the URL where uploads are created')
  return {
    files: [...new Set(files)],
    to: parseUrl(to),
    parallel: parseNumber('parallel', get('parallel') ?? '1', 1, 64),
    chunkSize: chunkSize === null ? null : parseChunkSize(chunkSize),
    metadata: Object.fromEntries(getAll('metadata').map(parseMetadata)),
    headers: Object.fromEntries(getAll('header').map(parseHeader)),
    retries: parseNumber('retry', get('retry') ?? '8', 0, 1_000_000),
    stallTimeout: parseStallTimeout(get('stall-timeout') ?? '60s')
  }
}

function parse (args: readonly string[]) {
  try {
    const { values, positionals } = parseArgs({ args: [...args], options: OPTIONS, strict: true, allowPositionals: true })
    return { values, files: positionals }
  } catch (error) {
    throw new UsageError((error as Error).message)
  }
}

function parseUrl (text: string): string {
  if (!URL.canParse(text) || !/^https?:$/.test(new URL(text).protocol)) throw new UsageError(`--to must be a URL such as http://127.0.0.1:1080/files, not '${text}'`)
  return new URL(text).href
}

function parseNumber (name: string, text: string, min: number, max: number): number {
  if (!/^\d{1,7}$/.test(text) || Number(text) < min || Number(text) > max) throw new UsageError(`--${name} must be a whole number from ${min} to ${max}, not '${text}'`)
  return Number(text)
}

function parseChunkSize (text: string): number {
  const size = parseSize(text)
  if (size === null || size === 0) throw new UsageError(`--chunk-size must be a size such as 8MiB, not '${text}'`)
  return size
}

function parseStallTimeout (text: string): number {
  const duration = parseDuration(text)
  if (duration === null || duration > DAY) throw new UsageError(`--stall-timeout must be a duration such as 60s, up to 24h, or 0, not '${text}'`)
  return duration
}

function parseMetadata (text: string): [string, string] {
  const [, key, value] = /^([^=\s,]+)=(.*)$/su.exec(text) ?? []
  if (key === undefined || !/^[\x21-\x7e]+$/.test(key)) throw new UsageError(`--metadata must be key=value, with a key of ASCII characters, not '${text}'`)
  return [key, value!]
}

/** What it was is not shown: headers hold secrets. */
function parseHeader (text: string): [string, string] {
  const [, name, value] = /^([!#$%&'*+.^_`|~\w-]+):\s*(.*?)\s*$/.exec(text) ?? []
  if (name === undefined) throw new UsageError("--header must be 'Name: value'")
  return [name, value!]
}

/** The name of standard input among files. */
export const STDIN = '-'

const OPTIONS = {
  to: { type: 'string' },
  parallel: { type: 'string' },
  'chunk-size': { type: 'string' },
  metadata: { type: 'string', multiple: true },
  header: { type: 'string', multiple: true },
  retry: { type: 'string' },
  'stall-timeout': { type: 'string' }
} as const
type RepeatedFlag = 'metadata' | 'header'
type SingleFlag = Exclude<keyof typeof OPTIONS, RepeatedFlag>
const DAY = 86_400_000
