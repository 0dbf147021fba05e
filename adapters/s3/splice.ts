import { isDeepStrictEqual } from 'node:util'
import { isInvalidPart, isMissing, isOvertaken, UploadLost } from './failures.js'
import { createName } from './keys.js'
import { splitRange } from './join.js'
import { isOwnWithStrays } from './own.js'
import { mapParallel } from './parallel.js'
import { getOffset, sum, type Part, type Splice, type UploadRecord } from './record.js'
import type { Entry } from './records.js'
import { getObjectOptions, MARK, type Store } from './store.js'
import { abortUnnamed } from './unnamed.js'

/**
 * Completes an upload among whose parts there are strays: parts that a writer sent after it was fenced off, and that no record names. AWS leaves
 * out what is not named; Ceph refuses to. There, an object with the strays in it is made, and then copied without them, inside of S3.
 *
 * Safe to call again after a crash at any point.
 *
 * @throws UploadLost if the parts are not what the record says
 */
export async function splice (store: Store, entry: Entry): Promise<void> {
  for (let attempt = 0; !entry.record.splice?.etag; attempt++) {
    await completeWithStrays(store, entry).catch(error => {
      // Yet another stray has arrived.
      if (!isInvalidPart(error) || attempt === MOST_ATTEMPTS) throw error
    })
  }
  await copyWithoutStrays(store, entry)
}

async function completeWithStrays (store: Store, entry: Entry): Promise<void> {
  const { bucket, records } = store
  const { key, multipart } = entry.record
  const there = await bucket.listParts(key, multipart!)
  const made = there === null ? await findMade(store, entry.record) : await completeAll(store, entry, await plan(store, entry, there))
  if (made === null) throw new UploadLost('The parts of the upload are gone')
  const next = await bucket.createMultipart(key, getObjectOptions(store, entry.record, createName()))
  await records.commit(entry, { splice: { ...entry.record.splice!, etag: made }, multipart: next }).catch(async error => {
    if (isOvertaken(error)) await abortUnnamed(store, entry, next).catch(() => {})
    throw error
  })
}

/** Writes down what the object with the strays will be, which tells it from any other. Resolves to its parts. */
async function plan (store: Store, entry: Entry, there: readonly Part[]): Promise<readonly Part[]> {
  const { record } = entry
  const strays = await fillStrays(store, record, findStrays(record, there))
  const all = [...record.parts, ...strays].sort((a, b) => a.number - b.number)
  const splice: Splice = { size: sum(all), ranges: findRanges(record, all), etag: null }
  if (!isDeepStrictEqual(splice, record.splice)) await store.records.commit(entry, { splice })
  return all
}

async function completeAll (store: Store, { record }: Entry, parts: readonly Part[]): Promise<string | null> {
  try {
    return await store.bucket.completeMultipart(record.key, record.multipart!, parts)
  } catch (error) {
    // Perhaps it was carried out, and its answer got lost. If not, the parts are still there for another try.
    const made = await findMade(store, record)
    if (made === null && !isMissing(error)) throw error
    return made
  }
}

/** @throws UploadLost if a part is not the one that the record names, or if none of them is a stray */
function findStrays (record: UploadRecord, there: readonly Part[]): readonly Part[] {
  const byNumber = new Map(there.map(part => [part.number, part]))
  for (const { number, etag } of record.parts) {
    if (byNumber.get(number)?.etag !== etag) throw new UploadLost(`Part ${number} was replaced`)
    byNumber.delete(number)
  }
  const last = record.parts.at(-1)!
  const strays = [...byNumber.values()]
  const isLast = strays.every(({ number }) => number < last.number) || last.size >= SMALLEST
  if (strays.length === 0 || !isLast) throw new UploadLost('S3 does not take the parts of the upload')
  return strays
}

/** Only the last part may be small: small strays are overwritten with zeros. */
function fillStrays ({ bucket }: Store, { key, multipart }: UploadRecord, strays: readonly Part[]): Promise<Part[]> {
  return mapParallel(strays, 2, async stray =>
    stray.size >= SMALLEST ? stray : bucket.uploadPart(key, multipart!, stray.number, Buffer.alloc(SMALLEST)))
}

function findRanges ({ parts }: UploadRecord, all: readonly Part[]): Splice['ranges'] {
  const named = new Set(parts.map(({ number }) => number))
  const ranges: Array<[number, number]> = []
  let at = 0
  for (const { number, size } of all) {
    const range = ranges.at(-1)
    if (named.has(number) && range?.[1] === at - 1) range[1] += size
    else if (named.has(number)) ranges.push([at, at + size - 1])
    at += size
  }
  return ranges
}

async function findMade ({ bucket }: Store, record: UploadRecord): Promise<string | null> {
  const found = await bucket.head(record.key)
  return found !== null && isOwnWithStrays(record, found) ? found.etag : null
}

async function copyWithoutStrays (store: Store, entry: Entry): Promise<void> {
  const { bucket, records, options } = store
  const { record } = entry
  const { key, multipart } = record
  const { ranges, etag } = record.splice!
  const size = getOffset(record)
  const pieces = ranges.flatMap(([start, end]) => splitRange(start, end))
  let made: string | null = null
  try {
    const parts = await mapParallel(pieces, options.concurrency, ([start, end], index) =>
      bucket.copyPart(key, multipart!, index + 1, { key, etag: etag!, start, end }))
    made = await bucket.completeMultipart(key, multipart!, parts)
  } catch (error) {
    // Perhaps an earlier try was carried out.
    const found = await bucket.head(key)
    if (found?.metadata[MARK] !== record.mark || found.size !== size) throw isMissing(error) ? new UploadLost('The upload can not be copied', { cause: error }) : error
    made = found.etag
  }
  await records.commit(entry, { object: { etag: made, size }, splice: null, multipart: null, parts: [] })
}

/** Of every part but the last, in bytes. */
const SMALLEST = 5 * 1024 ** 2

const MOST_ATTEMPTS = 5
