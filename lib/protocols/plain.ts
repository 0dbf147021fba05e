import { TUS_ERR_CONTENT_ENCODING, TusError } from '../errors.js'
import { decodeContentDigest, decodeReprDigests, encodeReprDigests, hasContentDigest } from './digests.js'
import { encodeFacts } from './http-facts.js'
import { decodeMetadata } from './ietf-headers.js'
import { getStatus } from './ietf-problems.js'
import { CURRENT_VERSION } from './ietf-versions.js'
import { createIetf, IETF_ECHO } from './ietf.js'
import type { Protocol } from './protocol.js'

/** HTTP as it always was: a request that brings all at once or fails, and knows of no upload. */
export const plain: Protocol = {
  ...createIetf(CURRENT_VERSION),

  name: 'plain',

  decodeCreate (message, { maxMetadataSize }) {
    const { headers } = message
    if ((headers['transfer-encoding'] ?? 'chunked').toLowerCase() !== 'chunked') throw TUS_ERR_CONTENT_ENCODING()
    const { present, declared } = message.getContent()
    return {
      length: declared,
      metadata: decodeMetadata(headers, maxMetadataSize),
      echo: IETF_ECHO,
      echoMetadata: () => ({}),
      partial: false,
      parts: null,
      body: present || hasContentDigest(message) ? { declared, ...decodeContentDigest(message), onOverflow: 'remove' } : null,
      completion: declared === null ? 'at-end-of-body' : 'at-length',
      digests: decodeReprDigests(message),
      resumable: false,
      whenCut: 'refused'
    }
  },

  encodeAnswered ({ upload }, { status }) {
    return { status, headers: encodeReprDigests(upload) }
  },

  encodeError (error, { message }) {
    if (!(error instanceof TusError)) return { status: 0, headers: {} }
    const status = getStatus(error, null, message.headers)
    return { status, headers: encodeFacts(error.as(status)) }
  }
}
