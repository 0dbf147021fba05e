import type { Stats } from 'node:fs'
import type { UploadRecord } from './record.js'

/** What this process knows of one upload, and the descriptor that it keeps open on the bytes. */
export interface OpenUpload {
  readonly id: string
  record: UploadRecord
  /** Tells whether the record has been replaced since, by this or by another process. */
  stamp: Stamp
  /** Bytes known to be durable. */
  durable: number
  modifiedAt: Date
  /** The names of its files are durable for certain, and not by the journal alone. */
  isNamed: boolean
  /** Bytes are being appended: what the file has beyond `durable` does not count yet. */
  appending: boolean
  /** Where the file has to be cut before anything of it is counted: a cut that failed when it was due. */
  cutAt: Cut | null
  /** Its descriptor, opened when first needed. */
  file: Promise<number> | number | null
  users: number
  dropped: boolean
  usedAt: number
  /** The turn of the event loop in which the holder of the lock looked at it, or made it: then it has changed for nobody. */
  vouchedIn: number
}

interface Cut {
  /** In bytes. */
  readonly length: number
  /** When the file was written last, in ms: another process that has written since has seen to it. `null` if even that is unknown. */
  readonly writtenAt: number | null
}

export function createEntry (record: UploadRecord, stamp: Stamp, fd: number | null): OpenUpload {
  return {
    id: record.upload.id,
    record,
    stamp,
    durable: 0,
    modifiedAt: record.upload.createdAt,
    isNamed: false,
    appending: false,
    cutAt: null,
    file: fd,
    users: 0,
    dropped: false,
    usedAt: Date.now(),
    vouchedIn: -1
  }
}

/** Behind the last byte of the file that counts. */
export function getEnd ({ hold }: UploadRecord, { size }: Stats): number {
  return hold === null ? size : Math.min(size, hold)
}

/** What distinguishes a file from the one that a rename puts in its place. */
export type Stamp = Pick<Stats, 'ino' | 'mtimeMs' | 'size'>

export function getStamp ({ ino, mtimeMs, size }: Stats): Stamp {
  return { ino, mtimeMs, size }
}

export function hasStamp ({ ino, mtimeMs, size }: Stats, stamp: Stamp): boolean {
  return ino === stamp.ino && mtimeMs === stamp.mtimeMs && size === stamp.size
}
