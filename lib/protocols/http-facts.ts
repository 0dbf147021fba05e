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

/** When to try again after an outage of unknown length, in seconds. */
export const RETRY_AFTER = 5
