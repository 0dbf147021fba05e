import type { IncomingHttpHeaders } from 'node:http'
import type { TusError } from '../errors.js'
import type { Upload } from '../upload.js'
import type { Version } from './ietf-versions.js'

/** The problems that have a type of their own. */
export type ProblemType = 'mismatching-upload-offset' | 'inconsistent-upload-length' | 'completed-upload'

/** Which of them an error is; `null` is none (XX-3). */
export function getProblemType (code: string, upload: Upload | null, { hasCompletedProblem }: Version): ProblemType | null {
  if (hasCompletedProblem && upload?.complete && BEYOND.has(code)) return 'completed-upload'
  switch (code) {
    case 'TUS_ERR_OFFSET_MISMATCH': return 'mismatching-upload-offset'
    case 'TUS_ERR_LENGTH_MISMATCH': return 'inconsistent-upload-length'
    default: return null
  }
}

/** The status of an error in the draft, and in plain HTTP. */
export function getStatus ({ code, statusCode }: TusError, type: ProblemType | null, headers: IncomingHttpHeaders): number {
  if (type === 'completed-upload' || statusCode === 460) return 400
  // A creation that another request took over ended early like any other: curl retries after a 503, and not after a 423.
  return code === 'TUS_ERR_BODY_TAKEN_OVER' && headers['upload-offset'] === undefined ? 503 : statusCode
}

/**
 * The body of an error: what went wrong, for programs. Without a type of its own it is `about:blank`, which need not be said.
 *
 * @param provided the offset that the request named; `null` if it named none
 * @see RFC 9457
 */
export function formatProblem ({ code, message, facts }: TusError, status: number, type: ProblemType | null, provided: number | null): string {
  return JSON.stringify({
    ...type !== null && { type: `https://iana.org/assignments/http-problem-types#${type}` },
    title: message,
    status,
    code,
    ...type === 'mismatching-upload-offset' && { 'expected-offset': facts.offset, ...provided !== null && { 'provided-offset': provided } }
  })
}

/** What an append beyond the end is refused with. */
const BEYOND = new Set(['TUS_ERR_UPLOAD_COMPLETE', 'TUS_ERR_BODY_TOO_LONG', 'TUS_ERR_LENGTH_MISMATCH'])
