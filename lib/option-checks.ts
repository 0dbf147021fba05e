import { CHECKSUM_ALGORITHMS } from './checksum.js'
import { TUS_ERR_OPTION_INVALID, TUS_ERR_OPTION_UNKNOWN } from './errors.js'
import { EXTENSIONS, type Extension } from './extensions.js'
import { normalizePrefix } from './prefix.js'
import { PROTOCOLS } from './protocols/names.js'
import { findSimilar } from './similar-name.js'

/**
 * @throws TUS_ERR_OPTION_UNKNOWN if there is no such option
 * @throws TUS_ERR_OPTION_INVALID if it can't have that value; `undefined` is its default
 */
export function checkOption (option: string, value: unknown): void {
  if (!Object.hasOwn(CHECKS, option)) throw TUS_ERR_OPTION_UNKNOWN({ option, similar: findSimilar(option, Object.keys(CHECKS)) })
  const [expected, holds] = CHECKS[option]!
  if (value !== undefined && !holds(value)) throw TUS_ERR_OPTION_INVALID({ option, expected })
}

type Check = readonly [expected: string, holds: (value: unknown) => boolean]

const TIMEOUT: Check = ['a number of milliseconds from 1 to 2147483647', value => isWhole(value) && value >= 1 && value <= 2 ** 31 - 1]
const BYTES: Check = ['a whole number of bytes from 0 to 2^53 - 1, or null', value => value === null || isWhole(value)]
const BOOLEAN: Check = ['true or false', value => typeof value === 'boolean']
const FUNCTION: Check = ['a function', value => typeof value === 'function']
const ANYTHING: Check = ['anything', () => true]

const CHECKS: Readonly<Record<string, Check>> = {
  prefix: ["a path such as '/files' or '/t/:tenant/files', without wildcards, expressions, empty or dot segments", value => typeof value === 'string' && normalizePrefix(value) !== null],
  storage: ['a storage, such as createFsStorage({ directory })', value => hasMethods(value, ['create', 'find', 'append', 'setLength', 'complete', 'remove', 'update'])],
  maxSize: ['a whole number of bytes from 0 to 2^53 - 1, null, or a function of the request', value => typeof value === 'function' || BYTES[1](value)],
  maxAppendSize: BYTES,
  maxMetadataSize: ['a whole number of bytes', isWhole],
  extensions: [`a list of: ${EXTENSIONS.join(', ')}; each with the one that it extends`, isExtensionList],
  checksumAlgorithms: [`a list, not empty, of: ${CHECKSUM_ALGORITHMS.join(', ')}`, value => Array.isArray(value) && value.length > 0 && value.every(name => CHECKSUM_ALGORITHMS.includes(name))],
  digestThreads: ['a whole number from 0 to 64', value => isWhole(value) && value <= 64],
  protocols: ['a list, not empty, of: tus, ietf', value => Array.isArray(value) && value.length > 0 && value.every(name => PROTOCOLS.includes(name))],
  interimResponses: BOOLEAN,
  expiration: ['false, or an object of incomplete, complete, sweepInterval, each a number of milliseconds above 0 or null', isExpiration],
  download: ['true, false, or { cacheControl }: the value of a Cache-Control header', value => typeof value === 'boolean' || isDownload(value)],
  locker: ['an object with a method withLock', value => hasMethods(value, ['withLock'])],
  lockTimeout: TIMEOUT,
  stallTimeout: TIMEOUT,
  minRate: ['null, or { bytes, window }: a whole number of bytes from 1, and a number of milliseconds from 1 to 2147483647', value => value === null || isMinRate(value)],
  maxConcurrentUploads: ['a whole number from 1, { max, key } with such a number and a function of the request, or null', value => value === null || isCount(value) || isConcurrencyLimit(value)],
  concatTimeout: TIMEOUT,
  removeParts: BOOLEAN,
  progressInterval: TIMEOUT,
  generateId: FUNCTION,
  scope: FUNCTION,
  location: FUNCTION,
  relativeLocation: BOOLEAN,
  methodOverride: BOOLEAN,
  cors: ['false or an object of options for @fastify/cors', value => value === false || isObject(value)],
  metrics: ['{ register, tusd }: a Registry of prom-client, and true or false', isMetrics],
  openapi: ['false, or an object of tags, a list of strings, and security, a list of objects', value => value === false || isOpenApi(value)],
  routeOptions: ['an object of route options of Fastify', isObject],
  // Fastify's own options of register()
  logLevel: ANYTHING,
  logSerializers: ANYTHING
}

/** Some extensions are nothing without another: `creation-with-upload` without `creation` (CU-2), for one. */
function isExtensionList (value: unknown): boolean {
  return Array.isArray(value) && value.every(name => EXTENSIONS.includes(name) && (!(name in NEEDS) || value.includes(NEEDS[name])))
}

const NEEDS: Readonly<Record<string, Extension>> = {
  'creation-with-upload': 'creation',
  'creation-defer-length': 'creation',
  concatenation: 'creation',
  'checksum-trailer': 'checksum',
  'concatenation-unfinished': 'concatenation'
}

function isExpiration (value: unknown): boolean {
  if (value === false) return true
  if (!isObject(value)) return false
  return Object.entries(value as object).every(([name, time]) =>
    ['incomplete', 'complete', 'sweepInterval'].includes(name) && (time === null || time === undefined || (isWhole(time) && time > 0)) &&
    (name !== 'sweepInterval' || time === null || time === undefined || TIMEOUT[1](time)))
}

function isDownload (value: unknown): boolean {
  if (!isObject(value)) return false
  const { cacheControl, ...rest } = value as Record<string, unknown>
  return (cacheControl === undefined || (typeof cacheControl === 'string' && CACHE_CONTROL.test(cacheControl))) && Object.keys(rest).length === 0
}

function isMinRate (value: unknown): boolean {
  return hasExactly(value, ['bytes', 'window']) && isCount(value.bytes) && TIMEOUT[1](value.window)
}

function isConcurrencyLimit (value: unknown): boolean {
  return hasExactly(value, ['max', 'key']) && isCount(value.max) && typeof value.key === 'function'
}

function isMetrics (value: unknown): boolean {
  if (!isObject(value)) return false
  const { register, tusd = false, ...rest } = value as Record<string, unknown>
  return hasMethods(register, ['registerMetric', 'metrics']) && typeof tusd === 'boolean' && Object.keys(rest).length === 0
}

function isOpenApi (value: unknown): boolean {
  return isObject(value) && Object.entries(value as object).every(([name, list]) => list === undefined ||
    (Array.isArray(list) && ((name === 'tags' && list.every(tag => typeof tag === 'string')) || (name === 'security' && list.every(isObject)))))
}

function isCount (value: unknown): boolean {
  return isWhole(value) && value >= 1
}

function hasExactly<Name extends string> (value: unknown, names: readonly Name[]): value is Record<Name, unknown> {
  return isObject(value) && Object.keys(value as object).length === names.length && names.every(name => Object.hasOwn(value as object, name))
}

/** Whether it is a whole number from 0 to 2^53 - 1. */
export function isWhole (value: unknown): value is number {
  return Number.isSafeInteger(value) && (value as number) >= 0
}

function isObject (value: unknown): boolean {
  return typeof value === 'object' && value !== null && !Array.isArray(value)
}

function hasMethods (value: unknown, names: readonly string[]): boolean {
  return isObject(value) && names.every(name => typeof (value as Record<string, unknown>)[name] === 'function')
}

/** Directives separated by commas, each a name or `name=value` (RFC 9111, 5.2). */
const DIRECTIVE = /[\w!#$%&'*+.^`|~-]+(?:=(?:[\w!#$%&'*+.^`|~-]+|"[\w !#$%&'*+.^`|~,:;/-]*"))?/
const CACHE_CONTROL = new RegExp(`^${DIRECTIVE.source}(?:, *${DIRECTIVE.source})*$`)
