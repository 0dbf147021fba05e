import { buffer } from 'node:stream/consumers'
import { UploadMissing, type CreationTimes } from '../../lib/storage.js'
import { isCreatedAt } from '../../lib/upload.js'
import { MOST_PARTS } from './bucket.js'
import { isConflict, isMissing, isOvertaken } from './failures.js'
import { assemble, putWhole } from './finish.js'
import { confirm } from './find.js'
import { planJoin, type Section } from './join.js'
import { createName } from './keys.js'
import { mapParallel } from './parallel.js'
import { getOffset, isComplete, isSealed, sum, type Part, type UploadRecord } from './record.js'
import { recover } from './recover.js'
import type { Entry } from './records.js'
import { getObjectOptions, putPiece, type Store } from './store.js'
import { abortUnnamed } from './unnamed.js'

/** A partial upload, whole. */
interface Source {
  readonly key: string
  readonly etag: string
  readonly size: number
}

/**
 * Copies the parts inside of S3, and joins what is small through memory. The record names nothing of it before all of it is there.
 */
export async function concatenate (
  store: Store, id: string, parts: readonly string[], created?: CreationTimes, signal?: AbortSignal
): Promise<number> {
  for (let attempt = 0; ; attempt++) {
    signal?.throwIfAborted()
    const entry = await recover(store, id)
    if (entry === null || !isCreatedAt(entry.record.upload, created?.final)) throw new UploadMissing('There is no such upload')
    try {
      return await concatenateOnce(store, entry, parts, created?.parts, signal)
    } catch (error) {
      signal?.throwIfAborted()
      const now = isOvertaken(error) ? await store.records.load(id) : null
      if (now === null || now.record.revision === entry.record.revision || attempt === PAUSES.length) throw error
      // Another process does the same: both would begin again for ever if none of them waited.
      await new Promise(resolve => setTimeout(resolve, PAUSES[attempt]! * (1 + Math.random())))
    }
  }
}

type Times = readonly Date[] | undefined

async function concatenateOnce (
  store: Store, entry: Entry, parts: readonly string[], createdAt: Times, signal?: AbortSignal
): Promise<number> {
  const isDone = () => entry.record.object !== null || (getOffset(entry.record) > 0 && getOffset(entry.record) === entry.record.upload.length)
  if (!isDone()) {
    const sources = await findSources(store, parts, createdAt)
    await join(store, entry, sources, signal).catch(error => {
      if (isMissing(error) || isConflict(error)) throw new UploadMissing('A part was removed while it was copied', { cause: error })
      throw error
    })
  }
  if (isSealed(entry.record) && entry.record.upload.completes === 'at-length') await assemble(store, entry)
  return getOffset(entry.record)
}

async function findSources (store: Store, ids: readonly string[], createdAt: Times): Promise<Source[]> {
  const unique = [...new Set(ids)]
  const times = new Map(ids.map((id, index) => [id, createdAt?.[index]]))
  const found = await mapParallel(unique, READERS, async id => {
    const entry = await confirm(store, await store.records.load(id))
    const record = entry?.record
    if (!record?.object || !isComplete(record) || !isCreatedAt(record.upload, times.get(id))) throw new UploadMissing('There is no such part')
    return { key: record.key, ...record.object }
  })
  const sources = new Map(unique.map((id, index) => [id, found[index]!]))
  return ids.map(id => sources.get(id)!)
}

async function join (store: Store, entry: Entry, sources: readonly Source[], signal?: AbortSignal): Promise<void> {
  const { budget, options, records } = store
  const size = sum(sources)
  if (size > options.partSize) return joinLarge(store, entry, sources, signal)
  budget.take(size)
  try {
    const bytes = await readAll(store, sources.map(({ size }, source) => ({ source, start: 0, end: size - 1 })), sources)
    if (entry.record.upload.completes === 'at-length') await putWhole(store, entry, bytes)
    else await records.commit(entry, { pieces: size > 0 ? [await putPiece(store, entry.id, bytes)] : [], modifiedAt: new Date() })
  } finally {
    budget.give(size)
  }
}

async function joinLarge (store: Store, entry: Entry, sources: readonly Source[], signal?: AbortSignal): Promise<void> {
  const { bucket, records, options, background } = store
  const { key, multipart: former } = entry.record
  const least = Math.max(SMALLEST, Math.ceil(sum(sources) / (MOST_PARTS * 0.8)))
  const multipart = await bucket.createMultipart(key, getObjectOptions(store, entry.record, createName()))
  // Named before anything is in it, so that it is found and aborted whatever happens.
  await records.commit(entry, { multipart }).catch(async error => {
    if (isOvertaken(error)) await abortUnnamed(store, entry, multipart).catch(() => {})
    throw error
  })
  if (former !== null) background.run(() => bucket.abortMultipart(key, former))
  const sections = planJoin(sources.map(({ size }) => size), least)
  const parts = await mapParallel(sections, options.concurrency, (section, index) => {
    signal?.throwIfAborted()
    return put(store, entry.record, index + 1, section, sources)
  })
  signal?.throwIfAborted()
  await records.commit(entry, { parts, next: parts.length + 1, modifiedAt: new Date() })
}

async function put (store: Store, { key, multipart }: UploadRecord, number: number, section: Section, sources: readonly Source[]): Promise<Part> {
  const { bucket, budget } = store
  if (section.kind === 'copy') {
    const { start, end } = section
    return bucket.copyPart(key, multipart!, number, { ...sources[section.source]!, start, end })
  }
  budget.take(section.size)
  const bytes = await readAll(store, section.ranges, sources).catch(error => {
    budget.give(section.size)
    throw error
  })
  return budget.send(section.size, () => bucket.uploadPart(key, multipart!, number, bytes))
}

/** @throws UploadMissing if one of them is not there any more, or has other bytes */
async function readAll ({ bucket }: Store, ranges: ReadonlyArray<{ source: number, start: number, end: number }>, sources: readonly Source[]): Promise<Buffer> {
  const chunks = await mapParallel(ranges.filter(({ start, end }) => end >= start), READERS, async ({ source, start, end }) => {
    const { key, etag } = sources[source]!
    const stream = await bucket.open(key, etag, `bytes=${start}-${end}`)
    if (stream === null) throw new UploadMissing('A part was removed while it was copied')
    return buffer(stream)
  })
  return Buffer.concat(chunks)
}

const SMALLEST = 5 * 1024 ** 2
const READERS = 8
/** Before the next try, in ms. */
const PAUSES = [200, 1000, 3000]
