import { randomBytes } from 'node:crypto'
import type { NewUpload } from '../../lib/upload.js'

/** As an operation hands it to a storage. */
export function makeUpload (given: Partial<NewUpload> = {}): NewUpload {
  return {
    id: randomBytes(16).toString('hex'),
    length: null,
    metadata: {},
    serverMetadata: {},
    echo: {},
    partial: false,
    final: false,
    parts: [],
    completes: 'at-length',
    createdAt: new Date(),
    expiresAt: null,
    ...given
  }
}
