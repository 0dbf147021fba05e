import { createHash } from 'node:crypto'

/**
 * The words in which clients talk: those of tus, or those of Resumable Uploads for HTTP (interop version 8). The rules that answers are held to are the same, so answers
 * are put into the words of tus.
 */
const WORDS = {
  tus: {
    common: { 'Tus-Resumable': '1.0.0' },
    hows: {},
    create: ({ content, deferred, partial, first, metadata }) => ({
      ...deferred ? { 'Upload-Defer-Length': 1 } : { 'Upload-Length': content.length },
      ...partial && { 'Upload-Concat': 'partial' },
      ...metadata && { 'Upload-Metadata': metadata },
      ...first !== undefined && { 'Content-Type': 'application/offset+octet-stream' }
    }),
    append: () => ({ 'Content-Type': 'application/offset+octet-stream' }),
    digest: bytes => createHash('sha1').update(bytes).digest('base64'),
    checksum: sum => ({ 'Upload-Checksum': `sha1 ${sum}` }),
    read: (_method, response) => response
  },

  ietf: {
    common: { 'Upload-Draft-Interop-Version': '8' },
    // There are no checksums behind the body.
    hows: { trailer: 'chunked', 'wrong trailer': 'wrong sum' },
    create: ({ content, deferred, first = 0 }) => ({
      ...!deferred && { 'Upload-Length': content.length },
      'Upload-Complete': first === content.length ? '?1' : '?0'
    }),
    append: (end, length) => ({ 'Content-Type': 'application/partial-upload', 'Upload-Complete': end === length ? '?1' : '?0' }),
    digest: bytes => createHash('sha256').update(bytes).digest('base64'),
    checksum: sum => ({ 'Content-Digest': `sha-256=:${sum}:` }),
    read: (method, response) => ({ ...response, status: translate(method, response) })
  }
}

let spoken = 'tus'

export function speak (protocol) {
  spoken = protocol
}

export function getWords () {
  return WORDS[spoken]
}

/** Whether bytes up to the length are an upload, or somebody has to say that this is all. */
export function needsEnd () {
  return spoken === 'ietf'
}

function translate (method, { status, body }) {
  if (method === 'HEAD' && status === 204) return 200
  if (method === 'POST' && status === 503 && body?.includes('TUS_ERR_BODY_TAKEN_OVER')) return 423
  // Versions before 8 say 201 of an append that leaves the upload incomplete, too.
  if (method === 'PATCH' && status === 201) return 204
  return status === 400 && body?.includes('TUS_ERR_CHECKSUM_MISMATCH') ? 460 : status
}
