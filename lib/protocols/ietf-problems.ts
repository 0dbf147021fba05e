import type { TusError } from '../errors.js'
import type { Version } from './ietf-versions.js'

/**
 * The body of an error: what went wrong, for programs (XX-3).
 *
 * @param provided the offset that the request named; `null` if it named none
 * @see RFC 9457
 */
export function formatProblem ({ code, message, facts }: TusError, status: number, provided: number | null, version: Version): string {
  return JSON.stringify({
    ...getType(code, version),
    title: message,
    status,
    code,
    ...code === 'TUS_ERR_OFFSET_MISMATCH' && { 'expected-offset': facts.offset, ...provided !== null && { 'provided-offset': provided } }
  })
}

/** Without a type of its own it is `about:blank`, which need not be said. */
function getType (code: string, { hasCompletedProblem }: Version): { type?: string } {
  switch (code) {
    case 'TUS_ERR_OFFSET_MISMATCH': return { type: `${TYPES}#mismatching-upload-offset` }
    case 'TUS_ERR_LENGTH_MISMATCH': return { type: `${TYPES}#inconsistent-upload-length` }
    case 'TUS_ERR_UPLOAD_COMPLETE': return hasCompletedProblem ? { type: `${TYPES}#completed-upload` } : {}
    default: return {}
  }
}

const TYPES = 'https://iana.org/assignments/http-problem-types'
