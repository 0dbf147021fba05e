import contentDisposition from 'content-disposition'
import type { IncomingHttpHeaders } from 'node:http'
import type { Metadata } from '../upload.js'
import type { Version } from './ietf-versions.js'
import type { Offer } from './protocol.js'
import { formatBoolean, formatDictionary, LARGEST_INTEGER, parseItem } from './structured-fields.js'

type Field = string | string[] | undefined

/** A non-negative integer. "Other values MUST cause the entire header field to be ignored" (ST-6, ST-11): `null`. */
export function parseCount (field: Field): number | null {
  const value = typeof field === 'string' ? parseItem(field)?.value : undefined
  return typeof value === 'number' && value >= 0 ? value : null
}

/** Whether a request says that it brings the end of the upload; `null` if it does not say, or not as it has to (ST-8). */
export function parseComplete (headers: IncomingHttpHeaders, { completeness }: Version): boolean | null {
  const field = headers[completeness]
  const value = typeof field === 'string' ? parseItem(field)?.value : undefined
  if (typeof value !== 'boolean') return null
  return completeness === 'upload-complete' ? value : !value
}

export function formatComplete (complete: boolean, { completeness }: Version): Record<string, string> {
  return { [completeness]: formatBoolean(completeness === 'upload-complete' ? complete : !complete) }
}

/**
 * What clients are told of the limits; nothing in a version that has none to tell (LI-1).
 *
 * @param remaining how long the upload stays from now on, in ms; `null` is for ever
 */
export function formatLimit ({ maxSize, maxAppendSize }: Offer, remaining: number | null, { lifetime }: Version): Record<string, string> {
  if (lifetime === null) return {}
  const known = {
    'max-size': maxSize,
    'max-append-size': maxAppendSize,
    // Not the second before: the end that it implies must not come nearer (LI-3).
    [lifetime]: remaining && Math.max(0, Math.ceil(remaining / 1000))
  }
  const limits = Object.fromEntries(Object.entries(known).flatMap(([key, limit]) => limit === null ? [] : [[key, Math.min(limit, LARGEST_INTEGER)]]))
  // "it MUST use min-size=0 instead of an empty header value" (LI-6)
  return { 'upload-limit': formatDictionary(Object.keys(limits).length > 0 ? limits : { 'min-size': 0 }) }
}

/** What the headers of the first request tell of the representation (CN-14), as far as that is of use and not longer than `max` bytes (XX-10). */
export function decodeMetadata (headers: IncomingHttpHeaders, max: number): Metadata {
  const { 'content-type': type = '', 'content-encoding': encoding = '', 'content-disposition': disposition = '' } = headers
  if (type.length + encoding.length + disposition.length > max) return {}
  const name = parseName(disposition)
  return {
    ...name !== null && { filename: name },
    ...type !== '' && { filetype: type },
    ...encoding !== '' && { encoding: encoding.toLowerCase() }
  }
}

/** The last part of a path, because nobody else's folders are meant; without what is no character of a name. */
function parseName (disposition: string): string | null {
  if (disposition === '') return null
  try {
    const { filename = '' } = contentDisposition.parse(disposition).parameters
    const name = filename.replace(/^.*[/\\]/s, '').replace(/\p{Cc}/gu, '')
    return /^\.{0,2}$/.test(name) ? null : name
  } catch {
    // What can't be understood names nothing.
    return null
  }
}

/** Whether the body of a request is a piece of an upload. */
export function isPartialUpload (type: string | undefined): boolean {
  return type !== undefined && /^\s*application\/partial-upload\s*(?:;|$)/i.test(type)
}
