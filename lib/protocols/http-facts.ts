import type { TusError } from '../errors.js'

/** The headers that HTTP itself has for what went wrong. */
export function encodeFacts ({ statusCode, facts: { allow, length, retryAfter } }: TusError): Record<string, string> {
  return {
    ...typeof allow === 'string' && { allow },
    ...typeof retryAfter === 'number' && { 'retry-after': String(retryAfter) },
    ...statusCode === 416 && { 'content-range': `bytes */${length}` }
  }
}
