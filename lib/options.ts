import type { FastifyCorsOptions } from '@fastify/cors'
import type { FastifyRequest, RouteShorthandOptions } from 'fastify'
import { randomBytes } from 'node:crypto'
import { CHECKSUM_ALGORITHMS, type ChecksumAlgorithm } from './checksum.js'
import { TUS_ERR_HOOK_RESULT, TUS_ERR_OPTION_INVALID, TUS_ERR_OPTION_UNKNOWN } from './errors.js'
import type { Expiration } from './expiration.js'
import type { Locker } from './locker.js'
import type { Storage } from './storage.js'
import type { Metadata } from './upload.js'

/** The extensions of tus 1.0.0 that can be switched. */
export const EXTENSIONS = [
  'creation', 'creation-with-upload', 'creation-defer-length', 'termination', 'checksum', 'checksum-trailer', 'expiration',
  'concatenation', 'concatenation-unfinished'
] as const
export type Extension = typeof EXTENSIONS[number]

/** Options of Fastify that the plugin puts on each of its routes. */
export type RouteOptions = Pick<RouteShorthandOptions,
  'onRequest' | 'preParsing' | 'preValidation' | 'preHandler' | 'preSerialization' | 'onSend' | 'onResponse' |
  'onError' | 'onTimeout' | 'config' | 'constraints' | 'logLevel' | 'errorHandler'>

export interface TusOptions {
  /** Where the routes are, below the prefix of the registering scope. Default `/files`. */
  prefix?: string
  /** Where uploads are kept. Default: the filesystem, in `./uploads`. */
  storage?: Storage
  /** The largest upload, in bytes; `null` is no limit. A function decides per request. Default: no limit. */
  maxSize?: number | null | ((request: FastifyRequest) => number | null)
  /** The largest body of one request, in bytes; `null` is no limit. Default: no limit. */
  maxAppendSize?: number | null
  /** The longest `Upload-Metadata` header, in bytes. Default 4096. */
  maxMetadataSize?: number
  /** The extensions to offer. Default: all that the storage can do. */
  extensions?: readonly Extension[]
  /** The algorithms that a checksum may name. Default: all, `sha1 sha256 sha512 md5 crc32`. */
  checksumAlgorithms?: readonly ChecksumAlgorithm[]
  /** The protocols to speak. Default: `['tus']`. */
  protocols?: ReadonlyArray<'tus'>
  /**
   * When uploads expire, in ms: `incomplete` (default 24 h) and `complete` (default `null`: never) since the last byte. They are
   * removed by a sweep every `sweepInterval` ms (default 10 min; `null`: only by `app.tus.sweep()`). `false`: nothing expires, nothing sweeps.
   */
  expiration?: false | { incomplete?: number | null, complete?: number | null, sweepInterval?: number | null }
  /** Whether `GET` of a complete upload answers its bytes. Default `true`. */
  download?: boolean
  /** Exclusion between requests on one upload. Default: the storage's own, else one for a single process. */
  locker?: Locker
  /** How long a request waits for an upload that another one uses, in ms, before 423. Default 10 000. */
  lockTimeout?: number
  /** A body that brings no byte for so long, in ms, ends there. Default 60 000. */
  stallTimeout?: number
  /** How often `postReceive` hooks run during a long body, at most, in ms. Default 1000. */
  progressInterval?: number
  /** The id of a new upload. Default: 128 random bits in hexadecimal. */
  generateId?: (request: FastifyRequest, metadata: Metadata) => string | Promise<string>
  /** The URL of an upload, in place of one made from the request. */
  location?: (request: FastifyRequest, id: string) => string
  /** Whether the URL of an upload is a path without scheme and host. Default `false`. */
  relativeLocation?: boolean
  /** Options of `@fastify/cors` for the tus routes; the tus headers are allowed and exposed. Default `false`: none. */
  cors?: false | FastifyCorsOptions
  /** Options of Fastify for each of the tus routes. */
  routeOptions?: RouteOptions
}

/** The options with every default filled in. */
export interface ResolvedOptions {
  readonly prefix: string
  readonly storage: Storage | null
  readonly maxSize: (request: FastifyRequest) => number
  /** What every upload is limited to, in bytes, if that does not depend on the request. */
  readonly announcedMaxSize: number | null
  /** Whether a function of the application decides on `maxSize`, for each request. */
  readonly hasOwnMaxSize: boolean
  readonly maxAppendSize: number
  readonly maxMetadataSize: number
  readonly extensions: ReadonlySet<Extension>
  readonly checksumAlgorithms: readonly ChecksumAlgorithm[]
  /** `null` where nothing expires. */
  readonly expiration: Expiration | null
  /** In ms; `null`: no sweeps of its own. */
  readonly sweepInterval: number | null
  readonly download: boolean
  readonly locker: Locker | null
  readonly lockTimeout: number
  readonly stallTimeout: number
  readonly progressInterval: number
  readonly generateId: NonNullable<TusOptions['generateId']>
  readonly hasOwnIds: boolean
  readonly location: TusOptions['location'] | null
  readonly relativeLocation: boolean
  readonly cors: false | FastifyCorsOptions
  readonly routeOptions: RouteOptions
}

/**
 * Checks the options and fills in the defaults.
 *
 * @throws TUS_ERR_OPTION_INVALID, TUS_ERR_OPTION_UNKNOWN
 */
export function resolveOptions (options: TusOptions): ResolvedOptions {
  for (const [name, value] of Object.entries(options)) check(name, value)
  const { maxSize = null } = options
  return {
    prefix: normalizePrefix(options.prefix ?? '/files'),
    storage: options.storage ?? null,
    maxSize: typeof maxSize === 'function' ? request => checkMaxSize(maxSize(request)) : () => maxSize ?? Infinity,
    announcedMaxSize: typeof maxSize === 'function' ? null : maxSize,
    hasOwnMaxSize: typeof maxSize === 'function',
    maxAppendSize: options.maxAppendSize ?? Infinity,
    maxMetadataSize: options.maxMetadataSize ?? 4096,
    extensions: resolveExtensions(options.extensions ?? EXTENSIONS),
    checksumAlgorithms: options.checksumAlgorithms ?? CHECKSUM_ALGORITHMS,
    ...resolveExpiration(options.expiration ?? {}),
    download: options.download ?? true,
    locker: options.locker ?? null,
    lockTimeout: options.lockTimeout ?? 10_000,
    stallTimeout: options.stallTimeout ?? 60_000,
    progressInterval: options.progressInterval ?? 1000,
    generateId: options.generateId ?? createRandomId,
    hasOwnIds: options.generateId !== undefined,
    location: options.location ?? null,
    relativeLocation: options.relativeLocation ?? false,
    cors: options.cors ?? false,
    routeOptions: options.routeOptions ?? {}
  }
}

type Check = readonly [expected: string, holds: (value: unknown) => boolean]

const TIMEOUT: Check = ['a number of milliseconds from 1 to 2147483647', value => isWhole(value) && value >= 1 && value <= 2 ** 31 - 1]
const BYTES: Check = ['a whole number of bytes from 0 to 2^53 - 1, or null', value => value === null || isWhole(value)]
const BOOLEAN: Check = ['true or false', value => typeof value === 'boolean']
const FUNCTION: Check = ['a function', value => typeof value === 'function']
const ANYTHING: Check = ['anything', () => true]

const CHECKS: Readonly<Record<string, Check>> = {
  prefix: ["a path that starts with '/', such as '/files'", value => typeof value === 'string' && PREFIX.test(value)],
  storage: ['a storage, such as createFsStorage({ directory })', value => hasMethods(value, ['create', 'find', 'append', 'setLength', 'complete', 'remove', 'update'])],
  maxSize: ['a whole number of bytes from 0 to 2^53 - 1, null, or a function of the request', value => typeof value === 'function' || BYTES[1](value)],
  maxAppendSize: BYTES,
  maxMetadataSize: ['a whole number of bytes', isWhole],
  extensions: [`a list of: ${EXTENSIONS.join(', ')}; each with the one that it extends`, isExtensionList],
  checksumAlgorithms: [`a list, not empty, of: ${CHECKSUM_ALGORITHMS.join(', ')}`, value => Array.isArray(value) && value.length > 0 && value.every(name => CHECKSUM_ALGORITHMS.includes(name))],
  protocols: ["a list that contains 'tus'", value => Array.isArray(value) && value.length > 0 && value.every(name => name === 'tus')],
  expiration: ['false, or an object of incomplete, complete, sweepInterval, each a number of milliseconds above 0 or null', isExpiration],
  download: BOOLEAN,
  locker: ['an object with a method withLock', value => hasMethods(value, ['withLock'])],
  lockTimeout: TIMEOUT,
  stallTimeout: TIMEOUT,
  progressInterval: TIMEOUT,
  generateId: FUNCTION,
  location: FUNCTION,
  relativeLocation: BOOLEAN,
  cors: ['false or an object of options for @fastify/cors', value => value === false || isObject(value)],
  routeOptions: ['an object of route options of Fastify', isObject],
  // Fastify's own options of register()
  logLevel: ANYTHING,
  logSerializers: ANYTHING
}

function check (option: string, value: unknown): void {
  if (!Object.hasOwn(CHECKS, option)) throw TUS_ERR_OPTION_UNKNOWN({ option })
  const [expected, holds] = CHECKS[option]!
  if (value !== undefined && !holds(value)) throw TUS_ERR_OPTION_INVALID({ option, expected })
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

function resolveExpiration (given: Exclude<TusOptions['expiration'], undefined>): Pick<ResolvedOptions, 'expiration' | 'sweepInterval'> {
  if (given === false) return { expiration: null, sweepInterval: null }
  const { incomplete = DAY, complete = null, sweepInterval = 10 * 60_000 } = given
  return { expiration: { incomplete, complete }, sweepInterval }
}

/** Leaves out what the storage can't do, and what another option switches off. */
export function fitToStorage (options: ResolvedOptions, storage: Storage): ResolvedOptions {
  const extensions = new Set(options.extensions)
  if (!storage.concatenate) extensions.delete('concatenation')
  if (!storage.concatenate || !storage.addWaiting) extensions.delete('concatenation-unfinished')
  if (options.expiration === null) extensions.delete('expiration')
  return { ...options, extensions, expiration: extensions.has('expiration') ? options.expiration : null }
}

function isExpiration (value: unknown): boolean {
  if (value === false) return true
  if (!isObject(value)) return false
  return Object.entries(value as object).every(([name, time]) =>
    ['incomplete', 'complete', 'sweepInterval'].includes(name) && (time === null || time === undefined || (isWhole(time) && time > 0)) &&
    (name !== 'sweepInterval' || time === null || time === undefined || TIMEOUT[1](time)))
}

function resolveExtensions (chosen: readonly Extension[]): ReadonlySet<Extension> {
  return new Set(EXTENSIONS.filter(name => chosen.includes(name)))
}

/** A function that fails must not mean that there is no limit. */
function checkMaxSize (max: unknown): number {
  if (max === null || max === Infinity) return Infinity
  if (!isWhole(max)) throw TUS_ERR_HOOK_RESULT({ hook: 'maxSize', expected: 'a whole number of bytes or null' })
  return max
}

/** The path without a slash at its end; the root is the empty string. */
function normalizePrefix (prefix: string): string {
  return prefix.replace(/\/+$/, '')
}

/** 128 random bits. They are drawn for many ids at once: a call for a few costs as much. */
function createRandomId (): string {
  if (drawn === pool.length) {
    pool = randomBytes(16 * 128)
    drawn = 0
  }
  drawn += 16
  return pool.toString('hex', drawn - 16, drawn)
}

let pool = Buffer.alloc(0)
let drawn = 0

function isWhole (value: unknown): value is number {
  return Number.isSafeInteger(value) && (value as number) >= 0
}

function isObject (value: unknown): boolean {
  return typeof value === 'object' && value !== null && !Array.isArray(value)
}

function hasMethods (value: unknown, names: readonly string[]): boolean {
  return isObject(value) && names.every(name => typeof (value as Record<string, unknown>)[name] === 'function')
}

const DAY = 86_400_000
const PREFIX = /^\/[^\s?#*:]*$/
