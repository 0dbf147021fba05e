import {
  TUS_ERR_CONTENT_ENCODING, TUS_ERR_CONTENT_TYPE, TUS_ERR_EXTENSION_DISABLED, TUS_ERR_HEADER_INVALID,
  TUS_ERR_HEADER_MISSING, TUS_ERR_VERSION_UNSUPPORTED, TusError
} from '../errors.js'
import type { BodyCommand } from '../operations/commands.js'
import type { Extension } from '../options.js'
import type { Upload } from '../upload.js'
import type { Message, Offer, Protocol } from './protocol.js'
import { parseInteger, parseMetadata } from './tus-headers.js'

const VERSION = '1.0.0'
const CONTENT_TYPE = 'application/offset+octet-stream'
const RESUMABLE = { 'tus-resumable': VERSION }

/** tus 1.0.0. The numbers in brackets are those of the checklist in `docs/spec`. */
export const tus: Protocol = {
  name: 'tus',

  headers: RESUMABLE,

  /** "If this header is present its value MUST be interpreted as the request's method" (CO-15, CO-16). */
  getMethod ({ method, headers }) {
    const override = headers['x-http-method-override']
    return typeof override === 'string' ? override.toUpperCase() : method
  },

  /** The server "MUST NOT process the request" of another version (CO-8, CO-10); OPTIONS is free (CO-36), a download is plain HTTP. */
  checkVersion (method, { headers }) {
    if (method === 'OPTIONS' || method === 'GET') return
    if (headers['tus-resumable'] !== VERSION) throw TUS_ERR_VERSION_UNSUPPORTED({ supported: VERSION })
  },

  decodeCreate (message, offer) {
    const { headers } = message
    need(offer, 'creation')
    const length = parseInteger('Upload-Length', headers['upload-length'])
    const deferred = parseDeferLength(headers['upload-defer-length'])
    if (deferred) need(offer, 'creation-defer-length')
    if (length === null && !deferred) throw TUS_ERR_HEADER_MISSING({ header: 'Upload-Length or Upload-Defer-Length' })
    if (length !== null && deferred) throw TUS_ERR_HEADER_INVALID({ header: 'Upload-Defer-Length', expected: 'absent where Upload-Length is present' })
    const metadata = single('Upload-Metadata', headers['upload-metadata'])
    return {
      length,
      metadata: parseMetadata(metadata, offer.maxMetadataSize),
      echo: metadata === '' ? {} : { 'upload-metadata': metadata },
      body: hasBody(message) ? decodeCreationBody(message, offer) : null
    }
  },

  decodeAppend (message) {
    const { headers } = message
    const body = decodeBody(message)
    const offset = parseInteger('Upload-Offset', headers['upload-offset'])
    if (offset === null) throw TUS_ERR_HEADER_MISSING({ header: 'Upload-Offset' })
    return { offset, length: parseInteger('Upload-Length', headers['upload-length']), ...body }
  },

  encodeOffer ({ extensions, maxSize }) {
    return {
      status: 204,
      headers: {
        ...RESUMABLE,
        'tus-version': VERSION,
        // "the header MUST be omitted" where there is none (CO-12)
        ...extensions.size > 0 && { 'tus-extension': [...extensions].join(',') },
        ...maxSize !== null && { 'tus-max-size': String(maxSize) }
      }
    }
  },

  encodeCreated (upload, location, received) {
    return {
      status: 201,
      headers: { ...RESUMABLE, location, ...received && { 'upload-offset': String(upload.offset) } }
    }
  },

  encodeAppended (upload) {
    return { status: 204, headers: { ...RESUMABLE, 'upload-offset': String(upload.offset) } }
  },

  encodeInspected (upload) {
    return {
      status: 200,
      headers: {
        ...RESUMABLE,
        'upload-offset': String(upload.offset),
        ...encodeLength(upload),
        ...upload.echo,
        // "The Server MUST prevent the client and/or proxies from caching the response" (CO-22)
        'cache-control': 'no-store'
      }
    }
  },

  encodeTerminated () {
    return { status: 204, headers: RESUMABLE }
  },

  encodeError (error, { maxSize }) {
    if (!(error instanceof TusError)) return { status: 0, headers: RESUMABLE }
    const { offset, allow, length } = error.facts
    return {
      status: error.statusCode,
      headers: {
        ...RESUMABLE,
        'cache-control': 'no-store',
        // (CO-9)
        ...error.code === 'TUS_ERR_VERSION_UNSUPPORTED' && { 'tus-version': VERSION },
        ...typeof offset === 'number' && { 'upload-offset': String(offset) },
        ...typeof allow === 'string' && { allow },
        ...error.statusCode === 416 && { 'content-range': `bytes */${length}` },
        ...error.statusCode === 413 && maxSize !== null && { 'tus-max-size': String(maxSize) }
      }
    }
  }
}

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

function need (offer: Offer, extension: Extension): void {
  if (!offer.extensions.has(extension)) throw TUS_ERR_EXTENSION_DISABLED({ extension })
}

/** HTTP: a request has a body if it has `Content-Length` or `Transfer-Encoding`; one of no bytes is none here. */
function hasBody ({ headers }: Message): boolean {
  return headers['transfer-encoding'] !== undefined || Number(headers['content-length'] ?? 0) > 0
}

function decodeCreationBody (message: Message, offer: Offer): BodyCommand {
  const body = decodeBody(message)
  need(offer, 'creation-with-upload')
  return body
}

/** The content type decides before a byte of the body is read (CO-24, CU-3). */
function decodeBody ({ headers }: Message): BodyCommand {
  const type = headers['content-type']?.split(';', 1)[0]?.trim().toLowerCase()
  if (type !== CONTENT_TYPE) throw TUS_ERR_CONTENT_TYPE({ expected: CONTENT_TYPE })
  const { 'content-encoding': coding = 'identity', 'transfer-encoding': transfer = 'chunked' } = headers
  // Node undoes `chunked`, and hands out a compression inside of it as if it were the bytes.
  if (coding.toLowerCase() !== 'identity' || transfer.toLowerCase() !== 'chunked') throw TUS_ERR_CONTENT_ENCODING()
  const chunked = headers['transfer-encoding'] !== undefined
  return { declared: chunked ? null : Number(headers['content-length'] ?? 0), keep: 'prefix' }
}

/** One of both, never none (CO-18, CD-3, CD-4). */
function encodeLength (upload: Upload): Record<string, string> {
  return upload.length === null ? { 'upload-defer-length': '1' } : { 'upload-length': String(upload.length) }
}
