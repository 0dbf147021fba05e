import { TUS_ERR_METHOD_OVERRIDE } from '../errors.js'
import type { Message } from './protocol.js'

type Head = Pick<Message, 'method' | 'headers'>

/** The method that `X-HTTP-Method-Override` names, where it counts: on requests that may change something by themselves. */
export function getOverride ({ method, headers }: Head): string | undefined {
  const override = headers[HEADER]
  return typeof override === 'string' && CARRIERS.has(method) ? override.toUpperCase() : undefined
}

/**
 * Refuses the header where applications, proxies and caches let requests pass because of their method.
 *
 * @throws TUS_ERR_METHOD_OVERRIDE
 */
export function checkOverride ({ method, headers }: Head): void {
  if (headers[HEADER] !== undefined && SAFE.has(method)) throw TUS_ERR_METHOD_OVERRIDE({ method })
}

/** The headers that count where the option `methodOverride` is `false`. */
export function omitOverride (headers: Head['headers']): Head['headers'] {
  const { [HEADER]: override, ...rest } = headers
  return override === undefined ? headers : rest
}

const HEADER = 'x-http-method-override'
const CARRIERS = new Set(['POST', 'PUT', 'PATCH', 'DELETE'])
const SAFE = new Set(['GET', 'HEAD', 'OPTIONS'])
