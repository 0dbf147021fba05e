import { createHash } from 'node:crypto'
import { crc32 } from 'node:zlib'
import type { Attempt } from './attempt.js'
import type { Random } from './random.js'
import { getField, type Reply } from './replies.js'
import { BYTES, makeRequest, TUS, type Header, type Request } from './request.js'
import { CONTENT, type Slot } from './slot.js'

/**
 * A request that every server of tus 1.0.0 with all extensions has to carry out, or to refuse, in one way.
 *
 * @param slots what a final upload may be made of: all of them, where no request is on its way that could change one
 */
export function makeValid (random: Random, slot: Slot, slots: readonly Slot[]): Attempt {
  if (slot.id === null) return random.chance(0.85) ? makeCreation(random, slot, slots) : makeMissing(random)
  const action = random.weigh(slot.complete || slot.kind === 'final' ? DONE : BEGUN)
  switch (action) {
    case 'append': return tolerate(slot, makeAppend(random, slot))
    case 'inspect': return makeInspection(slot)
    case 'download': return makeDownload(random, slot)
    case 'terminate': return makeTermination(slot)
    case 'describe': return attempt(makeRequest('OPTIONS', pathOf(slot), random.chance(0.5) ? [TUS] : []), reply => want(reply, 204))
    default: return action satisfies never
  }
}

export function pathOf ({ id, target }: Slot): string {
  return target ? `/documents/~post/${id}` : `/files/${id ?? 'none'}`
}

/** Asks what has become of an upload of which that is not certain. */
export function makeInspection (slot: Slot): Attempt {
  return attempt(makeRequest('HEAD', pathOf(slot), [TUS]), reply => {
    if (slot.certain) return settleAsked(slot, reply, () => want(reply, slot.id === null ? 404 : 200) ?? compare(slot, reply) ?? noteAnswer(slot))
    if (slot.range !== null) return want(reply, 200) ?? learnOffset(slot, slot.range, reply)
    // Full, and not what a lost request of the draft had said that it is.
    const isRemoved = reply.status === 400 && slot.bilingual
    if (reply.status === 404 || isRemoved) slot.clear()
    else if (reply.status !== 200) return `HEAD of an upload is answered by ${reply.status}`
    else learn(slot, reply)
    return null
  })
}

/** Whoever goes by the length says by asking for a full upload that this is all. */
export function settleAsked (slot: Slot, reply: Reply, settle: () => string | null): string | null {
  const { id, offset, length, kind, complete } = slot
  if (id === null || offset !== length || kind === 'final') return settle()
  if (!complete && isDoomed(slot, length)) return want(reply, 400) ?? slot.clear() ?? null
  slot.told = true
  return settle()
}

export function makeTermination (slot: Slot): Attempt {
  return attempt(makeRequest('DELETE', pathOf(slot), [TUS]), reply => {
    if (!slot.certain && reply.status === 404) return slot.clear() ?? null
    return want(reply, 204) ?? slot.clear() ?? null
  })
}

function makeMissing (random: Random): Attempt {
  const path = `/files/${random.bytes(16).toString('hex')}`
  const body = random.chance(0.5) ? CONTENT.subarray(0, random.int(100)) : null
  const request = random.pick([
    makeRequest('HEAD', path, [TUS]), makeRequest('DELETE', path, [TUS]), makeRequest('GET', path, []), makeRequest('PATCH', path, [TUS, BYTES, ['Upload-Offset', '0']], body)
  ])
  return attempt(request, reply => want(reply, 404))
}

function makeCreation (random: Random, slot: Slot, slots: readonly Slot[]): Attempt {
  const parts = slots.filter(other => other.kind === 'partial' && other.complete && other.certain)
  if (parts.length > 0 && random.chance(0.3)) return makeFinal(random, slot, parts)
  const kind = random.chance(0.3) ? 'partial' : 'plain'
  const length = random.chance(0.15) ? null : chooseLength(random)
  const headers: Header[] = [TUS, length === null ? ['Upload-Defer-Length', '1'] : ['Upload-Length', String(length)]]
  if (kind === 'partial') headers.push(['Upload-Concat', 'partial'])
  if (random.chance(0.5)) headers.push(['Upload-Metadata', makeMetadata(random)])
  const size = random.chance(0.4) ? random.int(Math.min(length ?? 500, CONTENT.length) + 1) : 0
  const request = size > 0 ? addBody(random, makeRequest('POST', '/files', [...headers, BYTES]), CONTENT.subarray(0, size)) : makeRequest('POST', random.pick(['/files', '/files/']), headers)
  return attempt(request, reply => {
    if (reply.status !== 201) return want(reply, 201)
    slot.fill({ id: getId(reply), length, offset: size, kind })
    return size > 0 ? wantField(reply, 'upload-offset', String(size)) : null
  })
}

function makeFinal (random: Random, slot: Slot, candidates: readonly Slot[]): Attempt {
  const parts = Array.from({ length: 1 + random.int(4) }, () => random.pick(candidates))
  const lengths = parts.map(part => part.offset)
  const length = lengths.reduce((sum, one) => sum + one)
  const urls = parts.map(part => random.pick([pathOf(part), `http://fuzz.example${pathOf(part)}`]))
  const request = makeRequest('POST', '/files', [TUS, ['Upload-Concat', `final;${urls.join(' ')}`]])
  return attempt(request, reply => {
    if (reply.status !== 201) return want(reply, 201)
    slot.fill({ id: getId(reply), length, offset: length, kind: 'final', parts: lengths, genuine: parts.every(part => part.genuine) })
    return null
  })
}

function makeAppend (random: Random, slot: Slot): Attempt {
  const late = slot.length === null && random.chance(0.4)
  // A spoiled request may have led beyond the content.
  const room = Math.max(0, Math.min(slot.length === null ? 300 : slot.length - slot.offset, CONTENT.length - slot.offset))
  const size = random.chance(0.5) ? room : random.int(room + 1)
  const length = late ? slot.offset + size + (random.chance(0.5) ? 0 : random.int(200)) : slot.length
  const headers: Header[] = [TUS, BYTES, ['Upload-Offset', String(slot.offset)]]
  if (late) headers.push(['Upload-Length', String(length)])
  const wrong = random.chance(0.05)
  const request = addBody(random, makeRequest('PATCH', pathOf(slot), headers), CONTENT.subarray(slot.offset, slot.offset + size), wrong ? 'wrong' : 'right')
  if (slot.kind === 'final') return attempt(request, reply => want(reply, 403))
  if (wrong) return attempt(request, reply => want(reply, 460))
  if (!slot.complete && slot.offset + size === length && isDoomed(slot, length)) return attempt(request, reply => want(reply, 400) ?? slot.clear() ?? null)
  return attempt(request, reply => {
    // The handler answers for its own.
    const status = slot.target && slot.offset + size === length ? 200 : 204
    if (reply.status !== status) return want(reply, status)
    slot.offset += size
    slot.length = length
    slot.told = true
    noteAnswer(slot)
    return wantField(reply, 'upload-offset', String(slot.offset))
  })
}

function makeDownload (random: Random, slot: Slot): Attempt {
  const ranged = slot.complete && slot.offset > 0 && random.chance(0.4)
  const start = ranged ? random.int(slot.offset) : 0
  const end = ranged ? start + random.int(slot.offset - start) + 1 : slot.offset
  return attempt(makeRequest('GET', pathOf(slot), ranged ? [['Range', `bytes=${start}-${end - 1}`]] : []), reply => {
    if (slot.loose) return DOWNLOADED.has(reply.status) ? null : `${reply.status} to a download`
    if (slot.kind === 'partial') return want(reply, 404)
    const wrong = want(reply, slot.complete ? ranged ? 206 : 200 : slot.protocol === 'ietf' ? 204 : 404)
    if (wrong !== null || !slot.complete || !slot.genuine) return wrong
    return reply.body.equals(slot.content.subarray(start, end)) ? null : 'the download is not what was uploaded'
  })
}

/** As a whole or in chunks, verified or not. A wrong checksum is in a header or a trailer, too. */
function addBody (random: Random, request: Request, body: Buffer, checksum: 'right' | 'wrong' = 'right'): Request {
  const chunks = random.chance(0.25) ? 1 + random.int(4) : 0
  const headers: Header[] = random.chance(0.05) ? [['Expect', '100-continue']] : []
  if (checksum === 'right' && random.chance(0.7)) return { ...request, headers: [...request.headers, ...headers], body, chunks }
  const sum: Header = ['Upload-Checksum', formatChecksum(random, checksum === 'right' ? body : Buffer.concat([body, body, CONTENT]))]
  const behind = chunks > 0 && random.chance(0.5)
  return { ...request, headers: [...request.headers, ...headers, ...behind ? [] : [sum]], body, chunks, trailers: behind ? [sum] : [] }
}

export function formatChecksum (random: Random, bytes: Buffer): string {
  const algorithm = random.pick(['sha1', 'sha256', 'sha512', 'md5', 'crc32'])
  if (algorithm !== 'crc32') return `${algorithm} ${createHash(algorithm).update(bytes).digest('base64')}`
  const digest = Buffer.alloc(4)
  digest.writeUInt32BE(crc32(bytes))
  return `crc32 ${digest.toString('base64')}`
}

function makeMetadata (random: Random): string {
  const keys = ['filename', 'filetype', 'name', 'type', 'relativePath', 'k!#$%', '\u00fc'.normalize('NFD')[0]!]
  const values = ['a.png', 'image/png', 'text/html', 'text/plain; charset=utf-8', 'Gr\u00fc\u00dfe \u{1f388}', 'a\r\nX-Injected: 1', '"; x="', '', '../..', 'x'.repeat(300)]
  const count = 1 + random.int(3)
  return keys.slice(0, count).map(key => {
    const value = Buffer.from(random.pick(values)).toString('base64')
    return value === '' && random.chance(0.5) ? key : `${key} ${value}`
  }).join(',')
}

function chooseLength (random: Random): number {
  const size = random.weigh({ none: 5, small: 75, medium: 17, large: 3 })
  return { none: 0, small: 1 + random.int(200), medium: random.int(4000), large: random.int(CONTENT.length) }[size]
}

/** Where nobody knows all of it: anything but an error of the server. */
export function tolerate (slot: Slot, attempt: Attempt): Attempt {
  return slot.loose ? { ...attempt, refusable: false, settle: () => settleLost(slot) } : attempt
}

function settleLost (slot: Slot): null {
  slot.certain = false
  slot.genuine = false
  return null
}

export function attempt (request: Request, settle: Attempt['settle']): Attempt {
  return { request, method: request.method, settle, refusable: true }
}

export function want ({ status }: Reply, wanted: number): string | null {
  return status === wanted ? null : `${status} instead of ${wanted}`
}

export function wantField (reply: Reply, name: string, wanted: string): string | null {
  const value = getField(reply, name)
  return value === wanted ? null : `${name} is ${value} instead of ${wanted}`
}

function compare (slot: Slot, reply: Reply): string | null {
  if (slot.id === null) return null
  return wantField(reply, 'upload-offset', String(slot.offset)) ?? (slot.length === null ? wantField(reply, 'upload-defer-length', '1') : wantField(reply, 'upload-length', String(slot.length)))
}

function noteAnswer (slot: Slot): null {
  slot.answered = slot.target && slot.complete
  return null
}

/** What arrived of a body that was cut counts, and is what was sent. */
function learnOffset (slot: Slot, [least, most]: readonly [number, number], reply: Reply): string | null {
  const offset = Number(getField(reply, 'upload-offset') ?? NaN)
  slot.range = null
  slot.certain = true
  slot.offset = offset
  return offset >= least && offset <= most ? null : `${offset} is not from ${least} to ${most}, as the bytes that were sent`
}

function learn (slot: Slot, reply: Reply): void {
  const length = getField(reply, 'upload-length')
  const concat = getField(reply, 'upload-concat')
  const kind = concat === 'partial' ? 'partial' : concat === undefined ? 'plain' : 'final'
  const offset = getField(reply, 'upload-offset')
  slot.fill({
    id: slot.id!,
    length: length === undefined ? null : Number(length),
    offset: Number(offset ?? 0),
    kind,
    // A final upload tells none as long as parts are missing.
    certain: offset !== undefined,
    genuine: slot.genuine && kind === 'plain' && Number(offset ?? 0) <= CONTENT.length,
    loose: slot.bilingual,
    protocol: slot.protocol,
    target: slot.target
  })
}

/** Whether an upload of that length is not what was said that it is. */
export function isDoomed ({ digests, kind }: Pick<Slot, 'digests' | 'kind'>, length: number): boolean {
  return kind === 'plain' && [...digests].some(([algorithm, digest]) => digest !== null && digest !== digestOf(algorithm, CONTENT.subarray(0, length)))
}

/** @param algorithm as RFC 9530 calls it */
export function digestOf (algorithm: string, bytes: Buffer): string {
  return createHash(algorithm.replace('-', '')).update(bytes).digest('base64')
}

export function getId (reply: Pick<Reply, 'head'>): string {
  return getField(reply, 'location')!.split('/').at(-1)!
}

const BEGUN = { append: 55, inspect: 15, download: 5, terminate: 20, describe: 5 }
const DONE = { append: 5, inspect: 20, download: 40, terminate: 30, describe: 5 }
const DOWNLOADED = new Set([200, 204, 206, 404])
