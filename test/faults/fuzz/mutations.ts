import { settleAny, type Attempt } from './attempt.js'
import { METADATA, METHODS, NAMES, OVERRIDES, TEXTS, VALUES, VERSIONS } from './edges.js'
import type { Random } from './random.js'
import { addHeader, getFraming, makeRequest, TUS, serialize, withHeader, withoutHeader, type Header, type Request } from './request.js'
import type { Slot } from './slot.js'

/** Spoils a request in one to three places, so that it still is HTTP. */
export function mutate (random: Random, base: Request, victim: string): Request {
  let request = base
  for (let left = 1 + random.int(3); left > 0; left--) request = MUTATIONS[random.weigh(WEIGHTS)](random, request, victim)
  return request
}

export function makeMutated (random: Random, slot: Slot, base: Request, victim: string): Attempt {
  const request = mutate(random, base, victim)
  // What the parser does not take it answers before those that are on their way.
  const unreadable = request.path === '' || serialize({ ...request, body: null }, getFraming(request)).length > 14_000
  return { request, method: request.method, settle: settleAny(slot, request), refusable: true, ...unreadable && { bytes: serialize(request), alone: true } }
}

function pickHeader (random: Random, { headers }: Request): Header {
  return headers.length > 0 ? random.pick(headers) : ['Host', 'fuzz.example']
}

type Mutation = (random: Random, request: Request, victim: string) => Request

const MUTATIONS = {
  value (random, request) {
    const name = random.pick(NAMES)
    return withHeader(request, name, random.pick(random.chance(0.85) ? VALUES[name] ?? TEXTS : TEXTS))
  },
  present (random, request) {
    const [name] = pickHeader(random, request)
    return withHeader(request, name, random.pick(VALUES[name] ?? TEXTS))
  },
  twice (random, request) {
    const [name, value] = pickHeader(random, request)
    return addHeader(request, random.pick([name, name.toUpperCase(), name.toLowerCase()]), random.chance(0.5) ? value : random.pick(VALUES[name] ?? TEXTS))
  },
  missing (random, request) {
    return withoutHeader(request, pickHeader(random, request)[0])
  },
  version (random, request) {
    return random.chance(0.3) ? withoutHeader(request, TUS[0]) : withHeader(request, TUS[0], random.pick(VERSIONS))
  },
  method (random, request) {
    return { ...request, method: random.pick(METHODS) }
  },
  override (random, request) {
    return withHeader({ ...request, method: random.pick(METHODS) }, 'X-HTTP-Method-Override', random.chance(0.4) ? request.method : random.pick(OVERRIDES))
  },
  path (random, request) {
    return { ...request, path: random.pick(PATHS)(request.path, request.path.split('/').at(-1)!) }
  },
  metadata (random, request) {
    const value = random.chance(0.7) ? random.pick(METADATA) : random.bytes(random.int(60)).toString('latin1').replace(UNPRINTABLE, '=')
    return withHeader(request, 'Upload-Metadata', value)
  },
  forwarded (random, request) {
    return ['X-Forwarded-Proto', 'X-Forwarded-Host', 'X-Forwarded-Prefix', 'X-Forwarded-For', 'Forwarded']
      .reduce((changed, name) => random.chance(0.5) ? withHeader(changed, name, random.pick(VALUES[name]!)) : changed, request)
  },
  conditions (random, request) {
    const validators = ['*', `"${request.path.split('/').at(-1)}"`, 'W/"x"', '"a", "b"', ...TEXTS]
    return withHeader(withHeader({ ...request, method: 'GET' }, random.pick(['If-Match', 'If-None-Match', 'If-Range', 'If-Modified-Since', 'If-Unmodified-Since']), random.pick(validators)), 'Range', random.pick(VALUES['Range']!))
  },
  expect (_random, request) {
    return withHeader(request, 'Expect', '100-continue')
  },
  preflight (random, request) {
    return withHeader(withHeader({ ...request, method: random.chance(0.5) ? 'OPTIONS' : request.method }, 'Origin', random.pick(['null', 'http://evil.example', ...TEXTS])), 'Access-Control-Request-Method', random.pick(METHODS))
  },
  flood (random, request) {
    return { ...request, headers: [...request.headers, ...Array.from({ length: 1 + random.int(60) }, (_, at) => [`x-${at}`, random.pick(TEXTS).slice(0, 60)] as const)] }
  },
  trailers (random, request) {
    if (request.body === null) return request
    const trailers = [['Upload-Checksum', random.pick(VALUES['Upload-Checksum']!)], ['Upload-Offset', '0'], ['x', random.pick(TEXTS)]] as const
    return { ...request, chunks: request.chunks || 1, trailers: trailers.slice(random.int(3)) }
  },
  /** A body that would be a dangerous request, were it taken for one. */
  hidden (random, request, victim) {
    const hidden = serialize(random.pick([
      makeRequest('DELETE', `/files/${victim}`, [TUS]),
      makeRequest('POST', `/files/${victim}`, [TUS, ['X-HTTP-Method-Override', 'DELETE']])
    ]))
    return { ...request, body: hidden, chunks: random.chance(0.3) ? 1 + random.int(3) : 0, method: random.chance(0.5) ? request.method : random.pick(METHODS) }
  },
  order (random, request) {
    return { ...request, headers: [...request.headers].sort(() => random.int(3) - 1).map(([name, value]) => [random.chance(0.5) ? name.toLowerCase() : name.toUpperCase(), value] as const) }
  },
  close (_random, request) {
    return withHeader(request, 'Connection', 'close')
  }
} satisfies Record<string, Mutation>

const WEIGHTS: Readonly<Record<keyof typeof MUTATIONS, number>> = {
  value: 25, present: 12, twice: 8, missing: 6, version: 4, method: 6, override: 6, path: 10, metadata: 4, forwarded: 2, conditions: 6, expect: 2, preflight: 2, flood: 2, trailers: 3, hidden: 4, order: 2, close: 1
}

const PATHS: ReadonlyArray<(path: string, id: string) => string> = [
  path => `${path}/`, path => `/${path}`, path => path.replace('/files', '/files/'), path => path.replace('/files', '/files/.'), path => path.replace('/files', '/files/../files'), path => path.replace('/files', '/FILES'),
  path => path.replace('/files', '/files/%2e%2e'), path => path.replace('/files', '/%66iles'), (_, id) => `/files%2f${id}`, (_, id) => `/files/%2F..%2F${id}`, (_, id) => `/files/..%5c${id}`, path => `${path}%00`, path => `${path}%0d%0aX-Injected:%201`,
  path => `${path}.json`, path => `${path}.lock`, path => `${path}.claim`, path => `${path}.waiting`, path => `${path}/..`, path => `${path}/%2e%2e/%2e%2e/etc/passwd`, path => `${path}?x=${'y'.repeat(2000)}`, path => `${path}?`, path => `${path}#x`,
  path => `${path};x`, path => `${path}%`, path => `${path}%zz`, path => `${path}%ff%fe`, path => `${path}%c0%ae`, path => `${path}${'a'.repeat(129)}`, path => `${path}${'/a'.repeat(2000)}`, path => `http://evil.example${path}`,
  path => path.slice(0, -1), path => path.toUpperCase(), (_, id) => `/files/${[...id].map(char => `%${char.charCodeAt(0).toString(16)}`).join('')}`, () => '/', () => '/metrics', () => '/health', () => '/files', () => '/files/',
  () => '/files/.', () => '/files/..', () => '/files/*', () => '/files/:id', () => '/files/__proto__', () => '/files/constructor', () => '/files/$%7Bid%7D', () => '/..%2f..%2fetc%2fpasswd', () => '//', () => '/?', () => '/%', () => '/%00', () => '/a'.repeat(1500)
]

/** What no header may hold. */
// eslint-disable-next-line no-control-regex -- those are the ones
const UNPRINTABLE = /[\x00-\x1f\x7f]/g
