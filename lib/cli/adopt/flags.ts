import { parseArgs } from 'node:util'
import { isPrefix } from '../../factory-options.js'
import { UsageError, type S3Flags } from '../flags.js'
import type { Origin } from './foreign.js'

/** What `adopt` was told. */
export interface AdoptFlags {
  readonly from: Origin
  readonly place: { readonly directory: string } | Omit<S3Flags, 'partSize'>
  readonly urlPrefix: string
  /** Otherwise nothing is changed. */
  readonly write: boolean
  readonly backup: boolean
  readonly claimable: boolean
}

/** @throws UsageError */
export function parseAdoptFlags (args: readonly string[]): AdoptFlags {
  const values = parse(args)
  if (values.from !== 'tus-server' && values.from !== 'tusd') throw new UsageError('--from must be tus-server or tusd')
  return {
    from: values.from,
    place: readPlace(values),
    urlPrefix: readUrlPrefix(values['url-prefix'] ?? '/files'),
    write: values.write ?? false,
    backup: !values['no-backup'],
    claimable: values.claimable ?? false
  }
}

function parse (args: readonly string[]) {
  try {
    return parseArgs({ args: [...args], options: OPTIONS, strict: true }).values
  } catch (error) {
    throw new UsageError((error as Error).message)
  }
}

function readPlace ({ directory, bucket, endpoint, region, prefix }: ReturnType<typeof parse>): AdoptFlags['place'] {
  if ((directory === undefined) === (bucket === undefined)) throw new UsageError('adopt needs --directory or --bucket')
  if (directory !== undefined) return { directory }
  if (endpoint !== undefined && !URL.canParse(endpoint)) throw new UsageError(`--endpoint must be a URL, not '${endpoint}'`)
  if (prefix !== undefined && !isPrefix(prefix)) throw new UsageError(`--prefix must be empty, or a path that ends with '/' and does not start with it, not '${prefix}'`)
  return { bucket: bucket!, endpoint: endpoint ?? null, region: region ?? null, prefix: prefix ?? '' }
}

function readUrlPrefix (text: string): string {
  if (!/^\/\S*$/.test(text)) throw new UsageError(`--url-prefix must be a path that starts with '/', not '${text}'`)
  return text.replace(/\/+$/, '')
}

const text = { type: 'string' } as const
const flag = { type: 'boolean' } as const
const OPTIONS = {
  from: text,
  directory: text,
  bucket: text,
  endpoint: text,
  region: text,
  prefix: text,
  'url-prefix': text,
  write: flag,
  'no-backup': flag,
  claimable: flag
} as const
