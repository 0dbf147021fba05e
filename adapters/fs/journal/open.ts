import { randomBytes } from 'node:crypto'
import { mkdir } from 'node:fs/promises'
import { isReadOnly, throwStorageError } from '../failure.js'
import { belongsToThisMachine } from '../locks/file-systems.js'
import { LastingLocker } from '../locks/lasting-locker.js'
import type { Turn } from '../turn.js'
import type { Locker } from '../../../lib/locker.js'
import { Journal, type Owner } from './journal.js'
import { getNotes } from './names.js'
import type { Place } from './place.js'
import { recover } from './recover.js'
import { UploadInUse } from './replay.js'
import { checkSyncProgram } from './sync-file-system.js'

/** See `JournalOptions`. */
export interface JournalBounds {
  readonly interval: number
  readonly most: number
}

/**
 * Recovers what there is to recover, also for a process that writes no journal itself: `bounds` is `null` then, and so is the result.
 *
 * @throws Error where there can be no journal
 */
export async function openJournal (bounds: JournalBounds | null, place: Place, turn: Turn): Promise<Journal | null> {
  const { paths, directory, locker } = place
  try {
    await recover(place, () => listLiving(locker))
  } catch (error) {
    // What is there can be read all the same; and the next sweep ends a log that tells of an upload in use.
    if (!isReadOnly(error) && !(error instanceof UploadInUse)) throw error
  }
  if (bounds === null) return null
  if (!await belongsToThisMachine(paths.directory)) throw new Error("createFsStorage: 'journal' needs a local file system of Linux")
  await checkSyncProgram()
  const makeFolders = async () => {
    await mkdir(getNotes(paths.journal), { recursive: true, mode: 0o700 }).catch(throwStorageError)
    await directory.sync()
  }
  await makeFolders()
  const journal = new Journal(place, turn, { ...bounds, rest: REST, makeFolders, owner: createOwner(locker) })
  await journal.open()
  return journal
}

/** For {@link recover}. */
export function listLiving (locker: Locker): Promise<ReadonlySet<string>> {
  return locker instanceof LastingLocker ? locker.listLiving() : Promise.resolve(alone)
}

function createOwner (locker: Locker): Owner {
  if (locker instanceof LastingLocker) return { getName: () => locker.name, release: () => {} }
  const name = `${process.pid}-${randomBytes(6).toString('hex')}`
  alone.add(name)
  return { getName: () => name, release: () => { alone.delete(name) } }
}

/** The writers of this process where it is the only one. */
const alone = new Set<string>()

/** How long to do without a log after a failure, in ms. */
const REST = 30_000
