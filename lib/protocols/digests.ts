import { getDigestLength, type Checksum } from '../checksum.js'
import { TUS_ERR_DIGEST_INVALID, TUS_ERR_TRAILER_REFUSED } from '../errors.js'
import type { BodyCommand } from '../operations/commands.js'
import type { Purpose, Upload } from '../upload.js'
import type { Verification } from '../verified-body.js'
import type { Message } from './protocol.js'
import { formatDictionary, parseDictionary } from './structured-fields.js'
import { checkTrailers, isAnnounced } from './trailers.js'

/** The algorithms of RFC 9530 that are not deprecated, and what the rest of this project calls them. */
const ALGORITHMS = { 'sha-256': 'sha256', 'sha-512': 'sha512' } as const

/**
 * `Content-Digest`: what the body of this request has to add up to (XX-5), in a header, or announced by one and sent
 * after the body. Unknown algorithms are nobody's promise.
 *
 * @throws TUS_ERR_DIGEST_INVALID
 */
export function decodeContentDigest (message: Message): Pick<BodyCommand, 'verification' | 'checkEnd'> {
  const checkEnd = () => checkTrailers(message, ['Content-Digest', 'Repr-Digest'])
  return { verification: decodeVerification(message), checkEnd }
}

/** Whether a request says what its content adds up to, of which there may be none. */
export function hasContentDigest (message: Message): boolean {
  return message.headers['content-digest'] !== undefined || isAnnounced(message, 'Content-Digest')
}

function decodeVerification (message: Message): Verification | null {
  const given = parseDigests('Content-Digest', message.headers['content-digest'])
  if (isAnnounced(message, 'Content-Digest')) {
    const readChecksums = () => [...given, ...readTrailingDigests(message)]
    return { algorithms: Object.values(ALGORITHMS), readChecksums }
  }
  if (given.length === 0) return null
  return { algorithms: given.map(({ algorithm }) => algorithm), readChecksums: () => given }
}

function readTrailingDigests (message: Message): Checksum[] {
  const field = message.getTrailers()['content-digest']
  if (field === undefined) throw TUS_ERR_DIGEST_INVALID({ header: 'Content-Digest' })
  return parseDigests('Content-Digest', field)
}

/**
 * `Repr-Digest`: what the whole has to add up to (XX-4), and `Want-Repr-Digest`: what of that the client wants to know
 * (XX-6). It has to be known before the last byte is stored.
 *
 * @throws TUS_ERR_DIGEST_INVALID
 * @throws TUS_ERR_TRAILER_REFUSED if it is to come after the body
 */
export function decodeReprDigests (message: Message): Purpose['digests'] {
  const { headers } = message
  const header = 'Repr-Digest'
  if (isAnnounced(message, header)) throw TUS_ERR_TRAILER_REFUSED({ header, expected: 'sent as a header' })
  const given = parseDigests(header, headers['repr-digest'])
    .map(({ algorithm, digest }) => [algorithm, digest.toString('base64')])
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
