import type { Extension } from '../extensions.js'
import { refuseWith, type Answered, type Circumstances, type Said, type Wording } from './wording.js'

const CONTENT_TYPE = 'application/partial-upload'
const DIGESTS = ['Repr-Digest', 'Want-Repr-Digest', 'Content-Digest'] as const
const STATE = ['Upload-Offset', 'Upload-Complete', 'Upload-Limit', 'Repr-Digest'] as const
const VERSION = 'Upload-Draft-Interop-Version'

/** Resumable Uploads for HTTP, as the standard is to be; the versions before it differ by what `docs/protocols.md` says. */
export function describeIetf (offered: Circumstances): Wording {
  const has = (extension: Extension) => offered.extensions.has(extension)
  const refuse = (...statuses: ReadonlyArray<number | false>) => refuseWith(statuses, ['Cache-Control', 'Upload-Complete'], {
    409: ['Upload-Offset'],
    413: ['Upload-Limit'],
    415: ['Accept-Patch'],
    423: ['Upload-Offset'],
    429: ['Retry-After'],
    503: ['Upload-Offset', 'Retry-After']
  })
  const gone = [404, has('expiration') && 410, 423, 500, 503] as const
  const receiving = [400, 409, 413, 415, offered.limitsConcurrency && 429, 507] as const
  const interim: Record<number, Answered> = offered.interimResponses
    ? { 104: { says: 'Ahead of the answer, to who tells a version: where the upload is, and then which offset is durable', fields: [VERSION, 'Location', 'Upload-Limit', 'Upload-Offset'] } }
    : {}

  const create: Said = {
    required: ['Upload-Complete'],
    optional: [VERSION, 'Upload-Length', 'Upload-Metadata', 'Content-Disposition', 'Content-Encoding', ...DIGESTS],
    content: ['*/*'],
    needsContent: false,
    answers: {
      ...interim,
      201: { says: 'The upload is created', fields: ['Location', ...STATE] },
      ...refuse(...receiving, 423, 500, 503)
    }
  }
  const append: Said = {
    required: ['Upload-Offset', 'Upload-Complete'],
    optional: [VERSION, 'Upload-Length', ...DIGESTS],
    content: [CONTENT_TYPE],
    needsContent: false,
    answers: {
      ...interim,
      200: { says: 'The bytes are appended, and the application has something to say', fields: STATE },
      201: { says: 'The upload is complete', fields: ['Location', ...STATE] },
      204: { says: 'The bytes are appended', fields: STATE },
      ...refuse(...receiving, 403, ...gone)
    }
  }
  const inspect: Said = {
    ...bodyless([VERSION]),
    answers: {
      204: { says: 'How much of the upload is there', fields: [...STATE, 'Upload-Length', 'Cache-Control'] },
      ...refuse(400, 403, ...gone)
    }
  }
  return {
    name: 'Resumable Uploads for HTTP',
    error: { type: 'application/problem+json', schema: 'FastifyTusProblem' },
    verbs: {
      offer: { ...bodyless([VERSION]), answers: { 204: { says: 'What the server offers', fields: ['Upload-Limit', 'Accept-Patch'] } } },
      ...has('creation') && { create },
      inspect,
      append,
      ...has('termination') && { terminate: { ...bodyless([VERSION]), answers: { 204: { says: 'The upload is removed', fields: [] }, ...refuse(400, ...gone) } } }
    }
  }
}

function bodyless (optional: readonly string[]): Omit<Said, 'answers'> {
  return { required: [], optional, content: [], needsContent: false }
}
