import type { Offer } from './protocol.js'

/** What a document says of a protocol: what its requests bring, and what they are answered with. No request ever sees it. */
export interface Wording {
  readonly name: string
  /** The media type and the schema of its errors. */
  readonly error: { readonly type: string, readonly schema: string }
  readonly verbs: Readonly<Partial<Record<VerbName, Said>>>
}

export type VerbName = 'offer' | 'create' | 'inspect' | 'append' | 'terminate'

/** One request and its answers, by the names of header fields. */
export interface Said {
  readonly required: readonly string[]
  readonly optional: readonly string[]
  /** The media types that a body may have; none where there is no body. */
  readonly content: readonly string[]
  readonly needsContent: boolean
  /** By status. What is below 400 comes without content. */
  readonly answers: Readonly<Record<number, Answered>>
}

export interface Answered {
  readonly says: string
  readonly fields: readonly string[]
}

/** What decides about the words. */
export interface Circumstances extends Pick<Offer, 'extensions' | 'maxSize'> {
  readonly interimResponses: boolean
  /** Whether clients are limited in how many requests send bytes at once. */
  readonly limitsConcurrency: boolean
}

/** The list, without what is not said here. */
export function list (...names: ReadonlyArray<string | false>): string[] {
  return names.filter(name => name !== false)
}

/**
 * The refusals of a request, each with its reason and its header fields.
 *
 * @param all the fields that each of them has
 */
export function refuseWith (statuses: ReadonlyArray<number | false>, all: readonly string[], own: Readonly<Record<number, readonly string[]>>): Record<number, Answered> {
  return Object.fromEntries(statuses.filter(status => status !== false).map(status => [status, { says: REASONS[status]!, fields: [...all, ...own[status] ?? []] }]))
}

const REASONS: Readonly<Record<number, string>> = {
  400: 'The request is malformed, or a hook has stopped the upload',
  403: 'A final upload takes no bytes',
  404: 'There is no such upload, or nothing to download yet',
  409: 'The upload is at another offset, or the id is taken',
  410: 'The upload has expired',
  412: 'The version of tus is missing or unknown, or a precondition does not hold',
  413: 'The upload or the body is too large',
  415: 'The body has another type, or is encoded',
  416: 'The range lies outside of the upload',
  423: 'Another request uses the upload, or has taken it over: what arrived is kept',
  429: 'Too many requests send bytes at once',
  460: 'The bytes do not have the checksum that was announced: none of them counts',
  500: 'The storage or a hook failed',
  503: 'The storage is away, too little arrived for too long, or the server is about to stop: what was acknowledged stays',
  507: 'There is no room left: what was acknowledged stays'
}
