import { chooseDialect, DIALECTS, formatCount, formatEnd, formatVersion, NO_BOOLEANS, NO_COUNTS, type Dialect } from './dialects.js'
import { digestOf } from './grammar.js'
import type { Protected } from './protected.js'
import type { Random } from './random.js'
import { makeRequest, TUS, type Header, type Request } from './request.js'
import { CONTENT } from './slot.js'

/** Requests in the words of the draft that every upload refuses and survives: more bytes than fit would be its end. */
export const REFUSED_DRAFTS: ReadonlyArray<(random: Random, victim: Protected) => Request> = [
  (random, victim) => append(random, victim, { offset: formatCount(random, victim.offset + 1 + random.int(5000)), chunks: random.int(3) }),
  (random, victim) => append(random, victim, { offset: random.pick(NO_COUNTS) }),
  (random, victim) => append(random, victim, { type: random.pick(['text/plain', 'application/offset+octet-stream', 'application/partial-uploads']), dialect: TYPED }),
  (random, victim) => append(random, victim, { end: ['Upload-Complete', random.pick(NO_BOOLEANS)], dialect: TYPED }),
  (random, victim) => append(random, victim, { more: [['Content-Digest', `sha-256=:${digestOf('sha-256', CONTENT)}:`], ...chooseDigests(random)], chunks: random.int(3) }),
  (random, victim) => append(random, victim, { more: [['Content-Digest', random.pick(['sha-256=:eA==:', 'sha-512', 'sha-256=(', 'sha-256=x'])]] }),
  (random, victim) => append(random, victim, { more: [['Repr-Digest', random.pick(['sha-256=:eA==:', 'sha-512', 'sha-256=(', 'sha-256=x'])]] }),
  (random, victim) => append(random, victim, { more: [['Content-Encoding', random.pick(['gzip', 'br', 'identity, gzip'])]] }),
  (random, victim) => append(random, victim, { more: [['Upload-Length', '1']], chunks: random.int(3) }),
  (random, victim) => append(random, victim, { more: [TUS] }),
  (random, victim) => append(random, victim, { more: [['Tus-Resumable', '0.2.2']] }),
  (random, victim) => append(random, victim, { method: random.pick(['PUT', 'POST', 'COPY', 'MOVE']) }),
  (random, victim) => append(random, victim, { path: `/documents/~post/${victim.id}` }),
  (random, { id }) => makeRequest(random.pick(['HEAD', 'DELETE']), `/files/${id}`, [['Upload-Draft-Interop-Version', '3'], random.pick<Header>([['Upload-Offset', '0'], ['Upload-Incomplete', '?0']])]),
  (random, { id }) => makeRequest('DELETE', `/files/${id}`, [['Tus-Resumable', '2.0.0'], ...formatVersion(chooseDialect(random))]),
  (random, { id }) => makeRequest('DELETE', `/documents/~post/${id}`, [...formatVersion(chooseDialect(random))]),
  (random, { id }) => makeRequest('DELETE', `/files/${random.pick([`${id}.json`, `${id}.lock`, `x/../${id}`, `${id}/`, `${id}%20`, `${id}%00`])}`, [['Upload-Draft-Interop-Version', '8']])
]

interface Spoiled {
  readonly method?: string
  readonly path?: string
  readonly offset?: string
  readonly type?: string
  readonly end?: Header
  readonly dialect?: Dialect
  readonly more?: readonly Header[]
  readonly chunks?: number
}

/** Right but for what is given: one to a hundred bytes, and more to come. */
function append (random: Random, victim: Protected, { method = 'PATCH', path = `/files/${victim.id}`, offset, type = 'application/partial-upload', end, dialect = chooseDialect(random), more = [], chunks = 0 }: Spoiled): Request {
  const headers: Header[] = [...formatVersion(dialect), ['Content-Type', type], ['Upload-Offset', offset ?? String(victim.offset)], end ?? formatEnd(random, dialect, false), ...more]
  return { ...makeRequest(method, path, headers, CONTENT.subarray(0, 1 + random.int(100))), chunks }
}

/** A digest of the whole that comes with what is refused is not one of the upload. */
function chooseDigests (random: Random): Header[] {
  return random.chance(0.5) ? [] : [random.pick<Header>([['Repr-Digest', `sha-256=:${digestOf('sha-256', CONTENT)}:`], ['Want-Repr-Digest', 'sha-512=5']])]
}

/** Interop version 8 */
const TYPED = DIALECTS[3]!
