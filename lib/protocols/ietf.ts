import {
  TUS_ERR_CONTENT_ENCODING, TUS_ERR_CONTENT_TYPE, TUS_ERR_HEADER_INVALID, TUS_ERR_HEADER_MISSING, TUS_ERR_LENGTH_MISMATCH, TUS_ERR_UPLOAD_FINAL,
  TUS_ERR_UPLOAD_TOO_LARGE, TusError
} from '../errors.js'
import type { BodyCommand, Ending } from '../operations/commands.js'
import type { Upload } from '../upload.js'
import { decodeContentDigest, decodeReprDigests, encodeReprDigests, hasContentDigest } from './digests.js'
import { encodeFacts, isPassing, RETRY_AFTER } from './http-facts.js'
import { decodeMetadata, formatComplete, formatLimit, isPartialUpload, parseComplete, parseCount } from './ietf-headers.js'
import { formatProblem, getProblemType, getStatus } from './ietf-problems.js'
import type { Version } from './ietf-versions.js'
import type { Content, Described, Interim, Message, Offer, Protocol } from './protocol.js'
import { LARGEST_INTEGER } from './structured-fields.js'
import { formatMetadata, parseMetadata } from './tus-headers.js'

/** What an upload notes of the protocol that created it. */
export const IETF_ECHO = { protocol: 'ietf' }
const CONTENT_TYPE = 'application/partial-upload'
const INTEROP = 'upload-draft-interop-version'

/** Resumable Uploads for HTTP, in one version of the draft. The numbers in brackets are those of the checklist in `docs/spec`. */
export function createIetf (version: Version): Protocol {
  const names = { complete: version.completeness === 'upload-complete' ? 'Upload-Complete' : 'Upload-Incomplete' }

  const describeUpload = ({ upload, expiry, offer }: Described): Record<string, string> => ({
    'upload-offset': String(upload.offset),
    ...formatComplete(isProcessed(upload), version),
    ...formatLimit(offer, expiry && expiry.getTime() - Date.now(), version),
    ...encodeReprDigests(upload)
  })

  const encodeCreated: Protocol['encodeCreated'] = described => ({
    status: 201,
    headers: { location: described.locate(), ...describeUpload(described) }
  })

  return {
    name: 'ietf',

    headers: {},

    /** The offset may be asked for by GET too (OR-1); and any method that has content creates (CN-1): here POST and PUT. */
    getMethod ({ method }) {
      return ({ GET: 'HEAD', PUT: 'POST' })[method] ?? method
    },

    checkVersion (method, { headers }) {
      if (!version.isStrict || (method !== 'HEAD' && method !== 'DELETE')) return
      for (const header of ['Upload-Offset', names.complete]) {
        if (headers[header.toLowerCase()] !== undefined) throw TUS_ERR_HEADER_INVALID({ header, expected: `absent from a ${method} request` })
      }
    },

    decodeCreate (message, offer) {
      const { headers } = message
      const complete = parseComplete(headers, version)
      if (complete === null) throw TUS_ERR_HEADER_MISSING({ header: names.complete })
      const content = message.getContent()
      const metadata = decodeAllMetadata(message, offer)
      return {
        length: decodeLength(message, 0, complete, content),
        metadata,
        echo: { ...IETF_ECHO, ...encodeMetadata(metadata) },
        echoMetadata: encodeMetadata,
        partial: false,
        parts: null,
        // Nothing can be wrong, too: a digest of it counts as that of any other content (XX-5).
        body: content.present || hasContentDigest(message) ? decodeBody(message, content) : null,
        completion: chooseEnding(complete, content, version),
        digests: decodeReprDigests(message),
        resumable: true,
        whenCut: complete ? 'refused' : 'created'
      }
    },

    decodeAppend (message) {
      const { headers } = message
      if (version.hasMediaType && !isPartialUpload(headers['content-type'])) throw TUS_ERR_CONTENT_TYPE({ expected: CONTENT_TYPE })
      if ((headers['content-encoding'] ?? 'identity').toLowerCase() !== 'identity') throw TUS_ERR_CONTENT_ENCODING()
      const offset = parseCount(headers['upload-offset'])
      if (offset === null) throw TUS_ERR_HEADER_MISSING({ header: 'Upload-Offset' })
      const complete = parseComplete(headers, version) ?? (version.silence === 'complete' ? true : null)
      if (complete === null) throw TUS_ERR_HEADER_MISSING({ header: names.complete })
      const content = message.getContent()
      return {
        ...decodeBody(message, content),
        offset,
        length: decodeLength(message, offset, complete, content),
        completion: chooseEnding(complete, content, version),
        isCompleteAtLength: isOfOther,
        digests: decodeReprDigests(message)
      }
    },

    inspection: { isCompleteAtLength: version.endsAtLength },

    encodeOffer (offer) {
      return { status: 204, headers: { ...formatLimit(offer, offer.lifetime, version), 'accept-patch': CONTENT_TYPE } }
    },

    encodeCreated,

    /** The last one is answered as the first would have been, had it brought everything (AP-7). */
    encodeAppended (described) {
      return isProcessed(described.upload) ? encodeCreated(described, true) : { status: version.appended, headers: describeUpload(described) }
    },

    locatesCompleted: true,

    resumesAfterDrop: version.interop !== null,

    encodeInspected (described) {
      const { upload } = described
      // Made of parts of the other protocol, it takes no bytes: an offset that can't be used is none.
      if (upload.final && !upload.complete) throw TUS_ERR_UPLOAD_FINAL()
      return {
        status: 204,
        headers: {
          ...describeUpload(described),
          ...upload.length !== null && upload.length <= LARGEST_INTEGER && version.tellsLength && { 'upload-length': String(upload.length) },
          'cache-control': 'no-store'
        }
      }
    },

    encodeTerminated () {
      return { status: 204, headers: {} }
    },

    /** "The response MUST include the Upload-Complete header field with a true value", also where the application refuses (AP-8). */
    encodeAnswered ({ upload, locate }, { status, headers }) {
      return {
        status,
        headers: {
          ...!('location' in headers) && { location: locate() },
          'upload-offset': String(upload.offset),
          ...formatComplete(true, version),
          ...encodeReprDigests(upload)
        }
      }
    },

    encodeError (error, { message, offer, upload, expiry, byApplication }) {
      // A refusal by the resource itself, in front of any upload, is its last word (CN-13).
      const complete = formatComplete(byApplication && upload === null, version)
      if (!(error instanceof TusError)) return { status: 0, headers: { 'cache-control': 'no-store', ...complete } }
      const type = getProblemType(error.code, upload, version)
      const isHidden = version.headAway !== null && message.method === 'HEAD' && isPassing(error)
      const status = isHidden ? version.headAway : getStatus(error, type, message.headers)
      const { offset } = error.facts
      return {
        status,
        headers: {
          'cache-control': 'no-store',
          ...complete,
          ...typeof offset === 'number' && { 'upload-offset': String(offset) },
          ...isHidden && { 'retry-after': String(RETRY_AFTER) },
          ...encodeFacts(error.as(status)),
          ...status === 415 && { 'accept-patch': CONTENT_TYPE },
          // (LI-9)
          ...status === 413 && formatLimit(offer, expiry ? expiry.getTime() - Date.now() : offer.lifetime, version)
        },
        body: formatProblem(error, status, type, parseCount(message.headers['upload-offset']))
      }
    },

    // Only who tells a version understands interim responses of it (IV-1, IV-2).
    ...version.interop !== null && {
      encodeAnnounced: ({ locate, offer, expiry }): Interim => createInterim(version, {
        location: locate(),
        ...formatLimit(offer, expiry && expiry.getTime() - Date.now(), version)
      }),
      // "These interim responses MUST NOT include the Location header field" (AP-14)
      ...version.hasProgress && { encodeProgress: (offset: number): Interim => createInterim(version, { 'upload-offset': String(offset) }) }
    }
  }
}

function createInterim ({ interop }: Version, headers: Record<string, string>): Interim {
  return { status: 104, reason: 'Upload Resumption Supported', headers: { [INTEROP]: String(interop), ...headers } }
}

/** Complete, and answered for if that is somebody's business: before, the client has reason to ask again. */
function isProcessed ({ complete, partial, purpose }: Upload): boolean {
  return complete && (partial || purpose === undefined || purpose.target === null || purpose.answer !== null)
}

/**
 * "If indicators (1) and (2) are both present in the same request, their indicated lengths MUST match" (ST-12).
 *
 * @throws TUS_ERR_LENGTH_MISMATCH, TUS_ERR_UPLOAD_TOO_LARGE for more than an offset could tell
 */
function decodeLength ({ headers }: Message, offset: number, complete: boolean, { declared }: Content): number | null {
  const announced = parseCount(headers['upload-length'])
  const implied = complete && declared !== null ? offset + declared : null
  if (implied !== null && declared! > LARGEST_INTEGER) throw TUS_ERR_UPLOAD_TOO_LARGE({ max: LARGEST_INTEGER })
  if (announced !== null && implied !== null && announced !== implied) throw TUS_ERR_LENGTH_MISMATCH()
  return announced ?? implied
}

/** An upload of tus is complete at its length for the client that created it, and for the application: `?0` can't mean that more comes. */
function isOfOther ({ echo }: Pick<Upload, 'echo'>): boolean {
  return echo.protocol !== IETF_ECHO.protocol
}

/** With a known size the length says when all is there; else only the end of the body does. */
function chooseEnding (complete: boolean, { declared }: Content, { endsAtLength }: Version): Ending {
  if (!complete) return endsAtLength ? 'at-length' : 'never'
  return declared === null ? 'at-end-of-body' : 'at-length'
}

/** Node undoes `chunked`, and hands out a compression inside of it as if it were the bytes (XX-2). */
function decodeBody (message: Message, { declared }: Content): BodyCommand {
  if ((message.headers['transfer-encoding'] ?? 'chunked').toLowerCase() !== 'chunked') throw TUS_ERR_CONTENT_ENCODING()
  // "marking the upload resource invalid and rejecting any further interaction with it" (AP-12)
  return { declared, ...decodeContentDigest(message), onOverflow: 'remove' }
}

/** What HTTP says of the representation, and what tus-js-client says in its own words whatever protocol it speaks. */
function decodeAllMetadata ({ headers }: Message, { maxMetadataSize }: Offer): Upload['metadata'] {
  const { 'upload-metadata': own, ...rest } = headers
  const said = isPartialUpload(rest['content-type']) ? { ...rest, 'content-type': undefined } : rest
  return { ...decodeMetadata(said, maxMetadataSize), ...typeof own === 'string' && parseMetadata(own, maxMetadataSize) }
}

function encodeMetadata (metadata: Upload['metadata']): Record<string, string> {
  return Object.keys(metadata).length > 0 ? { 'upload-metadata': formatMetadata(metadata) } : {}
}
