import type { S3Client } from '@aws-sdk/client-s3'
import { S3Bucket, MOST_PARTS, type ListedObject } from '../../../adapters/s3/bucket.js'
import { isConflict } from '../../../adapters/s3/failures.js'
import { createKeys, createName, type Keys } from '../../../adapters/s3/keys.js'
import { mapParallel } from '../../../adapters/s3/parallel.js'
import { createRecord, getOffset, parseRecord, stringifyRecord, type UploadRecord } from '../../../adapters/s3/record.js'
import { checkServer } from '../../../adapters/s3/self-check.js'
import { MARK } from '../../../adapters/s3/store.js'
import { isValidId } from '../../upload.js'
import { parseForeign, toNewUpload, type ForeignUpload, type Origin } from './foreign.js'
import { chooseTail, selectParts, type FoundParts, type Tail } from './parts.js'
import type { Outcome } from './report.js'

export interface BucketAdoption {
  readonly from: Origin
  readonly client: S3Client
  readonly bucket: string
  /** What every key begins with. */
  readonly prefix: string
  readonly urlPrefix: string
  readonly write: boolean
  /** Whether what the other server wrote beside the bytes is kept, under `<prefix>.adopted/`. */
  readonly backup: boolean
  /** Whether complete uploads are handed to workers. */
  readonly claimable: boolean
}

interface Work extends Omit<BucketAdoption, 'bucket'> {
  readonly bucket: S3Bucket
  readonly keys: Keys
}

/**
 * Makes the uploads of another server in a bucket uploads of this one, where they are: objects and multipart uploads stay as they are, and the record
 * becomes one of ours. The other server must have been stopped.
 *
 * In this order: copies of what will be replaced, the bytes behind the last part as a piece, then the new record over the one that was read, which is the
 * commit; then the object goes whose bytes are the piece. It may be killed at any point, and called again.
 */
export async function * adoptBucket (adoption: BucketAdoption): AsyncGenerator<Outcome> {
  const bucket = new S3Bucket(adoption.client, adoption.bucket, 'on')
  const work: Work = { ...adoption, bucket, keys: createKeys(adoption.prefix) }
  if (work.write) await checkServer(bucket, work.keys)
  for await (const batch of listRecords(work)) {
    const outcomes = await mapParallel(batch, CONCURRENCY, object => adoptOne(work, object))
    yield * outcomes.filter(outcome => outcome !== null)
  }
}

async function * listRecords ({ bucket, prefix }: Work): AsyncGenerator<ListedObject[]> {
  let batch: ListedObject[] = []
  for await (const object of bucket.list(prefix)) {
    if (!object.key.endsWith(RECORD) || object.key.startsWith(`${prefix}${BACKUP}`)) continue
    batch.push(object)
    if (batch.length < BATCH) continue
    yield batch
    batch = []
  }
  yield batch
}

/** `null` for what is no record. */
async function adoptOne (work: Work, { key, modifiedAt }: ListedObject): Promise<Outcome | null> {
  const { bucket, prefix, from } = work
  const id = key.slice(prefix.length, -RECORD.length)
  const found = await bucket.get(key)
  if (found === null || found === 'unchanged') return null
  const text = Buffer.from(found.bytes).toString()
  const ours = parseRecord(text)
  if (ours !== null) return finishEarlier(work, id, ours)
  const foreign = parseForeign(from, text)
  if (foreign === null) return null
  const leave = (reason: string): Outcome => ({ id, result: 'left', reason })
  const { multipart, metadata } = await findMultipart(work, foreign, key)
  const named = from === 'tusd' ? foreign.id.slice(0, -`+${multipart}`.length) : foreign.id
  if (multipart === null || (named !== id && named !== prefix + id)) return null
  if (!isValidId(id)) return leave('this server takes no such id')
  if (foreign.partial) return leave('a partial upload: the one that its client would make of it names it by an address that this server has not')
  const state = await inspect(work, id, foreign, multipart)
  if (typeof state === 'string') return leave(state)
  const record = describe(work, { id, foreign, state, multipart, listedAt: modifiedAt })
  if (work.write && !await commit(work, { id, record, tail: state.tail, old: { bytes: found.bytes, etag: found.etag, metadata } })) {
    return leave('it changed while it was being adopted: is the other server still running?')
  }
  const { object, upload: { length } } = record
  return { id, result: 'adopted', complete: object !== null, offset: getOffset(record), length, ...state.dropped > 0 && { reason: `the last ${state.dropped} bytes have to be sent again` } }
}

async function findMultipart ({ bucket, from }: Work, { id }: ForeignUpload, key: string): Promise<{ multipart: string | null, metadata: Readonly<Record<string, string>> }> {
  const metadata = (await bucket.head(key))?.metadata ?? {}
  const multipart = from === 'tusd' ? /\+([^+]+)$/.exec(id)?.[1] : metadata['upload-id']
  return { multipart: multipart ?? null, metadata }
}

/** What there is of an upload. */
interface State {
  readonly object: UploadRecord['object']
  readonly found: FoundParts
  readonly tail: Tail | null
  /** Bytes behind the parts that can't be told to belong there. */
  readonly dropped: number
}

/** A reason to leave it, if there is one. */
async function inspect ({ bucket, prefix }: Work, id: string, { length, final }: ForeignUpload, multipart: string): Promise<State | string> {
  const key = prefix + id
  const [object, there] = await Promise.all([bucket.head(key), bucket.listParts(key, multipart)])
  if (there === null) {
    if (object === null) return 'its bytes are gone'
    if (object.size !== length) return `its object has ${object.size} bytes of ${length ?? 'an unknown number'}`
    return { object: { etag: object.etag, size: object.size }, found: { parts: [], next: 1, isWhole: true }, tail: null, dropped: 0 }
  }
  if (object !== null) return 'there is an object under its key already'
  if (final) return 'a final upload that was broken off while its parts were put together: its client has to make it again'
  const found = selectParts(there, length)
  if (found === null) return 'its parts have more bytes than it'
  if (found.next > MOST_PARTS) return 'all part numbers are used'
  const part = await bucket.get(`${key}.part`)
  const bytes = part === null || part === 'unchanged' ? null : part.bytes
  const tail = bytes && chooseTail(found, length, bytes)
  return { object: null, found, tail, dropped: tail === null ? bytes?.length ?? 0 : 0 }
}

interface Description {
  readonly id: string
  readonly foreign: ForeignUpload
  readonly state: State
  readonly multipart: string
  /** When the old record was written. */
  readonly listedAt: Date
}

function describe ({ prefix, urlPrefix, claimable }: Work, { id, foreign, state, multipart, listedAt }: Description): UploadRecord {
  const { object, found, tail } = state
  const complete = object !== null
  const upload = toNewUpload(foreign, { id, createdAt: foreign.createdAt ?? listedAt, complete, urlPrefix })
  return {
    ...createRecord(upload, prefix + id, { mark: createName(), writer: createName(), revision: createName() }),
    adopted: true,
    multipart: complete ? null : multipart,
    parts: found.parts,
    next: found.next,
    pieces: tail === null ? [] : [{ name: tail.name, size: tail.bytes.length }],
    object,
    finished: complete,
    processed: complete && !claimable,
    // The time that an incomplete upload has left begins now: it may have waited for longer than this server lets it.
    modifiedAt: complete ? listedAt : new Date()
  }
}

interface Plan {
  readonly id: string
  readonly record: UploadRecord
  readonly tail: Tail | null
  readonly old: { readonly bytes: Uint8Array, readonly etag: string, readonly metadata: Readonly<Record<string, string>> }
}

/** False if somebody else has written meanwhile. */
async function commit (work: Work, { id, record, tail, old }: Plan): Promise<boolean> {
  const { bucket, keys, prefix, backup } = work
  if (backup) await bucket.put(`${prefix}${BACKUP}${id}${RECORD}`, old.bytes, {}, { Metadata: { ...old.metadata } })
  if (tail !== null) await bucket.put(keys.piece(id, tail.name), tail.bytes, {}, { Metadata: { [MARK]: id } })
  try {
    await bucket.put(keys.record(id), stringifyRecord(record), { ifMatch: old.etag }, { ContentType: 'application/json' })
  } catch (error) {
    if (!isConflict(error)) throw error
    if (tail !== null) await bucket.delete([keys.piece(id, tail.name)])
    return false
  }
  await removeTail(work, id)
  return true
}

/** What was adopted before and is not cleared away yet. */
async function finishEarlier (work: Work, id: string, { adopted }: UploadRecord): Promise<Outcome> {
  if (work.write && adopted) await removeTail(work, id)
  return { id, result: 'present' }
}

/** The bytes that the other server keeps behind the last part. What has a record of its own is no such thing. */
async function removeTail ({ bucket, prefix, backup }: Work, id: string): Promise<void> {
  const key = `${prefix}${id}.part`
  const found = await bucket.get(key)
  if (found === null || found === 'unchanged' || await bucket.head(`${key}${RECORD}`) !== null) return
  if (backup) await bucket.put(`${prefix}${BACKUP}${id}.part`, found.bytes)
  await bucket.delete([key])
}

const RECORD = '.info'
const BACKUP = '.adopted/'
const BATCH = 64
const CONCURRENCY = 8
