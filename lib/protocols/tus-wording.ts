import type { Extension } from '../extensions.js'
import { list, refuseWith, type Answered, type Circumstances, type Said, type Wording } from './wording.js'

const CONTENT_TYPE = 'application/offset+octet-stream'

/** tus 1.0.0, with the extensions that are offered and no other. */
export function describeTus (offered: Circumstances): Wording {
  const has = (extension: Extension) => offered.extensions.has(extension)
  const checksum = has('checksum') && 'Upload-Checksum'
  const expires = has('expiration') && 'Upload-Expires'
  const isLengthFree = has('creation-defer-length') || has('concatenation')
  const refuse = (...statuses: ReadonlyArray<number | false>) => refuseWith(statuses, list('Tus-Resumable', 'Cache-Control', expires), {
    409: ['Upload-Offset'],
    412: ['Tus-Version'],
    413: list(offered.maxSize !== null && 'Tus-Max-Size'),
    423: ['Upload-Offset'],
    429: ['Retry-After'],
    503: ['Upload-Offset', 'Retry-After']
  })
  const gone = [404, has('expiration') && 410, 412, 423, 500, 503] as const

  const create: Said = {
    required: list('Tus-Resumable', !isLengthFree && 'Upload-Length'),
    optional: list(isLengthFree && 'Upload-Length', has('creation-defer-length') && 'Upload-Defer-Length', 'Upload-Metadata', has('concatenation') && 'Upload-Concat', has('creation-with-upload') && checksum),
    content: list(has('creation-with-upload') && CONTENT_TYPE),
    needsContent: false,
    answers: {
      201: { says: 'The upload is created', fields: list('Tus-Resumable', 'Location', has('creation-with-upload') && 'Upload-Offset', expires) },
      ...refuse(400, has('concatenation') && 403, 409, 412, 413, 415, 423, offered.limitsConcurrency && 429, has('checksum') && 460, 500, 503, 507)
    }
  }
  const append: Said = {
    required: ['Tus-Resumable', 'Upload-Offset'],
    optional: list(has('creation-defer-length') && 'Upload-Length', checksum),
    content: [CONTENT_TYPE],
    needsContent: true,
    answers: {
      200: { says: 'The bytes are appended, and the application has something to say', fields: list('Tus-Resumable', 'Upload-Offset', expires) },
      204: { says: 'The bytes are appended', fields: list('Tus-Resumable', 'Upload-Offset', expires) },
      ...refuse(400, 403, 409, 413, 415, offered.limitsConcurrency && 429, has('checksum') && 460, 507, ...gone)
    }
  }
  const inspect: Said = {
    ...bodyless(['Tus-Resumable']),
    answers: {
      200: {
        says: 'How much of the upload is there',
        fields: list('Tus-Resumable', 'Upload-Offset', 'Upload-Length', has('creation-defer-length') && 'Upload-Defer-Length', 'Upload-Metadata', has('concatenation') && 'Upload-Concat', expires, 'Cache-Control')
      },
      ...refuse(404, has('expiration') && 410, 412, 423)
    }
  }
  return {
    name: 'tus',
    error: { type: 'application/json', schema: 'FastifyTusError' },
    verbs: {
      offer: { ...bodyless([]), answers: { 204: describeOffer(offered) } },
      ...has('creation') && { create },
      inspect,
      append,
      ...has('termination') && { terminate: { ...bodyless(['Tus-Resumable']), answers: { 204: { says: 'The upload is removed', fields: ['Tus-Resumable'] }, ...refuse(...gone) } } }
    }
  }
}

function describeOffer ({ extensions, maxSize }: Circumstances): Answered {
  return {
    says: 'What the server offers',
    fields: list('Tus-Resumable', 'Tus-Version', extensions.size > 0 && 'Tus-Extension', maxSize !== null && 'Tus-Max-Size', extensions.has('checksum') && 'Tus-Checksum-Algorithm')
  }
}

function bodyless (required: readonly string[]): Omit<Said, 'answers'> {
  return { required, optional: [], content: [], needsContent: false }
}
