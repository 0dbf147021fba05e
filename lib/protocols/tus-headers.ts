import type { Checksum, ChecksumAlgorithm } from '../checksum.js'
import { TUS_ERR_CHECKSUM_ALGORITHM, TUS_ERR_CHECKSUM_INVALID, TUS_ERR_CONCAT_INVALID, TUS_ERR_HEADER_INVALID, TUS_ERR_METADATA_INVALID, TUS_ERR_METADATA_TOO_LARGE } from '../errors.js'
import type { Metadata } from '../upload.js'

type HeaderValue = string | string[] | undefined

/**
 * A header with a non-negative integer up to 2^53 − 1, as in `Upload-Offset` (CO-2) and `Upload-Length` (CO-3);
 * `null` if it is absent.
 *
 * @throws TUS_ERR_HEADER_INVALID for signs, fractions, exponents, lists and larger numbers
 */
export function parseInteger (header: string, value: HeaderValue): number | null {
  if (value === undefined) return null
  const number = typeof value === 'string' && /^\d{1,20}$/.test(value) ? Number(value) : NaN
  if (!Number.isSafeInteger(number)) throw TUS_ERR_HEADER_INVALID({ header, expected: 'a whole number from 0 to 2^53 - 1' })
  return number
}

/**
 * `Upload-Metadata`: pairs `key base64` behind commas, the value left out if it is empty (CR-3 to CR-6).
 *
 * @param maxSize the longest header, in bytes
 * @throws TUS_ERR_METADATA_TOO_LARGE, TUS_ERR_METADATA_INVALID
 */
export function parseMetadata (value: string, maxSize: number): Metadata {
  if (value.length > maxSize) throw TUS_ERR_METADATA_TOO_LARGE({ max: maxSize })
  // No prototype: a client may name a key as it likes, `__proto__` too.
  const metadata: Record<string, string> = Object.create(null)
  if (value === '') return metadata
  for (const pair of value.split(',')) {
    const [key, decoded] = parsePair(pair)
    if (key in metadata) throw TUS_ERR_METADATA_INVALID({ reason: 'a key appears twice' })
    metadata[key] = decoded
  }
  return metadata
}

/** What `Upload-Concat` says: nothing, a part, or what a final upload is made of (CC-2, CC-5). */
export type Concat = null | 'partial' | { readonly urls: readonly string[] }

/** @throws TUS_ERR_CONCAT_INVALID */
export function parseConcat (value: HeaderValue): Concat {
  if (value === undefined) return null
  if (value === 'partial') return 'partial'
  const match = typeof value === 'string' ? /^final;\s*(\S.*)$/.exec(value) : null
  if (!match) throw TUS_ERR_CONCAT_INVALID({ reason: "it must be 'partial', or 'final;' and the URLs of partial uploads" })
  const urls = match[1]!.split(/\s+/)
  if (urls.length > MOST_PARTS) throw TUS_ERR_CONCAT_INVALID({ reason: `there may be ${MOST_PARTS} parts` })
  return { urls }
}

/** The inverse of {@link parseMetadata}. */
export function formatMetadata (metadata: Metadata): string {
  return Object.entries(metadata)
    .map(([key, value]) => value === '' ? key : `${key} ${Buffer.from(value).toString('base64')}`)
    .join(',')
}

/**
 * `Upload-Checksum`: the name of an algorithm, a space, the digest in Base64 (CS-8, CS-10). A digest of another size than
 * its algorithm's is that of no bytes: a mismatch, and not malformed.
 *
 * @throws TUS_ERR_CHECKSUM_INVALID, TUS_ERR_CHECKSUM_ALGORITHM
 */
export function parseChecksum (value: HeaderValue, supported: readonly ChecksumAlgorithm[]): Checksum {
  const match = typeof value === 'string' ? /^([^\s,]+) ([^\s,]+)$/.exec(value) : null
  if (!match) throw TUS_ERR_CHECKSUM_INVALID()
  const algorithm = supported.find(name => name === match[1])
  if (!algorithm) throw TUS_ERR_CHECKSUM_ALGORITHM({ supported: supported.join(', ') })
  if (!BASE64.test(match[2]!)) throw TUS_ERR_CHECKSUM_INVALID()
  return { algorithm, digest: Buffer.from(match[2]!, 'base64') }
}

function parsePair (pair: string): [key: string, value: string] {
  const [key, value = '', ...rest] = pair.trim().split(' ')
  if (!key || !KEY.test(key)) throw TUS_ERR_METADATA_INVALID({ reason: 'a key must not be empty' })
  if (rest.length > 0 || !BASE64.test(value)) throw TUS_ERR_METADATA_INVALID({ reason: 'a value must be Base64, behind a single space' })
  return [key, Buffer.from(value, 'base64').toString()]
}

const MOST_PARTS = 10_000
const KEY = /^[^\s,]+$/
const BASE64 = /^(?:[A-Za-z0-9+/]{4})*(?:[A-Za-z0-9+/]{2}(?:==)?|[A-Za-z0-9+/]{3}=?)?$/
