import { randomBytes } from 'node:crypto'
import { join, sep } from 'node:path'
import { isValidId } from '../../lib/upload.js'

/** Where the files of uploads are. An id is a file name: the core has checked that it can't leave the directory. */
export interface Paths {
  readonly directory: string
  /** The folder of the journal, if there is one. */
  readonly journal: string
  /** The bytes. */
  data(id: string): string
  /** The small record beside them. */
  record(id: string): string
  /** The lease of the worker that holds it. */
  claim(id: string): string
  /** The folder that names the final uploads which wait for this one. */
  waiting(id: string): string
  /** A name that no other process uses, for a file that is renamed when it is whole. */
  temporary(id: string): string
}

export function createPaths (directory: string): Paths {
  return {
    directory,
    journal: join(directory, '.journal'),
    // As `join` would do it, which takes its time to find nothing to normalise.
    data: id => directory + sep + id,
    record: id => directory + sep + id + RECORD,
    claim: id => join(directory, id + CLAIM),
    waiting: id => join(directory, id + WAITING),
    temporary: id => join(directory, `${id}.${randomBytes(6).toString('hex')}.tmp`)
  }
}

/** The id that a file of the directory is the record of; `null` if it is none. */
export function getRecordId (name: string): string | null {
  return name.endsWith(RECORD) ? name.slice(0, -RECORD.length) : null
}

/** What an entry of the directory is if this adapter made it, and the id that it belongs to; `null` if it can't be of this adapter. */
export function parseOwnName (name: string): { readonly id: string, readonly kind: Kind } | null {
  const ending = OWN.exec(name)?.[0] ?? ''
  const id = name.slice(0, name.length - ending.length)
  return isValidId(id) ? { id, kind: KINDS[ending] ?? 'temporary' } : null
}

type Kind = 'data' | 'record' | 'claim' | 'waiting' | 'temporary'

const RECORD = '.json'
const CLAIM = '.claim'
const WAITING = '.waiting'
const OWN = /(?:\.json|\.claim|\.waiting|\.[0-9a-f]{12}\.tmp)$/
const KINDS: Readonly<Record<string, Kind>> = { '': 'data', [RECORD]: 'record', [CLAIM]: 'claim', [WAITING]: 'waiting' }
