import type { IncomingHttpHeaders } from 'node:http'
import { getDigestLength, type Checksum } from '../checksum.js'
import { TUS_ERR_DIGEST_INVALID } from '../errors.js'
import type { Purpose, Upload } from '../upload.js'
import type { Verification } from '../verified-body.js'
import { formatDictionary, parseDictionary } from './structured-fields.js'

/** The algorithms of RFC 9530 that are not deprecated, and what the rest of this project calls them. */
const ALGORITHMS = { 'sha-256': 'sha256', 'sha-512': 'sha512' } as const

/**
 * `Content-Digest`: what the body of this request has to add up to (XX-5). Unknown algorithms are nobody's promise.
 *
 * @throws TUS_ERR_DIGEST_INVALID
 */
export function decodeContentDigest (headers: IncomingHttpHeaders): Verification | null {
  const checksums = parseDigests('Content-Digest', headers['content-digest'])
  if (checksums.length === 0) return null
  return { algorithms: checksums.map(({ algorithm }) => algorithm), readChecksums: () => checksums }
}

/**
 * `Repr-Digest`: what the whole has to add up to (XX-4), and `Want-Repr-Digest`: what of that the client wants to know (XX-6).
 *
 * @throws TUS_ERR_DIGEST_INVALID
 */
export function decodeReprDigests (headers: IncomingHttpHeaders): Purpose['digests'] {
  const given = parseDigests('Repr-Digest', headers['repr-digest']).map(({ algorithm, digest }) => [algorithm, digest.toString('base64')])
  const wanted = parseWishes(headers['want-repr-digest']).map(algorithm => [algorithm, null])
  return Object.fromEntries([...wanted, ...given])
}

/** The digests that are known: of what is not complete, nobody has looked yet whether they are right. */
export function encodeReprDigests ({ complete, purpose }: Pick<Upload, 'complete' | 'purpose'>): Record<string, string> {
  if (!complete) return {}
  const known = Object.entries(ALGORITHMS).flatMap(([name, algorithm]) => {
    const digest = purpose?.digests[algorithm]
    return typeof digest === 'string' ? [[name, Buffer.from(digest, 'base64')] as const] : []
  })
  return known.length > 0 ? { 'repr-digest': formatDictionary(Object.fromEntries(known)) } : {}
}

function parseDigests (header: string, field: string | string[] | undefined): Checksum[] {
  if (field === undefined) return []
  const dictionary = typeof field === 'string' ? parseDictionary(field) : null
  if (dictionary === null) throw TUS_ERR_DIGEST_INVALID({ header })
  return Object.entries(ALGORITHMS).flatMap(([name, algorithm]) => {
    const member = dictionary.get(name)
    if (member === undefined) return []
    const digest = 'value' in member && member.value instanceof Uint8Array ? Buffer.from(member.value) : null
    if (digest?.length !== getDigestLength(algorithm)) throw TUS_ERR_DIGEST_INVALID({ header })
    return [{ algorithm, digest }]
  })
}

/** The algorithms that got the highest preference; 0 means "not acceptable" (RFC 9530, 4). A field that can't be understood asks for nothing. */
function parseWishes (field: string | string[] | undefined): string[] {
  const dictionary = typeof field === 'string' ? parseDictionary(field) : null
  const weigh = (name: string): number => {
    const member = dictionary?.get(name)
    return member !== undefined && 'value' in member && typeof member.value === 'number' && member.value >= 0 && member.value <= 10 ? member.value : 0
  }
  const best = Math.max(...Object.keys(ALGORITHMS).map(weigh))
  return best === 0 ? [] : Object.entries(ALGORITHMS).filter(([name]) => weigh(name) === best).map(([, algorithm]) => algorithm)
}
