import type { Readable } from 'node:stream'
import type { Log } from './log.js'
import type { Locker } from './locker.js'
import type { NewUpload, Upload } from './upload.js'

/**
 * THE CONTRACT between the core and an adapter.
 *
 * The core owns ids, limits, locks, hooks, expiry and *when* an upload is complete.
 * The adapter owns bytes and durability. What an adapter promises is in the docstrings below, and is tested by
 * `runStorageContract()` from `fastify-tus/contract`.
 *
 * The caller holds the lock of `id` in every operation that writes, and to `read` what is not complete. `find`, `list`, and `read` of what is, may run at any time.
 *
 * An id may be given again once its upload was removed. Where an operation gets a `createdAt`, it is about the upload of that
 * id that was created then: any other is not there, and is left as it is.
 *
 * The order of writes is: write new, commit, delete old. A process that is killed between any two of them leaves
 * an upload that the next process can go on with.
 */
export interface Storage {
  /**
   * Stores a new, empty upload. When it resolves, the upload is durable and `find` returns it.
   * If it rejects, nothing is visible.
   *
   * @throws UploadExists if there is an upload of that id; it is then untouched
   */
  create(upload: NewUpload): Promise<void>

  /**
   * The upload as it is durable now, or `null`. What it returned once as `offset` never decreases.
   *
   * @param hint what the caller is about to do, for storages that several machines share; may be ignored
   */
  find(id: string, hint?: FindHint): Promise<Upload | null>

  /**
   * Appends `body` to an upload, starting at byte `offset`, and resolves to the new offset, in bytes;
   * every byte below it is durable then.
   *
   * Reads the body to its end, batch by batch. A body that *ends* early is no error, whatever the cause: all that it
   * brought is kept. A body that *throws* is undone as far as the offset is concerned: the upload stays at `offset`, or where `onProgress` was
   * told last, and the error is passed on. Where the storage itself fails (a full disk), `keep` decides: with `prefix`, what was stored before stays and
   * counts; with `all-or-nothing`, nothing does, also when the process dies in the middle.
   *
   * @throws OffsetConflict if the upload is not at `offset`; the body is then untouched
   * @throws UploadMissing if there is no such upload; the body is then untouched
   * @throws StorageFull if there is no room
   */
  append(id: string, addition: Addition): Promise<number>

  /**
   * Sets the length, in bytes, of an upload that was created without one. Setting the same length again is no error; `null` takes it back, for
   * a body that came with it and was refused.
   *
   * @throws LengthConflict if it has another length already, or more bytes than that; for `null`, if all its bytes are there
   * @throws UploadMissing
   */
  setLength(id: string, length: number | null, createdAt?: Date): Promise<void>

  /**
   * Marks a full upload as complete: readable whole, unable to grow. Idempotent, and safe to call again after a
   * crash at any point.
   *
   * @throws UploadMissing
   */
  complete(id: string, createdAt?: Date): Promise<void>

  /** Removes an upload and everything that belongs to it, leases too. Idempotent. */
  remove(id: string, createdAt?: Date): Promise<void>

  /**
   * Changes the small record of an upload: `change` gets the upload as it is and returns what shall be different, or
   * `null` to leave it. Atomic. Resolves to the upload afterwards, or to `null` if there is none.
   */
  update(id: string, change: (upload: Upload) => UploadChange | null): Promise<Upload | null>

  /**
   * Opens the bytes of an upload from `start` to `end`, both included and counted from 0. All of them must be there: the upload is complete, or it is full and
   * the caller holds its lock. Reading a full upload does not complete it; digests are verified and `preFinish` hooks run in between.
   * Resolves to `null` if there is no such upload. Its absence means: no downloads, and digests are not heeded.
   */
  read?(id: string, range: ByteRange, createdAt?: Date): Promise<Readable | null>

  /**
   * Fills an empty final upload with the bytes of complete uploads, one behind the other, all or nothing: its offset is 0 until the
   * last byte is durable. Safe to call again after a crash at any point. Resolves to the new offset. Its absence means: no concatenation.
   * While it runs, the caller may `update` the upload.
   *
   * @param parts their ids; one may appear several times
   * @param created which uploads are meant: the bytes are those of the parts that were created at these times, also where one
   *   of them is removed during the copy and its id given again
   * @param signal ends the copy as soon as possible: the upload is as if it had not been tried then
   * @throws UploadMissing if the upload or a part is not there
   * @throws StorageFull
   * @throws the reason of `signal`
   */
  concatenate?(id: string, parts: readonly string[], created?: CreationTimes, signal?: AbortSignal): Promise<number>

  /** Notes durably that a final upload waits for a partial one. Idempotent. Needs no lock. Comes along with `concatenate`. */
  addWaiting?(partial: string, final: string): Promise<void>

  /** The final uploads that wait for a partial one, as `addWaiting` noted them. */
  findWaiting?(partial: string): Promise<readonly string[]>

  /**
   * All uploads, in no order. One that is created or removed meanwhile may be missing or appear. Their offsets may count bytes that are not yet
   * durable: who acts on one finds it first.
   *
   * @param hint which of them the caller wants; a storage that knows may leave out others, and may give more
   */
  list?(hint?: ListHint): AsyncIterable<Upload>

  /**
   * Takes a lease on an upload for `duration` ms, or resolves to `null` if somebody has one that lasts: somebody else or the caller itself. One wins
   * among all processes on this storage. Needs no lock. Its absence means: no claims.
   */
  claim?(id: string, duration: number): Promise<Lease | null>

  /**
   * Puts the bytes of a complete upload at a path of the local file system, whole or not at all, if it can do that better than by reading.
   *
   * @throws UploadMissing; what was at the path is untouched then
   */
  saveTo?(id: string, path: string, createdAt?: Date): Promise<void>

  /**
   * Clears away what crashes left of uploads, and has not changed since `before`: only what the storage can prove to be its own. Resolves to the
   * number of files or objects.
   *
   * @param onRemoved called with the name of each
   */
  tidy?(before: Date, onRemoved?: (name: string) => void): Promise<number>

  /** The exclusion that fits this storage; the core brings one for a single process. */
  readonly locker?: Locker

  /**
   * Called once before the first operation. Throws where the storage can't work.
   *
   * @param log for what the operator should know
   */
  open?(log?: Log): Promise<void>

  /** Frees what the storage holds open. Nothing is called afterwards. */
  close?(): Promise<void>
}

/** What the caller of `find` is about to do. It holds the lock of the upload, unless it says otherwise. */
export interface FindHint {
  /**
   * To append at this offset. If the storage remembers the upload there, it may answer from memory: `append` finds out if somebody else has gone on
   * with it, before anything counts.
   */
  readonly appendAt?: number
  /** To tell the offset to a client, which then goes on there: whatever another process has still in hand for this upload comes to nothing. */
  readonly settled?: boolean
  /**
   * To learn what never changes in an upload, such as its scope: what the storage remembers of it will do. The caller does not hold the lock.
   */
  readonly place?: boolean
}

/** Which uploads the caller of `list` wants. It looks at each of them all the same. */
export type ListHint =
  /** Those of one state. */
  | { readonly for: 'state', readonly state: 'complete' | 'incomplete' }
  /** Those that may have expired, or may have all bytes without being finished. Ages in ms since the last byte; `null`: no age is too old. */
  | { readonly for: 'sweep', readonly incomplete: number | null, readonly complete: number | null }
  /** Those that are complete, but not processed, or may be. */
  | { readonly for: 'claims' }

/** The right to work on an upload, for a time. Its operations are called one after the other. */
export interface Lease {
  /** Lets the time begin anew. Resolves to false if it had run out and somebody else took the upload. */
  renew(): Promise<boolean>
  /** Ends it, if it is still there. Called once. */
  release(): Promise<void>
}

/** When the uploads of a concatenation were created. */
export interface CreationTimes {
  readonly final: Date
  /** As many as there are ids of parts, in their order. */
  readonly parts: readonly Date[]
}

/** What `append` adds. */
export interface Addition {
  /** Of the upload that is meant; absent, it is whichever has the id. */
  readonly createdAt?: Date | undefined
  /** First byte, counted from 0. Must be where the upload ends. */
  readonly offset: number
  readonly body: UploadBody
  readonly keep: 'prefix' | 'all-or-nothing'
  /**
   * Called about every `progressInterval` ms with the offset that has become durable, while a body with `keep: 'prefix'` comes in.
   * Without it, bytes need to become durable only at the end.
   */
  readonly onProgress?: ((offset: number) => void) | undefined
  /** In ms. */
  readonly progressInterval?: number | undefined
}

/** The bytes of one request, in batches. */
export interface UploadBody {
  /**
   * Waits for what the connection brings, and resolves to it: buffers in their order, about `wanted` bytes if they come
   * fast, fewer if they come slowly, and none if `onProgress` is due and nothing comes. `null` is the end. More is
   * gathered while the caller works on a batch, within a bound.
   *
   * The buffers are the caller's until the next call, which may free them; those of a body with `keep: 'all-or-nothing'`, until the next but one.
   *
   * @throws what makes the whole body worthless: too many bytes, a wrong checksum
   */
  next(wanted?: number): Promise<readonly Uint8Array[] | null>
}

/** The first and the last byte, both included, counted from 0. `end` of −1 with `start` 0 is the empty range. */
export interface ByteRange {
  readonly start: number
  readonly end: number
}

/** What `update` may change. */
export type UploadChange = Partial<Pick<Upload, 'metadata' | 'serverMetadata' | 'expiresAt' | 'completes' | 'purpose' | 'finished' | 'processed'>>

/** The upload is not where the caller believes. */
export class OffsetConflict extends Error {
  override readonly name = 'OffsetConflict'
  readonly offset: number

  /** @param offset where the upload is, in bytes */
  constructor (offset: number) {
    super(`The upload is at byte ${offset}`)
    this.offset = offset
  }
}

/** There is an upload of that id. */
export class UploadExists extends Error {
  override readonly name = 'UploadExists'
}

/** There is no upload of that id. */
export class UploadMissing extends Error {
  override readonly name = 'UploadMissing'
}

/** The upload has another length, or more bytes than the length that it should get. */
export class LengthConflict extends Error {
  override readonly name = 'LengthConflict'
}

/** The device or the quota has no room for these bytes. Nothing that was acknowledged is affected. */
export class StorageFull extends Error {
  override readonly name = 'StorageFull'
}

/** The device can't be used at present: it is read-only or away, or there are too many open files. Nothing that was acknowledged is affected. */
export class StorageUnavailable extends Error {
  override readonly name = 'StorageUnavailable'
}
