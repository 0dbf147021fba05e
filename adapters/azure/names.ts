import { randomBytes } from 'node:crypto'
import { isValidId } from '../../lib/upload.js'

/** The names of the blobs of an upload. */
export interface Names {
  readonly prefix: string
  readonly data: (id: string) => string
  readonly record: (id: string) => string
  readonly claim: (id: string) => string
  /** Notes that a final upload waits for a partial one; with an empty `final`, what all of those of a partial one begin with. */
  readonly waiting: (partial: string, final: string) => string
}

export function createNames (prefix: string): Names {
  return {
    prefix,
    data: id => `${prefix}${id}`,
    record: id => `${prefix}${id}.info`,
    claim: id => `${prefix}${id}.claim`,
    waiting: (partial, final) => `${prefix}${partial}.waiting/${final}`
  }
}

/** A name that nothing else has: 96 random bits, in hexadecimal. */
export function createName (): string {
  return randomBytes(12).toString('hex')
}

/** What a blob under the prefix stands for; `null` for what is not this storage's. */
export function parseName (prefix: string, name: string): { readonly id: string, readonly kind: 'data' | 'record' | 'claim' | 'waiting' } | null {
  if (!name.startsWith(prefix)) return null
  const rest = name.slice(prefix.length)
  if (isValidId(rest)) return { id: rest, kind: 'data' }
  for (const [kind, pattern] of KINDS) {
    const id = pattern.exec(rest)?.[1]
    if (id !== undefined && isValidId(id)) return { id, kind }
  }
  return null
}

const KINDS = [['record', /^([^/]+)\.info$/], ['claim', /^([^/]+)\.claim$/], ['waiting', /^([^/]+)\.waiting\/[^/]+$/]] as const
