import { validateHeaderName, validateHeaderValue } from 'node:http'
import { TUS_ERR_HOOK_RESULT } from './errors.js'
import type { CreateDecision } from './hooks.js'
import type { Metadata } from './upload.js'

/**
 * What a hook may decide, and nothing else of what it returned.
 *
 * @throws TUS_ERR_HOOK_RESULT
 */
export function checkDecision (result: unknown): CreateDecision {
  if (result === undefined || result === null) return {}
  const fail = (expected: string) => TUS_ERR_HOOK_RESULT({ hook: 'preCreate', expected })
  if (!isRecord(result)) throw fail('an object or nothing')
  const { id, metadata, serverMetadata, expiresAt } = result
  if (id !== undefined && typeof id !== 'string') throw fail('id: a string')
  if (metadata !== undefined && !isMetadata(metadata)) throw fail('metadata: an object of strings, its keys without spaces and commas')
  const notes = serverMetadata === undefined ? undefined : toJson(serverMetadata)
  if (notes === null) throw fail('serverMetadata: an object of JSON values')
  if (expiresAt !== undefined && expiresAt !== null && !isValidDate(expiresAt)) throw fail('expiresAt: a Date or null')
  return {
    ...id !== undefined && { id },
    ...metadata !== undefined && { metadata },
    ...notes !== undefined && { serverMetadata: notes },
    ...expiresAt !== undefined && { expiresAt }
  }
}

/** @throws TUS_ERR_HOOK_RESULT */
export function checkFinish (result: unknown): void {
  if (result === undefined || result === null) return
  const fits = isRecord(result) && isHeaders(result.headers) && (result.body === undefined || typeof result.body === 'string')
  if (!fits) throw TUS_ERR_HOOK_RESULT({ hook: 'preFinish', expected: '{ headers?, body? }' })
}

function isRecord (value: unknown): value is Record<string, unknown> {
  return typeof value === 'object' && value !== null && !Array.isArray(value)
}

/** Whether a protocol can tell it to a client. */
function isMetadata (value: unknown): value is Metadata {
  return isRecord(value) && Object.entries(value).every(([key, item]) => KEY.test(key) && typeof item === 'string')
}

/** What will be read from any storage, whatever it was; `null` if that is no object. */
function toJson (value: unknown): Record<string, unknown> | null {
  try {
    const read = JSON.parse(JSON.stringify(value))
    return isRecord(value) && isRecord(read) ? read : null
  } catch {
    return null
  }
}

/** Headers that Node would send. */
export function isHeaders (value: unknown): boolean {
  if (value === undefined) return true
  if (!isRecord(value)) return false
  try {
    for (const [name, items] of Object.entries(value)) {
      validateHeaderName(name)
      for (const item of [items].flat()) validateHeaderValue(name, item as string)
    }
    return true
  } catch {
    return false
  }
}

function isValidDate (value: unknown): value is Date {
  return value instanceof Date && !Number.isNaN(value.getTime())
}

const KEY = /^(?:[!-+\--~\x80-\x9f\xa1-\xff])+$/
