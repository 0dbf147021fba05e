import { formatMetadata } from '../../protocols/tus-headers.js'
import { isValidId, type Metadata, type NewUpload } from '../../upload.js'

/** Whose uploads they were. */
export type Origin = 'tus-server' | 'tusd'

/** An upload as another server noted it. */
export interface ForeignUpload {
  readonly id: string
  /** In bytes; `null` until the client tells it. */
  readonly length: number | null
  readonly metadata: Metadata
  readonly partial: boolean
  readonly final: boolean
  /** Of a final upload, in their order. */
  readonly parts: readonly string[]
  /** `null` where the server does not note it. */
  readonly createdAt: Date | null
  /** Where the bytes are, in the server's own words; `null` where it does not say. */
  readonly path: string | null
}

/** What to make of it. */
export interface Adoption {
  readonly id: string
  readonly createdAt: Date
  readonly complete: boolean
  /** The path under which the uploads are served: final uploads name their parts by it. */
  readonly urlPrefix: string
}

/** What a record says; `null` for text that is no record of that server. */
export function parseForeign (origin: Origin, text: string): ForeignUpload | null {
  const record = parseObject(text)
  if (record === null) return null
  return origin === 'tusd' ? readTusd(record) : readTusServer(record)
}

/**
 * An upload of ours with what the other server knew of it.
 *
 * An incomplete one is completed by a mark, so that the hooks of the application run for it, if there are any then.
 */
export function toNewUpload (foreign: ForeignUpload, { id, createdAt, complete, urlPrefix }: Adoption): NewUpload {
  const { length, metadata, partial, final, parts } = foreign
  return {
    id,
    length,
    metadata,
    serverMetadata: {},
    echo: { ...echoMetadata(metadata), ...echoConcat(foreign, urlPrefix) },
    partial,
    final,
    parts: parts.every(isValidId) ? parts : [],
    completes: complete || partial ? 'at-length' : 'by-mark',
    createdAt,
    expiresAt: null
  }
}

function echoMetadata (metadata: Metadata): Record<string, string> {
  const sendable = Object.fromEntries(Object.entries(metadata).filter(([key]) => KEY.test(key)))
  return Object.keys(sendable).length === 0 ? {} : { 'upload-metadata': formatMetadata(sendable) }
}

function echoConcat ({ partial, final, parts }: ForeignUpload, urlPrefix: string): Record<string, string> {
  if (partial) return { 'upload-concat': 'partial' }
  return final ? { 'upload-concat': `final;${parts.map(part => `${urlPrefix}/${part}`).join(' ')}` } : {}
}

function parseObject (text: string): Record<string, unknown> | null {
  try {
    const value = JSON.parse(text)
    return isObject(value) ? value : null
  } catch {
    return null
  }
}

/** What `Upload` of @tus/utils becomes as JSON. */
function readTusServer ({ id, size, metadata, creation_date: created, storage }: Record<string, unknown>): ForeignUpload | null {
  if (typeof id !== 'string' || (size !== undefined && !isLength(size))) return null
  const createdAt = typeof created === 'string' && !Number.isNaN(Date.parse(created)) ? new Date(created) : null
  const path = isObject(storage) && typeof storage.path === 'string' ? storage.path : null
  return { id, length: size ?? null, metadata: readMetadata(metadata), partial: false, final: false, parts: [], createdAt, path }
}

/** What `FileInfo` of tusd becomes as JSON. */
function readTusd ({ ID: id, Size: size, SizeIsDeferred: deferred, MetaData: metadata, IsPartial, IsFinal, PartialUploads, Storage }: Record<string, unknown>): ForeignUpload | null {
  if (typeof id !== 'string' || !isLength(size)) return null
  return {
    id,
    length: deferred === true ? null : size,
    metadata: readMetadata(metadata),
    partial: IsPartial === true,
    final: IsFinal === true,
    parts: Array.isArray(PartialUploads) ? PartialUploads.map(String) : [],
    createdAt: null,
    path: isObject(Storage) && typeof Storage.Path === 'string' ? Storage.Path : null
  }
}

/** A key without a value is `null` there, and empty here. */
function readMetadata (metadata: unknown): Metadata {
  return isObject(metadata) ? Object.fromEntries(Object.entries(metadata).map(([key, value]) => [key, String(value ?? '')])) : {}
}

function isLength (value: unknown): value is number {
  return Number.isSafeInteger(value) && (value as number) >= 0
}

function isObject (value: unknown): value is Record<string, unknown> {
  return typeof value === 'object' && value !== null && !Array.isArray(value)
}

/** What can be sent as a key of `Upload-Metadata`; a hook may have chosen others. */
const KEY = /^[\x21-\x2b\x2d-\x7e]+$/
