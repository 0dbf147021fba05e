import {
  TUS_ERR_CONCAT_PART_NOT_FOUND, TUS_ERR_CONTENT_ENCODING, TUS_ERR_CONTENT_TYPE, TUS_ERR_EXTENSION_DISABLED, TUS_ERR_HEADER_INVALID,
  TUS_ERR_HEADER_MISSING, TUS_ERR_UPLOAD_FINAL, TUS_ERR_VERSION_UNSUPPORTED, TusError
} from '../errors.js'
import type { BodyCommand, CreateCommand } from '../operations/commands.js'
import type { Extension } from '../extensions.js'
import type { Upload } from '../upload.js'
import type { Verification } from '../verified-body.js'
import { encodeFacts, isPassing, RETRY_AFTER } from './http-facts.js'
import { getOverride } from './method-override.js'
import type { Content, Message, Offer, Protocol } from './protocol.js'
import { formatMetadata, parseChecksum, parseConcat, parseInteger, parseMetadata } from './tus-headers.js'
import { checkTrailers, isAnnounced } from './trailers.js'

const VERSION = '1.0.0'
const CONTENT_TYPE = 'application/offset+octet-stream'
const CHECKSUM = 'Upload-Checksum'
const NONE = {}
const NO_CONTENT: Content = { present: false, declared: 0 }
const RESUMABLE = { 'tus-resumable': VERSION }

/** tus 1.0.0. The numbers in brackets are those of the checklist in `docs/spec`. */
export const tus: Protocol = {
  name: 'tus',

  headers: RESUMABLE,

  /** "If this header is present its value MUST be interpreted as the request's method" (CO-15, CO-16). */
  getMethod (message) {
    return getOverride(message) ?? message.method
  },

  /** The server "MUST NOT process the request" of another version (CO-8, CO-10); OPTIONS is free (CO-36), a download is plain HTTP. */
  checkVersion (method, { headers }) {
    if (method === 'OPTIONS' || method === 'GET') return
    if (headers['tus-resumable'] !== VERSION) throw TUS_ERR_VERSION_UNSUPPORTED({ supported: VERSION })
  },

  decodeCreate (message, offer) {
    const content = message.getContent()
    try {
      return decodeCreation(message, offer, content)
    } catch (error) {
      if (!content.present || content.declared !== null) throw error
      return decodeEmptyCreation(message, offer, error)
    }
  },

  decodeAppend (message, offer) {
    const { headers } = message
    const body = decodeBody(message, offer, message.getContent())
    const offset = parseInteger('Upload-Offset', headers['upload-offset'])
    if (offset === null) throw TUS_ERR_HEADER_MISSING({ header: 'Upload-Offset' })
    return { offset, length: parseInteger('Upload-Length', headers['upload-length']), completion: 'at-length', isCompleteAtLength: () => true, digests: NONE, ...body }
  },

  inspection: { isCompleteAtLength: true },

  encodeOffer ({ extensions, maxSize, checksumAlgorithms }) {
    return {
      status: 204,
      headers: {
        ...RESUMABLE,
        'tus-version': VERSION,
        // "the header MUST be omitted" where there is none (CO-12)
        ...extensions.size > 0 && { 'tus-extension': [...extensions].join(',') },
        ...maxSize !== null && { 'tus-max-size': String(maxSize) },
        ...extensions.has('checksum') && { 'tus-checksum-algorithm': checksumAlgorithms.join(',') }
      }
    }
  },

  encodeCreated ({ upload, expiry, locate }, received) {
    const headers: Record<string, string> = { 'tus-resumable': VERSION, location: locate() }
    if (received) headers['upload-offset'] = String(upload.offset)
    if (expiry !== null) headers['upload-expires'] = expiry.toUTCString()
    return { status: 201, headers }
  },

  encodeAppended ({ upload, expiry }) {
    const headers: Record<string, string> = { 'tus-resumable': VERSION, 'upload-offset': String(upload.offset) }
    if (expiry !== null) headers['upload-expires'] = expiry.toUTCString()
    return { status: 204, headers }
  },

  locatesCompleted: false,

  resumesAfterDrop: false,

  encodeInspected ({ upload, expiry }) {
    return {
      status: 200,
      headers: {
        ...RESUMABLE,
        // A final upload has no offset until its parts are joined (CC-12).
        ...!(upload.final && !upload.complete) && { 'upload-offset': String(upload.offset) },
        ...encodeLength(upload),
        ...encodeExpiry(expiry),
        ...encodeEcho(upload.echo),
        // "The Server MUST prevent the client and/or proxies from caching the response" (CO-22)
        'cache-control': 'no-store'
      }
    }
  },

  encodeTerminated () {
    return { status: 204, headers: RESUMABLE }
  },

  encodeAnswered ({ upload, expiry, locate }, { status, headers }) {
    return {
      status,
      headers: {
        ...RESUMABLE,
        'upload-offset': String(upload.offset),
        ...!('location' in headers) && { location: locate() },
        ...encodeExpiry(expiry)
      }
    }
  },

  encodeError (error, { message, offer: { maxSize }, expiry }) {
    if (!(error instanceof TusError)) return { status: 0, headers: { ...RESUMABLE, ...encodeExpiry(expiry), 'cache-control': 'no-store' } }
    const { offset } = error.facts
    const isHidden = tus.getMethod(message) === 'HEAD' && isPassing(error)
    return {
      status: isHidden ? RETRY_LATER.status : error.statusCode,
      headers: {
        ...RESUMABLE,
        ...isHidden && { 'retry-after': String(RETRY_AFTER) },
        ...encodeExpiry(expiry),
        'cache-control': 'no-store',
        // (CO-9)
        ...error.code === 'TUS_ERR_VERSION_UNSUPPORTED' && { 'tus-version': VERSION },
        ...typeof offset === 'number' && { 'upload-offset': String(offset) },
        ...encodeFacts(error),
        ...error.statusCode === 413 && maxSize !== null && { 'tus-max-size': String(maxSize) }
      }
    }
  }
}

/** A body that has no size may have no byte either, and is none then. What is wrong without a body, too, is told at once. */
async function decodeEmptyCreation (message: Message, offer: Offer, error: unknown): Promise<CreateCommand> {
  const command = await decodeCreation(message, offer, NO_CONTENT)
  if (!await message.isEmpty()) throw error
  return command
}

function decodeCreation (message: Message, offer: Offer, content: Content): CreateCommand | Promise<CreateCommand> {
  need(offer, 'creation')
  const { urls, partial, echo } = decodeConcat(message, offer, content)
  const metadata = single('Upload-Metadata', message.headers['upload-metadata'])
  const command: CreateCommand = {
    length: urls ? null : decodeLength(message, offer),
    metadata: parseMetadata(metadata, offer.maxMetadataSize),
    echo: { ...metadata !== '' && { 'upload-metadata': metadata }, ...echo },
    echoMetadata: changed => ({ 'upload-metadata': formatMetadata(changed) }),
    partial,
    parts: null,
    body: content.present ? decodeCreationBody(message, offer, content) : null,
    completion: 'at-length',
    digests: NONE,
    resumable: true,
    whenCut: 'created'
  }
  return urls === null ? command : findParts(message, urls).then(parts => ({ ...command, parts }))
}

/** Whether a request asks where an upload is, in the words of tus. */
export function isOffsetRequest (head: Pick<Message, 'method' | 'headers'>): boolean {
  return head.headers['tus-resumable'] !== undefined && (getOverride(head) ?? head.method) === 'HEAD'
}

/** What it is answered with as long as nobody can tell. */
export const RETRY_LATER = { status: 423, headers: { ...RESUMABLE, 'retry-after': String(RETRY_AFTER), 'cache-control': 'no-store' } } as const

/** Whether the length follows later. "Its value MUST be 1" (CD-2). */
function parseDeferLength (value: string | string[] | undefined): boolean {
  if (value !== undefined && value !== '1') throw TUS_ERR_HEADER_INVALID({ header: 'Upload-Defer-Length', expected: '1' })
  return value === '1'
}

/** Node joins a header that came several times by a comma and a space, which the metadata of one upload can't contain. */
function single (header: string, value: string | string[] | undefined): string {
  if (Array.isArray(value)) throw TUS_ERR_HEADER_INVALID({ header, expected: 'present once' })
  return value ?? ''
}

function decodeLength ({ headers }: Message, offer: Offer): number | null {
  const length = parseInteger('Upload-Length', headers['upload-length'])
  const deferred = parseDeferLength(headers['upload-defer-length'])
  if (deferred) need(offer, 'creation-defer-length')
  if (length === null && !deferred) throw TUS_ERR_HEADER_MISSING({ header: 'Upload-Length or Upload-Defer-Length' })
  if (length !== null && deferred) throw TUS_ERR_HEADER_INVALID({ header: 'Upload-Defer-Length', expected: 'absent where Upload-Length is present' })
  return length
}

interface Concatenation extends Pick<CreateCommand, 'partial' | 'echo'> {
  /** Of the parts, in their order; `null` for what is no final upload. */
  readonly urls: readonly string[] | null
}

function decodeConcat (message: Message, offer: Offer, { present }: Content): Concatenation {
  const { headers } = message
  const concat = parseConcat(headers['upload-concat'])
  if (concat === null) return { partial: false, urls: null, echo: {} }
  need(offer, 'concatenation')
  const echo = { 'upload-concat': String(headers['upload-concat']) }
  if (concat === 'partial') return { partial: true, urls: null, echo }
  // "The Client MUST NOT include the Upload-Length header in the final upload creation" (CC-6)
  for (const header of ['Upload-Length', 'Upload-Defer-Length']) {
    if (headers[header.toLowerCase()] !== undefined) throw TUS_ERR_HEADER_INVALID({ header, expected: 'absent for a final upload' })
  }
  if (present) throw TUS_ERR_UPLOAD_FINAL()
  return { partial: false, urls: concat.urls, echo }
}

async function findParts ({ getIdOf }: Message, urls: readonly string[]): Promise<string[]> {
  const ids = new Map<string, string>()
  for (const url of new Set(urls)) {
    const id = await getIdOf(url)
    if (id === null) throw TUS_ERR_CONCAT_PART_NOT_FOUND()
    ids.set(url, id)
  }
  return urls.map(url => ids.get(url)!)
}

function need (offer: Offer, extension: Extension): void {
  if (!offer.extensions.has(extension)) throw TUS_ERR_EXTENSION_DISABLED({ extension })
}

function decodeCreationBody (message: Message, offer: Offer, content: Content): BodyCommand {
  const body = decodeBody(message, offer, content)
  need(offer, 'creation-with-upload')
  return body
}

/** The content type decides before a byte of the body is read (CO-24, CU-3). */
function decodeBody (message: Message, offer: Offer, { declared }: Content): BodyCommand {
  const { headers } = message
  if (!isOffsetStream(headers['content-type'])) throw TUS_ERR_CONTENT_TYPE({ expected: CONTENT_TYPE })
  const { 'content-encoding': coding, 'transfer-encoding': transfer } = headers
  if (coding !== undefined && coding.toLowerCase() !== 'identity') throw TUS_ERR_CONTENT_ENCODING()
  // Node undoes `chunked`, and hands out a compression inside of it as if it were the bytes.
  if (transfer !== undefined && transfer.toLowerCase() !== 'chunked') throw TUS_ERR_CONTENT_ENCODING()
  const checkEnd = () => checkTrailers(message, [CHECKSUM])
  return { declared, verification: decodeChecksum(message, offer), checkEnd, onOverflow: 'keep' }
}

/** As nearly all clients write it, or in another form of the same. */
function isOffsetStream (type: string | undefined): boolean {
  return type === CONTENT_TYPE || type?.split(';', 1)[0]!.trim().toLowerCase() === CONTENT_TYPE
}

/** In a header, or announced by one and sent after the body (CT-2), or both: then the bytes have to be what either says. */
function decodeChecksum (message: Message, offer: Offer): Verification | null {
  const { checksumAlgorithms } = offer
  const value = message.headers['upload-checksum']
  if (value !== undefined) need(offer, 'checksum')
  const given = value === undefined ? [] : [parseChecksum(value, checksumAlgorithms)]
  if (!isAnnounced(message, CHECKSUM)) {
    if (given.length === 0) return null
    return { algorithms: given.map(({ algorithm }) => algorithm), readChecksums: () => given }
  }
  need(offer, 'checksum-trailer')
  const readTrailing = () => parseChecksum(message.getTrailers()['upload-checksum'], checksumAlgorithms)
  return { algorithms: checksumAlgorithms, readChecksums: () => [...given, readTrailing()] }
}

/** What an upload of another protocol notes for itself is not for here. */
function encodeEcho (echo: Upload['echo']): Record<string, string> {
  const { 'upload-metadata': metadata, 'upload-concat': concat } = echo
  return { ...metadata !== undefined && { 'upload-metadata': metadata }, ...concat !== undefined && { 'upload-concat': concat } }
}

/** As HTTP writes dates (EX-6). */
function encodeExpiry (expiry: Date | null): Record<string, string> {
  return expiry === null ? {} : { 'upload-expires': expiry.toUTCString() }
}

/** One of both, never none (CO-18, CD-3, CD-4). */
function encodeLength (upload: Upload): Record<string, string> {
  if (upload.length === null && upload.final) return {}
  return upload.length === null ? { 'upload-defer-length': '1' } : { 'upload-length': String(upload.length) }
}
