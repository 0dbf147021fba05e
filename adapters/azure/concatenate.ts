import { OffsetConflict, UploadMissing, type UploadBody } from '../../lib/storage.js'
import { append } from './append.js'
import { isConflict, isMissing, Superseded, throwStorageError } from './failures.js'
import { rethrow, retry } from './retry.js'
import type { Store } from './store.js'

/**
 * Copies the bytes of the parts through this process, as one body that counts as a whole: Azure's own copying of blocks would ask for a signed
 * address of every part.
 */
export async function concatenate (store: Store, id: string, parts: readonly string[]): Promise<number> {
  return retry(async () => {
    const entry = await store.entries.load(id)
    if (entry === null) throw new UploadMissing('There is no such upload')
    if (entry.offset > 0) return entry.offset
    return append(store, id, { offset: 0, keep: 'all-or-nothing', body: toBody(readParts(store, parts)) }).catch(error => {
      // Another process has put it together, or has looked at it so that this one may not.
      throw error instanceof OffsetConflict ? new Superseded(`Another process has gone on with upload ${id}`, { cause: error }) : error
    })
  }, rethrow)
}

function toBody (chunks: AsyncGenerator<Uint8Array>): UploadBody {
  return {
    async next () {
      const { value, done } = await chunks.next()
      return done ? null : [value]
    }
  }
}

/** A few are opened ahead: many parts are small. */
async function * readParts (store: Store, parts: readonly string[]): AsyncGenerator<Uint8Array> {
  let opening: Array<ReturnType<typeof open>> = []
  let next = 0
  const openAhead = () => {
    while (next < parts.length && opening.length < READERS) {
      const opened = open(store, parts[next++]!)
      opened.catch(() => {})
      opening.push(opened)
    }
  }
  try {
    for (openAhead(); opening.length > 0; openAhead()) {
      yield * await opening[0]!
      opening = opening.slice(1)
    }
  } catch (error) {
    // A range that is asked for again, of a blob that is gone.
    if (isMissing(error) || isConflict(error)) throw new UploadMissing('A part was removed', { cause: error })
    throwStorageError(error)
  } finally {
    await Promise.allSettled(opening.map(async opened => (await opened).destroy()))
  }
}

async function open ({ blobs, names }: Store, id: string) {
  const found = await blobs.open(names.data(id))
  if (found === null) throw new UploadMissing('There is no such part')
  return found.stream
}

const READERS = 8
