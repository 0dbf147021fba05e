import { randomBytes } from 'node:crypto'
import { isValidId, type NewUpload } from '../../lib/upload.js'

/** The names of the objects of an upload. */
export interface Keys {
  readonly prefix: string
  /** The object that the upload becomes. */
  readonly data: (upload: NewUpload) => string
  /** Whether the application has chosen that. */
  readonly chosen: boolean
  readonly record: (id: string) => string
  /** Bytes that don't fill a part yet. */
  readonly piece: (id: string, name: string) => string
  readonly claim: (id: string) => string
  /** Notes that a final upload waits for a partial one; with an empty `final`, what all of those of a partial one begin with. */
  readonly waiting: (partial: string, final: string) => string
  /** For the check at the start. */
  readonly check: () => string
}

export function createKeys (prefix: string, data?: (upload: NewUpload) => string): Keys {
  return {
    prefix,
    chosen: data !== undefined,
    data: data ?? (({ id }) => `${prefix}${id}`),
    record: id => `${prefix}${id}.info`,
    piece: (id, name) => `${prefix}${id}.${name}.pending`,
    claim: id => `${prefix}${id}.claim`,
    waiting: (partial, final) => `${prefix}${partial}.waiting/${final}`,
    check: () => `${prefix}${createName()}.tmp`
  }
}

/** A name that nothing else has: 96 random bits, in hexadecimal. */
export function createName (): string {
  return randomBytes(12).toString('hex')
}

/** What a key under the prefix stands for; `null` for what is not this storage's, or is the bytes of an upload. */
export function parseKey (prefix: string, key: string): { readonly id: string, readonly kind: 'record' | 'piece' | 'claim' | 'waiting', readonly name: string } | null {
  if (!key.startsWith(prefix)) return null
  const match = NAMES.exec(key.slice(prefix.length))
  if (!match) return null
  const { record, piece, pieceName = '', claim, waiting, final = '' } = match.groups as Partial<Record<string, string>>
  const id = record ?? piece ?? claim ?? waiting ?? ''
  if (!isValidId(id)) return null
  const kind = record !== undefined ? 'record' : piece !== undefined ? 'piece' : claim !== undefined ? 'claim' : 'waiting'
  return { id, kind, name: pieceName || final }
}

const NAMES = /^(?:(?<record>[^/]+)\.info|(?<piece>[^/]+)\.(?<pieceName>[0-9a-f]{24})\.pending|(?<claim>[^/]+)\.claim|(?<waiting>[^/]+)\.waiting\/(?<final>[^/]+))$/
