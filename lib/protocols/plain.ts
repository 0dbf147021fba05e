import { TUS_ERR_CONTENT_ENCODING, TusError } from '../errors.js'
import { decodeMetadata } from './ietf-headers.js'
import { CURRENT_VERSION } from './ietf-versions.js'
import { createIetf, IETF_ECHO } from './ietf.js'
import type { Protocol } from './protocol.js'

/** HTTP as it always was: a request that brings all at once or fails, and knows of no upload. */
export const plain: Protocol = {
  ...createIetf(CURRENT_VERSION),

  name: 'plain',

  decodeCreate ({ headers, getContent }, { maxMetadataSize }) {
    if ((headers['transfer-encoding'] ?? 'chunked').toLowerCase() !== 'chunked') throw TUS_ERR_CONTENT_ENCODING()
    const { present, declared } = getContent()
    return {
      length: declared,
      metadata: decodeMetadata(headers, maxMetadataSize),
      echo: IETF_ECHO,
      echoMetadata: () => ({}),
      partial: false,
      parts: null,
      body: present ? { declared, verification: null, onOverflow: 'remove' } : null,
      completion: declared === null ? 'at-end-of-body' : 'at-length',
      digests: {},
      resumable: false
    }
  },

  encodeAnswered (_described, { status }) {
    return { status, headers: {} }
  },

  encodeError (error) {
    return { status: error instanceof TusError ? error.statusCode : 0, headers: {} }
  }
}
