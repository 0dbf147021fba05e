import type { Attempt } from './attempt.js'
import { REFUSED_DRAFTS } from './draft-attacks.js'
import { formatChecksum } from './grammar.js'
import { mutate } from './mutations.js'
import type { Protected } from './protected.js'
import type { Random } from './random.js'
import { BYTES, makeRequest, TUS, type Header, type Request } from './request.js'
import { CONTENT } from './slot.js'

/**
 * A request that aims at an upload of somebody else, and has to be refused; where it is spoiled further, it must at least change nothing.
 *
 * @param decoy what a spoiled one aims at
 */
export function makeAttack (random: Random, victim: Protected, decoy: Protected, bilingual: boolean): Attempt {
  if (bilingual && (victim.protocol === 'ietf' || random.chance(0.3))) return makeRefused(random.pick(REFUSED_DRAFTS)(random, victim))
  if (random.chance(0.4)) return makeRefused(random.pick(REFUSED)(random, victim))
  const request = mutate(random, makeVersionless(random, decoy), victim.id)
  return { request, method: request.method, settle: () => null, refusable: false }
}

/** A request which every server refuses, however it is spoiled: nothing makes a version out of none. */
export function makeVersionless (random: Random, { id, offset }: Pick<Protected, 'id' | 'offset'>): Request {
  const path = `/files/${id}`
  const body = CONTENT.subarray(0, random.int(200))
  return random.pick<Request>([
    makeRequest('DELETE', path, []),
    makeRequest('PATCH', path, [BYTES, ['Upload-Offset', String(offset)]], body),
    makeRequest('POST', path, [BYTES, ['X-HTTP-Method-Override', 'PATCH'], ['Upload-Offset', String(offset)]], body),
    makeRequest('POST', path, [['X-HTTP-Method-Override', 'DELETE']]),
    { ...makeRequest('PATCH', path, [BYTES, ['Upload-Offset', String(offset)]], body), chunks: 2 }
  ])
}

function makeRefused (request: Request): Attempt {
  return {
    request,
    method: request.method,
    settle: ({ status }) => status >= 400 && status < 500 ? null : `${status} to a request that has to be refused`,
    refusable: false
  }
}

const REFUSED: ReadonlyArray<(random: Random, victim: Protected) => Request> = [
  (random, victim) => makeVersionless(random, victim),
  (random, { id }) => makeRequest('DELETE', `/files/${id}`, [['Tus-Resumable', random.pick(['0.2.2', '1.0', '2.0.0', '1.0.0, 1.0.0'])]]),
  (random, { id, offset }) => append(id, offset + 1 + random.int(5000), CONTENT.subarray(0, random.int(100))),
  (random, { id, offset }) => append(id, Math.max(0, offset - 1 - random.int(5)), CONTENT.subarray(0, 1 + random.int(100)), offset === 0 ? [['Upload-Offset', '0']] : []),
  (random, { id, offset }) => ({ ...makeRequest('PATCH', `/files/${id}`, [TUS, ['Upload-Offset', String(offset)], ['Content-Type', random.pick(['text/plain', 'application/json'])]], CONTENT.subarray(0, 50)), chunks: random.int(3) }),
  (random, { id, offset }) => append(id, offset, CONTENT.subarray(0, 1 + random.int(100)), [['Upload-Checksum', formatChecksum(random, CONTENT)]], random.int(3)),
  (random, { id, offset }) => ({ ...append(id, offset, CONTENT.subarray(0, 1 + random.int(100)), [], 1), trailers: [['Upload-Checksum', formatChecksum(random, CONTENT)]] }),
  (random, { id, offset }) => append(id, offset, CONTENT.subarray(0, 5000 + random.int(60_000)), [['Upload-Length', String(offset + 1)]]),
  (_random, { id, offset }) => append(id, offset, CONTENT.subarray(0, 10), [['Content-Encoding', 'gzip']]),
  (random, { id, offset }) => append(id, offset, CONTENT.subarray(0, 10), [['Upload-Length', random.pick(['-1', '1e3', '9007199254740992', 'x', '0', '1'])]]),
  (random, { id }) => makeRequest(random.pick(['PUT', 'POST', 'COPY', 'MOVE', 'PROPFIND']), `/files/${id}`, [TUS, BYTES], CONTENT.subarray(0, 20)),
  (_random, { id }) => makeRequest('POST', '/files', [TUS, ['Upload-Concat', `final;/files/${id} /files/none`]]),
  (_random, { id }) => makeRequest('POST', '/files', [TUS, ['Upload-Concat', `final;/files/${id}`], ['Upload-Length', '5']]),
  (random, { id }) => makeRequest('GET', `/files/${random.pick([`${id}.json`, `${id}.claim`, `${id}%00`, `..%2f${id}`, `${id}/..`])}`, []),
  (random, { id }) => makeRequest('DELETE', `/files/${random.pick([`${id}.json`, `${id}.lock`, `./${id}`, `x/../${id}`, `${id}/`, `${id}%20`])}`, [TUS])
]

function append (id: string, offset: number, body: Buffer, headers: readonly Header[] = [], chunks = 0): Request {
  return { ...makeRequest('PATCH', `/files/${id}`, [TUS, BYTES, ['Upload-Offset', String(offset)], ...headers], body), chunks }
}
