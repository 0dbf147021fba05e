import type { RequestMessage } from '../channels.js'
import { TusError } from '../errors.js'

/** The method as a label; clients must not be able to make more of them. */
export function getMethod ({ method }: RequestMessage): string {
  return METHODS.has(method) ? method : 'other'
}

/** The status that the answer has, unless the application's error handler chooses another. */
export function getStatus ({ reply }: RequestMessage, error: unknown): number {
  if (error === undefined || reply.statusCode >= 400) return reply.statusCode
  return (error as { statusCode?: number } | null)?.statusCode ?? 500
}

/** The code of an error of this plugin. What the application refused has the code `application`. */
export function getErrorCode (error: unknown): string {
  return error instanceof TusError ? error.code : 'application'
}

const METHODS = new Set(['OPTIONS', 'HEAD', 'POST', 'PUT', 'PATCH', 'GET', 'DELETE'])
