import type { Readable } from 'node:stream'
import { OffsetConflict, UploadMissing, type CreationTimes, type UploadBody } from '../../lib/storage.js'
import { append } from './append.js'
import { isConflict, isMissing, Superseded, throwStorageError } from './failures.js'
import { readWhole } from './read.js'
import { rethrow, retry } from './retry.js'
import type { Store } from './store.js'

/**
 * Copies the bytes of the parts through this process, as one body that counts as a whole: Azure's own copying of blocks would ask for a signed
 * address of every part.
 */
export async function concatenate (
  store: Store, id: string, parts: readonly string[], created?: CreationTimes, signal?: AbortSignal
): Promise<number> {
  return retry(async () => {
    signal?.throwIfAborted()
    const entry = await store.entries.loadMeant(id, created?.final)
    if (entry.offset > 0) return entry.offset
    const chunks = readParts(store, parts, created?.parts)
    const { createdAt } = entry.record.upload
    const addition = { createdAt, offset: 0, keep: 'all-or-nothing', body: toBody(chunks, signal) } as const
    return append(store, id, addition).finally(() => chunks.return(undefined)).catch(error => {
      // Another process has put it together, or has looked at it so that this one may not.
      throw error instanceof OffsetConflict ? new Superseded(`Another process has gone on with upload ${id}`, { cause: error }) : error
    })
  }, rethrow)
}

function toBody (chunks: AsyncGenerator<Uint8Array>, signal?: AbortSignal): UploadBody {
  return {
    async next () {
      signal?.throwIfAborted()
      const { value, done } = await chunks.next()
      return done ? null : [value]
    }
  }
}

/** A few are opened ahead: many parts are small. */
async function * readParts (store: Store, parts: readonly string[], createdAt?: readonly Date[]): AsyncGenerator<Uint8Array> {
  let opening: Array<ReturnType<typeof open>> = []
  let next = 0
  const openAhead = () => {
    while (next < parts.length && opening.length < READERS) {
      const opened = open(store, parts[next]!, createdAt?.[next])
      next++
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

async function open (store: Store, id: string, createdAt: Date | undefined): Promise<Readable> {
  const stream = await readWhole(store, id, createdAt)
  if (stream === null) throw new UploadMissing('There is no such part')
  return stream
}

const READERS = 8
