import { accessSync, constants, createReadStream, realpathSync, statSync } from 'node:fs'
import { basename } from 'node:path'
import type { Readable } from 'node:stream'
import { SendError } from './failures.js'
import { STDIN, type UploadFlags } from './flags.js'
import type { Errand, Places } from './places.js'

/** What is to be sent. */
export interface Source {
  /** As the user wrote it. */
  readonly name: string
  /** In bytes; `null` for standard input, which can be read once. */
  readonly size: number | null
  readonly metadata: Readonly<Record<string, string>>
  open (): Readable
  /** The URL of the upload that a run before began, or this one. */
  findPlace (): string | null
  note (url: string): void
  forget (): void
  /** @throws SendError if it is not what it was when it was opened */
  check (): void
}

/** @throws SendError if it can't be read */
export function openSource (name: string, { to }: UploadFlags, places: Places): Source {
  if (name === STDIN) return STANDARD_INPUT
  const errand = look(name, to)
  return {
    name,
    size: errand.size,
    metadata: { filename: basename(errand.path) },
    open: () => createReadStream(errand.path),
    findPlace: () => places.find(errand),
    note: url => places.note(errand, url),
    forget: () => places.forget(errand),
    check () {
      const { size, modifiedAt } = look(name, to)
      if (size !== errand.size || modifiedAt !== errand.modifiedAt) throw new SendError('it has changed while it was sent: what is on the server may be a mixture', 'final')
    }
  }
}

function look (name: string, to: string): Errand {
  try {
    const path = realpathSync(name)
    const found = statSync(path)
    if (!found.isFile()) throw new Error('it is no file')
    accessSync(path, constants.R_OK)
    return { to, path, size: found.size, modifiedAt: found.mtimeMs }
  } catch (error) {
    throw new SendError(READABLE[(error as NodeJS.ErrnoException).code ?? ''] ?? (error as Error).message, 'final')
  }
}

const STANDARD_INPUT: Source = {
  name: STDIN,
  size: null,
  metadata: {},
  open: () => process.stdin,
  findPlace: () => null,
  note () {},
  forget () {},
  check () {}
}

const READABLE: Readonly<Record<string, string>> = { ENOENT: 'there is no such file', EACCES: 'it may not be read' }
