import { parseArgs } from 'node:util'
import { isPrefix } from '../factory-options.js'
import { parseDuration, parseSize } from './units.js'

/** What `serve` was told, with every default filled in. */
export interface ServeFlags {
  readonly host: string
  readonly port: number
  readonly prefix: string
  readonly dir: string
  readonly durability: 'fsync' | 'none'
  readonly journal: boolean
  /** `null`: a directory, or a container of Azure. */
  readonly s3: S3Flags | null
  /** `null`: a directory, or a bucket. */
  readonly azure: AzureFlags | null
  readonly maxSize: number | null
  /** How long incomplete uploads stay after their last byte, in ms; `null` is the default of the plugin. */
  readonly expire: number | null
  /** Origins, or `*`; `null` for none. */
  readonly cors: string | string[] | null
  readonly download: boolean
  /** Whether to speak Resumable Uploads for HTTP beside tus. */
  readonly ietf: boolean
  /** Whether `GET /` is a page to upload with. */
  readonly page: boolean
  readonly trustProxy: string | null
  /** Who excludes whom: see `FsStorageOptions`. */
  readonly locks: 'directory' | 'process'
  /** Whether to keep an index of the directory. */
  readonly index: boolean
  /** Processes. */
  readonly workers: number
  /** How long a client may take to send the head of a request, in ms. */
  readonly headersTimeout: number
  /** How many connections may be open; `null` is no limit. */
  readonly maxConnections: number | null
  /** `null`: none. */
  readonly metrics: MetricsFlags | null
  /** Whether uploads are found under the URLs that tusd gave them on S3, too. */
  readonly tusdUrls: boolean
  readonly logLevel: string
}

export interface MetricsFlags {
  /** Whether they were asked for; otherwise there are none where `prom-client` is not installed. */
  readonly needed: boolean
  /** `null`: that of the uploads. */
  readonly port: number | null
  /** Whether to have them by tusd's names, too. */
  readonly tusd: boolean
}

export interface S3Flags {
  readonly bucket: string
  /** `null`: that of AWS. */
  readonly endpoint: string | null
  /** `null` leaves it to the SDK. */
  readonly region: string | null
  readonly prefix: string
  /** In bytes; `null` is the default of the storage. */
  readonly partSize: number | null
}

export interface AzureFlags {
  readonly container: string
  readonly prefix: string
  /** What to reach the account with, from the environment as the SDK's documentation has it. */
  readonly connectionString: string
}

/** The command line can't be understood; `message` is for the person who typed it. */
export class UsageError extends Error {}

/**
 * Reads the flags of `serve`; what is not given comes from the environment (`FASTIFY_TUS_MAX_SIZE` for `--max-size`), then from the defaults.
 *
 * @throws UsageError
 */
export function parseServeFlags (args: readonly string[], env: NodeJS.ProcessEnv): ServeFlags {
  const values = parse(args)
  const get = (name: string): string | null => values[name] ?? readVariable(env, name)
  const has = (name: string): boolean => !['0', 'false', null].includes(get(name))

  const flags: ServeFlags = {
    host: get('host') ?? '127.0.0.1',
    port: oneOf('port', get('port') ?? '1080', 'a number from 0 to 65535', parsePort),
    prefix: oneOf('prefix', get('prefix') ?? '/files', "a path that starts with '/'", prefix => prefix.startsWith('/') ? prefix : null),
    dir: get('dir') ?? './uploads',
    durability: oneOf('durability', get('durability') ?? 'fsync', 'fsync or none', parseDurability),
    journal: has('journal'),
    s3: readS3(get),
    azure: readAzure(get, env),
    maxSize: optional('max-size', get('max-size'), 'a size such as 5GB or 8MiB', parseSize),
    expire: optional('expire', get('expire'), 'a duration such as 24h or 30s, with its unit, above 0', parseExpire),
    cors: optional('cors', get('cors'), 'an origin such as https://app.example, several with commas between them, or *', parseOrigins),
    download: !has('no-download'),
    ietf: !has('no-ietf'),
    page: !has('no-page'),
    trustProxy: get('trust-proxy'),
    locks: oneOf('locks', get('locks') ?? 'directory', 'directory or process', parseLocks),
    index: has('index'),
    workers: oneOf('workers', get('workers') ?? '1', 'a number from 1 to 1024', parseWorkers),
    headersTimeout: oneOf('headers-timeout', get('headers-timeout') ?? '30s', 'a duration such as 30s, from 1s to 1h', parseHeadersTimeout),
    maxConnections: optional('max-connections', get('max-connections'), 'a whole number from 1', parseCount),
    metrics: readMetrics(get, has),
    tusdUrls: has('tusd-urls'),
    logLevel: oneOf('log-level', get('log-level') ?? 'info', LEVELS.join(', '), level => LEVELS.includes(level) ? level : null)
  }
  if (flags.s3 !== null || flags.azure !== null) {
    const misplaced = ['journal', 'index'].find(has) ?? (get('durability') === null ? undefined : 'durability')
    if (misplaced !== undefined) throw new UsageError(`--${misplaced} is for a directory: leave it out with ${flags.s3 === null ? '--azure-container' : '--s3-bucket'}`)
  }
  if (flags.workers > 1 && flags.locks === 'process') throw new UsageError('--locks process is for one process: leave out --workers')
  return flags
}

function parse (args: readonly string[]): Record<string, string | undefined> {
  try {
    const { values } = parseArgs({ args: [...args], options: OPTIONS, strict: true })
    return Object.fromEntries(Object.entries(values).map(([name, value]) => [name, String(value)]))
  } catch (error) {
    throw new UsageError((error as Error).message)
  }
}

/** What the environment says for a flag. An empty variable, as container set-ups like to pass it, is none. */
export function readVariable (env: NodeJS.ProcessEnv, flag: string): string | null {
  return env[`FASTIFY_TUS_${flag.toUpperCase().replaceAll('-', '_')}`] || null
}

function oneOf<Value> (name: string, text: string, expected: string, read: (text: string) => Value | null): Value {
  const value = read(text)
  if (value === null) throw new UsageError(`--${name} must be ${expected}, not '${text}'`)
  return value
}

function optional<Value> (name: string, text: string | null, expected: string, read: (text: string) => Value | null): Value | null {
  return text === null ? null : oneOf(name, text, expected, read)
}

function readS3 (get: (name: string) => string | null): S3Flags | null {
  const bucket = get('s3-bucket')
  if (bucket === null) return null
  if (get('dir') !== null) throw new UsageError('--dir and --s3-bucket exclude each other')
  return {
    bucket,
    endpoint: optional('s3-endpoint', get('s3-endpoint'), 'a URL such as http://127.0.0.1:9000', text => /^https?:/.test(text) && URL.canParse(text) ? text : null),
    region: get('s3-region'),
    prefix: oneOf('s3-prefix', get('s3-prefix') ?? '', "empty, or a path that ends with '/' and does not start with it", text => isPrefix(text) ? text : null),
    partSize: optional('s3-part-size', get('s3-part-size'), 'a size from 5MiB to 5GiB', parsePartSize)
  }
}

function readMetrics (get: (name: string) => string | null, has: (name: string) => boolean): MetricsFlags | null {
  const port = optional('metrics-port', get('metrics-port'), 'a number from 1 to 65535', text => parsePort(text) || null)
  const tusd = has('metrics-tusd')
  const needed = has('metrics') || port !== null || tusd
  if (has('no-metrics') && needed) throw new UsageError('--no-metrics excludes all other flags of metrics')
  // Where uploads are created at /metrics, it is theirs.
  const isFree = !/^\/+metrics\/*$/.test(get('prefix') ?? '')
  return needed || (isFree && !has('no-metrics')) ? { needed, port, tusd } : null
}

function readAzure (get: (name: string) => string | null, env: NodeJS.ProcessEnv): AzureFlags | null {
  const container = get('azure-container')
  if (container === null) return null
  for (const other of ['dir', 's3-bucket']) {
    if (get(other) !== null) throw new UsageError(`--${other} and --azure-container exclude each other`)
  }
  const connectionString = env.AZURE_STORAGE_CONNECTION_STRING
  if (!connectionString) throw new UsageError('--azure-container needs AZURE_STORAGE_CONNECTION_STRING in the environment')
  const prefix = oneOf('azure-prefix', get('azure-prefix') ?? '', "empty, or a path that ends with '/' and does not start with it", text => isPrefix(text) ? text : null)
  return { container, prefix, connectionString }
}

function parsePartSize (text: string): number | null {
  const size = parseSize(text)
  return size !== null && size >= 5 * 1024 ** 2 && size <= 5 * 1024 ** 3 ? size : null
}

function parsePort (text: string): number | null {
  return /^\d{1,5}$/.test(text) && Number(text) <= 65535 ? Number(text) : null
}

function parseLocks (text: string): 'directory' | 'process' | null {
  return text === 'directory' || text === 'process' ? text : null
}

function parseWorkers (text: string): number | null {
  return /^[1-9]\d{0,3}$/.test(text) && Number(text) <= 1024 ? Number(text) : null
}

/** With a unit: who means minutes must not get seconds. */
function parseExpire (text: string): number | null {
  return /^\s*[\d.]*\s*$/.test(text) ? null : parseDuration(text) || null
}

function parseOrigins (text: string): string | string[] | null {
  const origins = text.split(',').map(origin => origin.trim()).filter(origin => origin !== '')
  return origins.length > 1 ? origins : origins[0] ?? null
}

function parseHeadersTimeout (text: string): number | null {
  const duration = parseDuration(text)
  return duration !== null && duration >= 1000 && duration <= 3_600_000 ? duration : null
}

function parseCount (text: string): number | null {
  return /^[1-9]\d{0,8}$/.test(text) ? Number(text) : null
}

function parseDurability (text: string): 'fsync' | 'none' | null {
  return text === 'fsync' || text === 'none' ? text : null
}

const LEVELS = ['trace', 'debug', 'info', 'warn', 'error', 'fatal', 'silent']
const text = { type: 'string' } as const
const flag = { type: 'boolean' } as const
const OPTIONS = {
  host: text,
  port: text,
  prefix: text,
  dir: text,
  durability: text,
  's3-bucket': text,
  's3-endpoint': text,
  's3-region': text,
  's3-prefix': text,
  's3-part-size': text,
  'azure-container': text,
  'azure-prefix': text,
  'max-size': text,
  expire: text,
  cors: text,
  'no-download': flag,
  'no-ietf': flag,
  'no-page': flag,
  'trust-proxy': text,
  locks: text,
  index: flag,
  workers: text,
  'headers-timeout': text,
  'max-connections': text,
  metrics: flag,
  'metrics-port': text,
  'metrics-tusd': flag,
  'no-metrics': flag,
  'log-level': text,
  journal: flag,
  'tusd-urls': flag
} as const
