import contentDisposition from 'content-disposition'
import type { IncomingHttpHeaders } from 'node:http'
import parseRange from 'range-parser'
import { TUS_ERR_PRECONDITION_FAILED, TUS_ERR_RANGE_INVALID } from './errors.js'
import { describeFile } from './file-description.js'
import type { ByteRange } from './storage.js'
import type { Metadata, Upload } from './upload.js'

/** How a download is answered: with which bytes, if any. */
export interface Selection {
  readonly status: 200 | 206 | 304
  readonly headers: Readonly<Record<string, string>>
  /** `null` for a response without content. */
  readonly range: ByteRange | null
}

/**
 * Selects what a `GET` of a complete upload answers: the whole, one range of it, or nothing because the client has it.
 *
 * @throws TUS_ERR_PRECONDITION_FAILED, TUS_ERR_RANGE_INVALID
 * @see RFC 9110, 13.2.2 (order of preconditions) and 14 (ranges)
 */
export function selectRepresentation (upload: Upload, request: IncomingHttpHeaders): Selection {
  const validators = getValidators(upload)
  checkPreconditions(upload, validators, request)
  const headers = { ...validators, ...SAFETY }
  if (isFresh(upload, validators.etag, request)) return { status: 304, headers, range: null }
  const range = selectRange(upload, validators.etag, request)
  return {
    status: range ? 206 : 200,
    headers: {
      ...headers,
      ...describeContent(upload.metadata),
      'accept-ranges': 'bytes',
      'content-length': String(range ? range.end - range.start + 1 : upload.offset),
      ...range && { 'content-range': `bytes ${range.start}-${range.end}/${upload.offset}` }
    },
    range: range ?? { start: 0, end: upload.offset - 1 }
  }
}

interface Validators {
  readonly etag: string
  readonly 'last-modified': string
}

/** A complete upload never changes, so what names it is a strong validator. */
function getValidators (upload: Upload): Validators {
  return {
    etag: `"${upload.id}-${upload.createdAt.getTime().toString(36)}-${upload.offset.toString(36)}"`,
    'last-modified': upload.modifiedAt.toUTCString()
  }
}

function checkPreconditions (upload: Upload, { etag }: Validators, headers: IncomingHttpHeaders): void {
  const { 'if-match': match, 'if-unmodified-since': unmodifiedSince } = headers
  if (match !== undefined) {
    // If-Match compares strongly: a weak tag never matches.
    if (match.trim() !== '*' && !splitTags(match).includes(etag)) throw TUS_ERR_PRECONDITION_FAILED()
  } else if (unmodifiedSince !== undefined && isLater(upload, unmodifiedSince)) {
    throw TUS_ERR_PRECONDITION_FAILED()
  }
}

function isFresh (upload: Upload, etag: string, headers: IncomingHttpHeaders): boolean {
  const { 'if-none-match': noneMatch, 'if-modified-since': modifiedSince } = headers
  if (noneMatch !== undefined) {
    return noneMatch.trim() === '*' || splitTags(noneMatch).some(tag => tag.replace(/^W\//, '') === etag)
  }
  return modifiedSince !== undefined && isDate(modifiedSince) && !isLater(upload, modifiedSince)
}

/** One range; several, or none that could be understood, are answered by the whole. */
function selectRange (upload: Upload, etag: string, headers: IncomingHttpHeaders): ByteRange | null {
  const { range, 'if-range': ifRange } = headers
  if (range === undefined || !isInRange(upload, etag, ifRange)) return null
  const ranges = parseRange(upload.offset, shortenSuffix(range, upload.offset))
  if (ranges === -1) throw TUS_ERR_RANGE_INVALID({ length: upload.offset })
  if (ranges === -2 || ranges.type !== 'bytes' || ranges.length !== 1) return null
  const { start, end } = ranges[0]!
  return { start, end }
}

/**
 * "If the selected representation is shorter than the specified suffix-length, the entire representation is used" (RFC
 * 9110, 14.1.2); the parser calls that unsatisfiable.
 */
function shortenSuffix (range: string, length: number): string {
  return range.replace(/([=,]\s*-)(\d+)/g, (_whole, start: string, suffix: string) => start + Math.min(Number(suffix), length))
}

function isInRange (upload: Upload, etag: string, ifRange: string | string[] | undefined): boolean {
  if (ifRange === undefined) return true
  if (typeof ifRange !== 'string') return false
  if (ifRange.startsWith('"') || ifRange.startsWith('W/')) return ifRange === etag
  return isDate(ifRange) && toSeconds(upload.modifiedAt.getTime()) === toSeconds(Date.parse(ifRange))
}

function splitTags (list: string): string[] {
  return list.match(/(?:W\/)?"[^"]*"/g) ?? []
}

function isLater (upload: Upload, date: string): boolean {
  return isDate(date) && toSeconds(upload.modifiedAt.getTime()) > toSeconds(Date.parse(date))
}

function isDate (date: string): boolean {
  return !Number.isNaN(Date.parse(date))
}

function toSeconds (milliseconds: number): number {
  return Math.floor(milliseconds / 1000)
}

function describeContent (metadata: Metadata): Record<string, string> {
  const { type, name } = describeFile(metadata)
  return {
    'content-type': type,
    ...metadata.encoding !== undefined && CODING.test(metadata.encoding) && { 'content-encoding': metadata.encoding },
    'content-disposition': contentDisposition(name, { type: INLINE.test(type) ? 'inline' : 'attachment' })
  }
}

const SAFETY = {
  'x-content-type-options': 'nosniff',
  'content-security-policy': "default-src 'none'; img-src 'self'; media-src 'self'; style-src 'unsafe-inline'; sandbox"
}
/** Codings in which the bytes were sent, and are: browsers undo them. */
const CODING = /^(?:gzip|deflate|br|zstd)$/
const INLINE = /^(?:image\/(?:avif|bmp|gif|jpeg|png|tiff|webp)|(?:audio|video)\/[\w.+-]+|text\/plain(?:;.*)?)$/i
