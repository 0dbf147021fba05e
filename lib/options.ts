import type { FastifyCorsOptions } from '@fastify/cors'
import type { FastifyRequest, RouteShorthandOptions } from 'fastify'
import type { ConcurrencyLimit } from './admission.js'
import { CHECKSUM_ALGORITHMS, type ChecksumAlgorithm } from './checksum.js'
import type { Expiration } from './expiration.js'
import { EXTENSIONS, type Extension } from './extensions.js'
import type { Locker } from './locker.js'
import type { MetricsOptions } from './metrics/options.js'
import type { MinRate } from './min-rate.js'
import type { OpenApiOptions } from './openapi/document.js'
import { checkOption, isWhole } from './option-checks.js'
import { normalizePrefix } from './prefix.js'
import { PROTOCOLS, type Enabled, type ProtocolName } from './protocols/names.js'
import { ask, type Question } from './question.js'
import { createRandomId } from './random-id.js'
import type { ScopeFunction } from './scope.js'
import type { Storage } from './storage.js'
import type { Metadata } from './upload.js'

/** Options of Fastify that the plugin puts on each of its routes. */
export type RouteOptions = Pick<RouteShorthandOptions,
  'onRequest' | 'preParsing' | 'preValidation' | 'preHandler' | 'preSerialization' | 'onSend' | 'onResponse' |
  'onError' | 'onTimeout' | 'onRequestAbort' | 'config' | 'constraints' | 'logLevel' | 'errorHandler' | 'handlerTimeout'>

/** How complete uploads are served as files. */
export interface DownloadOptions {
  /** The `Cache-Control` of responses with a file or a part of it, such as `public, max-age=3600`. Default `private, no-cache`. */
  cacheControl?: string
}

export interface TusOptions {
  /** Where the routes are, below the prefix of the registering scope. Default `/files`. */
  prefix?: string
  /** Where uploads are kept. Default: the filesystem, in `./uploads`. */
  storage?: Storage
  /**
   * The largest upload, in bytes; `null` is no limit. A function decides per request, and gets the id of the upload that the request names; a creation
   * names none. If it fails or gives anything else, the request fails with TUS_ERR_HOOK_RESULT. Default: no limit.
   */
  maxSize?: number | null | ((request: FastifyRequest, id?: string) => number | null | Promise<number | null>)
  /** The largest body of one request, in bytes; `null` is no limit. Default: no limit. */
  maxAppendSize?: number | null
  /** The longest `Upload-Metadata` header, in bytes. Default 4096. */
  maxMetadataSize?: number
  /** The extensions to offer. Default: all that the storage can do. */
  extensions?: readonly Extension[]
  /** The algorithms that a checksum may name. Default: all, `sha1 sha256 sha512 md5 crc32`. */
  checksumAlgorithms?: readonly ChecksumAlgorithm[]
  /**
   * How many threads, at most, add up the checksums of bodies of 4 MiB and more beside the main one, 0 to 64. Of use where cores are idle: each takes
   * a third off what the main thread has to do for such a body, for a fifth more processor time in all. Default 0: none.
   */
  digestThreads?: number
  /** The protocols to speak: tus 1.0.0, and Resumable Uploads for HTTP. Default: both. */
  protocols?: readonly ProtocolName[]
  /** Whether clients that understand them get interim responses (104): some proxies break on them. Default `true`. */
  interimResponses?: boolean
  /**
   * When uploads expire, in ms: `incomplete` (default 24 h) and `complete` (default `null`: never) since the last byte. They are
   * removed by a sweep every `sweepInterval` ms (default 10 min; `null`: only by `app.tus.sweep()`). `false`: nothing expires, nothing sweeps.
   */
  expiration?: false | { incomplete?: number | null, complete?: number | null, sweepInterval?: number | null }
  /**
   * Whether `GET` and a plain `HEAD` of a complete upload answer with the file. `cacheControl` is the `Cache-Control` of these responses: who else
   * than the client may keep them, and for how long. Errors of downloads are `no-store`. Default `{ cacheControl: 'private, no-cache' }`: a browser
   * keeps the file and asks each time whether it may still use it, and no shared cache keeps it.
   */
  download?: boolean | DownloadOptions
  /** Exclusion between requests on one upload. Default: the storage's own, else one for a single process. */
  locker?: Locker
  /** How long a request waits for an upload that another one uses, in ms, before 423. Default 10 000. */
  lockTimeout?: number
  /** A body that brings no byte for so long, in ms, ends there. Default 60 000. */
  stallTimeout?: number
  /**
   * A body that brings fewer than `bytes` within any `window` of ms ends there as one that stalls; time in which the storage is slow does not count.
   * `null` is no minimum. Default `{ bytes: 1024, window: 60_000 }`: far below what the slowest phone brings, and too much for one who only holds a connection.
   */
  minRate?: MinRate | null
  /**
   * How many requests of one client may send bytes at once, in this process; 429 to more. `key` says whom a request counts for: the default is `request.ip`.
   * `null` is no limit. Default `null`.
   */
  maxConcurrentUploads?: number | ConcurrencyLimit | null
  /**
   * How long the request that creates a final upload waits for its parts to be copied, in ms. It is answered with 201 after that, and the copy continues:
   * HEAD tells no offset until the upload is complete, and `postFinish` runs then. A route of `resumable()` waits for its handler. Keep it below the timeouts of clients and proxies. Default 20 000.
   */
  concatTimeout?: number
  /**
   * Whether the partial uploads that a final upload was made of are removed once it is complete, with the hooks `preTerminate` and `postTerminate`. One that
   * another final upload still needs stays until that is complete. Default `false`: they stay until they expire or are removed.
   */
  removeParts?: boolean
  /** How often `postReceive` hooks run during a long body, at most, in ms. Default 1000. */
  progressInterval?: number
  /** The id of a new upload. Default: 128 random bits in hexadecimal. */
  generateId?: (request: FastifyRequest, metadata: Metadata) => string | Promise<string>
  /**
   * Keeps tenants apart: an upload is there only for requests for which this gives what it gave for the request that created it. Called once
   * per request, after Fastify's hooks. An upload without a scope, of an older version or adopted from another server, is there for all.
   * Default: the prefix of the routes with the parameters that the request has in it, such as `/t/a/files` for `/t/:tenant/files`.
   */
  scope?: ScopeFunction
  /**
   * The URL of an upload, in place of one made from the request: absolute, or a path. The application leads requests for it to the routes, with `rewriteUrl`
   * for one. If it fails or gives no URL, the request fails with TUS_ERR_HOOK_RESULT.
   *
   * Where a client concatenates, it is asked for a random id, too, to learn where in a URL the id is: alone, or between two texts that never change, in a
   * segment of the path or in the value of a parameter.
   */
  location?: (request: FastifyRequest, id: string) => string | Promise<string>
  /** Whether the URL of an upload is a path without scheme and host. Default `false`. */
  relativeLocation?: boolean
  /**
   * Whether `X-HTTP-Method-Override` counts on POST, PUT, PATCH and DELETE, for clients that can't send every method. On GET, HEAD and OPTIONS it is refused
   * with 400 then. `false`: the header is ignored on every method. Default `true`.
   */
  methodOverride?: boolean
  /**
   * Options of `@fastify/cors` for the tus routes and those of `app.tus.resumable()`. A preflight is answered before any hook of the application;
   * `methods`, `allowedHeaders` and `exposedHeaders` add to what the protocols need. A @fastify/cors of the application decides whatever
   * is left open. Default `false`: none.
   */
  cors?: false | FastifyCorsOptions
  /** Keeps metrics in a register of `prom-client`, which must be installed then. Default: none. */
  metrics?: MetricsOptions
  /** How the routes appear in the OpenAPI document of @fastify/swagger, where the application has it; `false`: not at all. Default `{}`. */
  openapi?: false | OpenApiOptions
  /** Options of Fastify for each of the tus routes. */
  routeOptions?: RouteOptions
}

/** The options with every default filled in. */
export interface ResolvedOptions {
  readonly prefix: string
  readonly storage: Storage | null
  /** A promise only where a function of the application decides. */
  readonly maxSize: (request: FastifyRequest, id?: string) => number | Promise<number>
  /** What every upload is limited to, in bytes, if that does not depend on the request. */
  readonly announcedMaxSize: number | null
  /** Whether a function of the application decides on `maxSize`, for each request. */
  readonly hasOwnMaxSize: boolean
  readonly maxAppendSize: number
  readonly maxMetadataSize: number
  readonly extensions: ReadonlySet<Extension>
  readonly checksumAlgorithms: readonly ChecksumAlgorithm[]
  readonly digestThreads: number
  /** `null` where nothing expires. */
  readonly expiration: Expiration | null
  /** In ms; `null`: no sweeps of its own. */
  readonly sweepInterval: number | null
  /** `null`: no downloads. */
  readonly download: Readonly<Required<DownloadOptions>> | null
  readonly protocols: Enabled
  readonly interimResponses: boolean
  readonly locker: Locker | null
  readonly lockTimeout: number
  readonly stallTimeout: number
  readonly minRate: MinRate | null
  readonly maxConcurrentUploads: ConcurrencyLimit | null
  readonly concatTimeout: number
  readonly removeParts: boolean
  readonly progressInterval: number
  readonly generateId: NonNullable<TusOptions['generateId']>
  readonly hasOwnIds: boolean
  readonly scope: ScopeFunction | null
  readonly location: TusOptions['location'] | null
  readonly relativeLocation: boolean
  readonly methodOverride: boolean
  readonly cors: false | FastifyCorsOptions
  readonly metrics: MetricsOptions | null
  readonly openapi: false | OpenApiOptions
  readonly routeOptions: RouteOptions
}

/**
 * Checks the options and fills in the defaults.
 *
 * @throws TUS_ERR_OPTION_INVALID, TUS_ERR_OPTION_UNKNOWN
 */
export function resolveOptions (options: TusOptions): ResolvedOptions {
  for (const [name, value] of Object.entries(options)) checkOption(name, value)
  const { maxSize = null } = options
  return {
    prefix: normalizePrefix(options.prefix ?? '/files')!,
    storage: options.storage ?? null,
    maxSize: typeof maxSize === 'function' ? (request, id) => ask(MAX_SIZE, request.log, () => maxSize(request, id)) : () => maxSize ?? Infinity,
    announcedMaxSize: typeof maxSize === 'function' ? null : maxSize,
    hasOwnMaxSize: typeof maxSize === 'function',
    maxAppendSize: options.maxAppendSize ?? Infinity,
    maxMetadataSize: options.maxMetadataSize ?? 4096,
    extensions: resolveExtensions(options.extensions ?? EXTENSIONS),
    checksumAlgorithms: options.checksumAlgorithms ?? CHECKSUM_ALGORITHMS,
    digestThreads: options.digestThreads ?? 0,
    ...resolveExpiration(options.expiration ?? {}),
    download: resolveDownload(options.download ?? true),
    protocols: new Set(options.protocols ?? PROTOCOLS),
    interimResponses: options.interimResponses ?? true,
    locker: options.locker ?? null,
    lockTimeout: options.lockTimeout ?? 10_000,
    stallTimeout: options.stallTimeout ?? 60_000,
    minRate: options.minRate === undefined ? { bytes: 1024, window: 60_000 } : options.minRate,
    maxConcurrentUploads: resolveConcurrency(options.maxConcurrentUploads ?? null),
    concatTimeout: options.concatTimeout ?? 20_000,
    removeParts: options.removeParts ?? false,
    progressInterval: options.progressInterval ?? 1000,
    generateId: options.generateId ?? createRandomId,
    hasOwnIds: options.generateId !== undefined,
    scope: options.scope ?? null,
    location: options.location ?? null,
    relativeLocation: options.relativeLocation ?? false,
    methodOverride: options.methodOverride ?? true,
    cors: options.cors ?? false,
    metrics: options.metrics ?? null,
    openapi: options.openapi ?? {},
    routeOptions: options.routeOptions ?? {}
  }
}

function resolveDownload (given: boolean | DownloadOptions): ResolvedOptions['download'] {
  if (given === false) return null
  const { cacheControl = 'private, no-cache' } = given === true ? {} : given
  return { cacheControl }
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

/** A connection through a Unix socket has no address: all of those count as one. */
function resolveConcurrency (given: number | ConcurrencyLimit | null): ConcurrencyLimit | null {
  return typeof given === 'number' ? { max: given, key: ({ ip }) => ip ?? '' } : given
}

function resolveExtensions (chosen: readonly Extension[]): ReadonlySet<Extension> {
  return new Set(EXTENSIONS.filter(name => chosen.includes(name)))
}

/** What can't be used must not mean that there is no limit. */
const MAX_SIZE: Question<number> = {
  hook: 'maxSize',
  expected: 'a whole number of bytes or null',
  read: max => max === null || max === Infinity ? Infinity : isWhole(max) ? max : undefined
}
const DAY = 86_400_000
