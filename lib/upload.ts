/** What a client said about an upload: its keys, with their values decoded from Base64 as UTF-8. */
export type Metadata = Readonly<Record<string, string>>

/**
 * Which upload is meant. An id that the application chose may be given again once its upload was removed: the time of the
 * creation tells the two apart. Without a time it is the upload that has the id, whichever that is. Every {@link Upload} is one.
 */
export interface UploadRef {
  readonly id: string
  readonly createdAt?: Date | undefined
}

/** What is known of an upload before any byte of it was received. */
export interface NewUpload {
  /** Unguessable name, unique in its storage: 1 to 128 of `A–Z a–z 0–9 . _ -`. */
  readonly id: string
  /** Declared total, in bytes, up to 2^53 − 1; `null` until the client knows it. */
  readonly length: number | null
  readonly metadata: Metadata
  /** The application's own notes: stored with the upload, never shown to clients. JSON values. */
  readonly serverMetadata: Readonly<Record<string, unknown>>
  /** Strings that a protocol has to give back exactly as received. Opaque to everybody else. */
  readonly echo: Readonly<Record<string, string>>
  /** Meant to be concatenated into a final upload. */
  readonly partial: boolean
  /** Made of partial uploads: takes no bytes itself. */
  readonly final: boolean
  /** The ids of the partial uploads that a final one is made of, in their order; empty for any other. */
  readonly parts: readonly string[]
  /**
   * When each of `parts` was created, in ms since 1970: an upload that has one of these ids since is no part. Absent in any
   * other upload, and in what earlier versions stored.
   */
  readonly partsCreatedAt?: readonly number[] | undefined
  /**
   * `at-length`: complete as soon as its offset reaches its length, with no further step.
   * `by-mark`: complete only after {@link Storage.complete}, because something (a hook, a digest) decides.
   * `when-told`: the same, and not even due before a client has said that this is all; it becomes one of the others then.
   */
  readonly completes: 'at-length' | 'by-mark' | 'when-told'
  readonly createdAt: Date
  /** When it expires, as the application decided for this upload; `null` leaves that to the option `expiration`. */
  readonly expiresAt: Date | null
  /** What is to become of it beyond its bytes; most have none. */
  readonly purpose?: Purpose | undefined
  /** The scope of the request that created it: no request of another one meets it. An upload without one is there for every request. */
  readonly scope?: string | undefined
}

/** What an upload was created for. */
export interface Purpose {
  /** The request that it belongs to, whose handler answers for it, as method and path; `null` where the upload is its own end. */
  readonly target: string | null
  /** Digests of the whole in Base64, by algorithm: what they have to be, or `null` until somebody has computed one that was asked for. */
  readonly digests: Readonly<Record<string, string | null>>
  /** Whether the bytes were all there, and found to be what the digests say. Before, nobody may read them. */
  readonly verified?: boolean | undefined
  /** What the handler of the target answered, once it has. */
  readonly answer: KeptAnswer | null
  /** Which process asks the handler, and until when (in ms since 1970) nobody else does; only where locks don't exclude other processes. */
  readonly answering?: { readonly by: string, readonly until: number } | null | undefined
}

/** An answer that a client who lost it gets again. */
export interface KeptAnswer {
  readonly status: number
  readonly headers: Readonly<Record<string, string>>
  /** In Base64. */
  readonly body: string
}

/** An upload as a storage holds it. */
export interface Upload extends NewUpload {
  /** Bytes that are durable, counted from the start without a gap. Never decreases. */
  readonly offset: number
  /** All bytes are there, and nothing more can be added. */
  readonly complete: boolean
  /** Whether the `postFinish` hooks have run, where an upload waits for them. */
  readonly finished: boolean
  /** Whether a worker that had claimed it is done with it. */
  readonly processed: boolean
  /** When bytes last arrived. */
  readonly modifiedAt: Date
}

/** What changes in the life of an upload, beside what was known at its creation. */
export type UploadState = Pick<Upload, 'offset' | 'complete' | 'finished' | 'processed' | 'modifiedAt'>

/** For which requests an upload is there. */
export interface Place {
  readonly scope: string | undefined
  readonly target: string | null
}

export function getPlace ({ scope, purpose }: Pick<Upload, 'scope' | 'purpose'>): Place {
  return { scope, target: purpose === undefined ? null : purpose.target }
}

/** An upload from both halves. Field by field: spreading objects of this size costs a hundred times as much. */
export function joinUpload (upload: NewUpload, state: UploadState): Upload {
  return {
    id: upload.id,
    length: upload.length,
    metadata: upload.metadata,
    serverMetadata: upload.serverMetadata,
    echo: upload.echo,
    partial: upload.partial,
    final: upload.final,
    parts: upload.parts,
    partsCreatedAt: upload.partsCreatedAt,
    completes: upload.completes,
    createdAt: upload.createdAt,
    expiresAt: upload.expiresAt,
    purpose: upload.purpose,
    scope: upload.scope,
    offset: state.offset,
    complete: state.complete,
    finished: state.finished,
    processed: state.processed,
    modifiedAt: state.modifiedAt
  }
}

/** The same upload in another state. */
export function changeState (upload: Upload, { offset, complete, finished, modifiedAt }: Partial<Omit<UploadState, 'processed'>>): Upload {
  return joinUpload(upload, {
    offset: offset ?? upload.offset,
    complete: complete ?? upload.complete,
    finished: finished ?? upload.finished,
    processed: upload.processed,
    modifiedAt: modifiedAt ?? upload.modifiedAt
  })
}

/** Whether this is the upload of its id that was created at that time; without a time, any is. */
export function isCreatedAt (upload: Pick<NewUpload, 'createdAt'>, time: Date | undefined): boolean {
  return time === undefined || upload.createdAt.getTime() === time.getTime()
}

/** Whether every declared byte has arrived. A full upload is not yet complete: {@link NewUpload.completes}. */
export function isFull (upload: Pick<Upload, 'length' | 'offset'>): boolean {
  return upload.length !== null && upload.offset === upload.length
}

/** Whether nothing is missing but the completion: every byte is there, and somebody has said that this is all. */
export function isDue (upload: Pick<Upload, 'length' | 'offset' | 'complete' | 'completes'>): boolean {
  return !upload.complete && upload.completes !== 'when-told' && isFull(upload)
}

/** Bytes that still fit; `Infinity` while the length is unknown. */
export function getRoom (upload: Pick<Upload, 'length' | 'offset'>): number {
  return upload.length === null ? Infinity : upload.length - upload.offset
}

/**
 * Whether a string may name an upload: 1 to 128 of `A–Z a–z 0–9 . _ -`, with no dot at either end,
 * and none of the endings that storages keep for their own files.
 */
export function isValidId (id: string): boolean {
  return id.length <= 128 && ID.test(id) && !RESERVED.test(id)
}

const ID = /^[A-Za-z0-9_-]+(?:\.+[A-Za-z0-9_-]+)*$/
const RESERVED = /\.(?:json|info|pending|waiting|claim|lock|tmp)$/i
