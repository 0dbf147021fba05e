import { TusError } from '../errors.js'
import type { Upload } from '../upload.js'
import { parseComplete, isPartialUpload } from './ietf-headers.js'
import { CURRENT_VERSION, findVersion, KNOWN_VERSIONS, type Version } from './ietf-versions.js'
import { createIetf, IETF_ECHO } from './ietf.js'
import type { Enabled } from './names.js'
import { plain } from './plain.js'
import type { Answer, Message, Offer, Protocol } from './protocol.js'
import { RETRY_AFTER } from './http-facts.js'
import { isOffsetRequest, RETRY_LATER, tus } from './tus.js'

type Head = Pick<Message, 'method' | 'headers'>

/** Which protocol a request speaks: the only place that asks. `null` if that depends on the upload: {@link recognize}. */
export function selectProtocol (head: Head, enabled: Enabled): Protocol | null {
  const { method, headers } = head
  if (enabled.has('tus') && (headers['tus-resumable'] !== undefined || (!enabled.has('ietf') && !isPlain(head)))) return tus
  if (speaksIetf(head)) return getIetf(head)
  if (isPlain(head)) return enabled.has('tus') ? downloadBesideTus : download
  if ((method === 'HEAD' || method === 'DELETE') && headers['x-http-method-override'] === undefined) return null
  if (enabled.has('tus')) return tus
  return method === 'GET' ? download : getIetf(head)
}

/** What a request for an offset that can't be told at present is answered with, whoever refuses to tell it; `null` if that may be any status. */
export function getRetryLater (head: Head): Pick<Answer, 'status' | 'headers'> | null {
  if (isOffsetRequest(head)) return RETRY_LATER
  const interop = head.headers['upload-draft-interop-version']
  const status = head.method === 'HEAD' && typeof interop === 'string' ? findVersion(interop).headAway : null
  return status && { status, headers: { 'retry-after': String(RETRY_AFTER), 'cache-control': 'no-store' } }
}

/** Whether a request is a GET or HEAD of plain HTTP: it has no header of either protocol. */
export function isPlain ({ method, headers }: Head): boolean {
  if (method !== 'GET' && method !== 'HEAD') return false
  for (const name in headers) if (name === 'tus-resumable' || name.startsWith('upload-')) return false
  return !isPartialUpload(headers['content-type'])
}

/**
 * Which protocol a request means that names none: that of the upload.
 *
 * @param upload `null` if there is none
 */
export function recognize (head: Head, upload: Upload | null, enabled: Enabled): Protocol {
  return enabled.has('tus') && upload !== null && upload.echo.protocol !== IETF_ECHO.protocol ? tus : getIetf(head)
}

/**
 * The protocol in which plain HTTP may ask for an upload, too: the standard to be has no header that a request for the offset must
 * bring. `null` for an upload of tus, which demands one.
 */
export function selectForPlain (upload: Upload, head: Head, enabled: Enabled): Protocol | null {
  if (!enabled.has('ietf')) return null
  const protocol = recognize(head, upload, enabled)
  return protocol === tus ? null : protocol
}

/**
 * A GET that names no protocol is a download; of an upload that is incomplete, where its protocol has it so, it asks for the offset.
 *
 * @param error why there is nothing to download
 */
export function selectRetrieval (error: unknown, upload: Upload | null, head: Head, enabled: Enabled): Protocol | null {
  const isIncomplete = error instanceof TusError && error.code === 'TUS_ERR_UPLOAD_INCOMPLETE'
  return isIncomplete && upload !== null ? selectForPlain(upload, head, enabled) : null
}

/** Which protocol a request to a resource of the application speaks: none, in most cases (IV-3). */
export function selectForTarget (head: Head, enabled: Enabled): Protocol {
  const { headers } = head
  if (enabled.has('tus') && headers['tus-resumable'] !== undefined) return tus
  return enabled.has('ietf') && parseComplete(headers, getVersion(head)) !== null ? getIetf(head) : plain
}

/** What the server tells of itself, in all protocols that it speaks. */
export function encodeOffers (head: Head, offer: Offer, enabled: Enabled): Answer {
  const offers = [...enabled.has('tus') ? [tus] : [], ...enabled.has('ietf') ? [getIetf(head)] : []].map(protocol => protocol.encodeOffer(offer))
  return { status: 204, headers: Object.assign({}, ...offers.map(({ headers }) => headers)) }
}

function speaksIetf ({ headers }: Head): boolean {
  return headers[INTEROP] !== undefined || headers['upload-complete'] !== undefined || isPartialUpload(headers['content-type'])
}

function getVersion ({ headers }: Head): Version {
  const interop = headers[INTEROP]
  return typeof interop === 'string' ? findVersion(interop.trim()) : CURRENT_VERSION
}

/** Made once for each version: those that are kept are few, because a client may name any number that is later. */
function getIetf (head: Head): Protocol {
  const version = getVersion(head)
  return IETF.get(version) ?? createIetf(version)
}

const INTEROP = 'upload-draft-interop-version'
/** Plain HTTP, as GET is everywhere. What is not there now may be there soon. */
const download: Protocol = {
  ...plain,
  getMethod: ({ method }) => method,
  encodeError (error, refused) {
    const { headers, ...answer } = plain.encodeError(error, refused)
    return { ...answer, headers: { 'cache-control': 'no-store', ...headers } }
  }
}
/** Where tus is spoken, every response says so. Plain HTTP says no version of it. */
const downloadBesideTus: Protocol = { ...tus, checkVersion: () => {} }
const IETF = new Map([CURRENT_VERSION, ...KNOWN_VERSIONS].map(version => [version, createIetf(version)]))
