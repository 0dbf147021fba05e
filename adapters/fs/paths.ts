import { randomBytes } from 'node:crypto'
import { join } from 'node:path'

/** Where the files of uploads are. An id is a file name: the core has checked that it can't leave the directory. */
export interface Paths {
  readonly directory: string
  /** The bytes. */
  data(id: string): string
  /** The small record beside them. */
  record(id: string): string
  /** A name that no other process uses, for a file that is renamed when it is whole. */
  temporary(id: string): string
}

export function createPaths (directory: string): Paths {
  return {
    directory,
    data: id => join(directory, id),
    record: id => join(directory, id + RECORD),
    temporary: id => join(directory, `${id}.${randomBytes(6).toString('hex')}.tmp`)
  }
}

/** The id that a file of the directory is the record of; `null` if it is none. */
export function getRecordId (name: string): string | null {
  return name.endsWith(RECORD) ? name.slice(0, -RECORD.length) : null
}

const RECORD = '.json'
