import { join } from 'node:path'

/**
 * The files of the folder `.journal`.
 *
 * - `<process>.<number>.log`: entries of one process.
 * - `removed/<id>.<created>`: that upload was removed while there were logs that may name it.
 * - `doubted`: somebody has begun to sync the file system, and does not know yet whether it succeeds.
 */
export function formatLogName (owner: string, number: string): string {
  return `${owner}.${number}.log`
}

/** The name under which the process is registered that writes it; `null` for any other file. */
export function getLogOwner (name: string): string | null {
  return LOG.exec(name)?.[1] ?? null
}

export function isLogName (name: string): boolean {
  return LOG.test(name)
}

export interface Removal {
  readonly id: string
  /** Of the upload, in ms. */
  readonly createdAt: number
}

export function getNotePath (folder: string, { id, createdAt }: Removal): string {
  return join(getNotes(folder), `${id}.${createdAt.toString(36)}`)
}

/** The folder of the notes. */
export function getNotes (folder: string): string {
  return join(folder, 'removed')
}

export function getDoubt (folder: string): string {
  return join(folder, 'doubted')
}

const LOG = /^([^.]+)\.[0-9a-f]+\.log$/
