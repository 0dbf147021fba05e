import type { TusError } from '../errors.js'

/** The headers that HTTP itself has for what went wrong. */
export function encodeFacts ({ code, statusCode, facts: { allow, length, retryAfter } }: TusError): Record<string, string> {
  return {
    ...typeof allow === 'string' && { allow },
    ...(typeof retryAfter === 'number' || statusCode === 503) && { 'retry-after': String(retryAfter ?? RETRY_AFTER) },
    ...code === 'TUS_ERR_METHOD_OVERRIDE' && { 'cache-control': 'no-store' },
    ...statusCode === 416 && { 'content-range': `bytes */${length}` }
  }
}

/**
 * Whether the upload may well exist, and only can't be told of now. After any answer to HEAD but a 2xx or a 423, tus-js-client and Uppy take it for lost,
 * and begin again at byte 0.
 */
export function isPassing ({ statusCode }: TusError): boolean {
  return statusCode >= 500 || statusCode === 429
}

/** When to try again after an outage of unknown length, in seconds. */
export const RETRY_AFTER = 5
