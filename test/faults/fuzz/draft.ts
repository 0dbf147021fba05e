import type { Attempt } from './attempt.js'
import { chooseDialect, formatCount, formatEnd, formatVersion, NO_BOOLEANS, NO_COUNTS, type Dialect } from './dialects.js'
import { drawBody, drawDigests, type Digests, type DraftBody } from './draft-bodies.js'
import { checkDocument, inspectDraft, settleEnd, tellState } from './draft-replies.js'
import { attempt, getId, pathOf, settleAsked, tolerate, want, wantField } from './grammar.js'
import type { Random } from './random.js'
import { getField, type Reply } from './replies.js'
import { makeRequest, serialize, type Header, type Request } from './request.js'
import { CONTENT, type Slot } from './slot.js'

/** A request in the words of the draft, of whichever version, that has to be carried out or to be refused in one way; about an upload of either protocol. */
export function makeDraft (random: Random, slot: Slot): Attempt {
  const dialect = chooseDialect(random)
  const { request, settle, ...rest } = draw(random, slot, dialect)
  return { ...rest, request, settle: reply => inspectDraft(dialect, request, reply) ?? settle(reply) }
}

function draw (random: Random, slot: Slot, dialect: Dialect): Attempt {
  if (slot.id === null) return random.chance(0.85) ? makeCreation(random, slot, dialect) : makeMissing(random, dialect)
  if (slot.loose && random.chance(0.5)) return makeTermination(slot, dialect)
  const action = random.weigh(slot.complete || slot.kind === 'final' ? DONE : BEGUN)
  switch (action) {
    case 'append': return tolerate(slot, makeAppend(random, slot, dialect))
    case 'cut': return slot.loose ? makeTermination(slot, dialect) : makeCut(random, slot, dialect)
    case 'refuse': return tolerate(slot, makeRefused(random, slot, dialect))
    case 'inspect': return slot.loose ? makeTermination(slot, dialect) : makeInspection(random, slot, dialect)
    case 'terminate': return makeTermination(slot, dialect)
    case 'describe': return attempt(makeRequest('OPTIONS', pathOf(slot), formatVersion(dialect)), reply => want(reply, 204) ?? (dialect.tellsLimit && getField(reply, 'upload-limit') === undefined ? 'no limits' : null))
    default: return action satisfies never
  }
}

function makeMissing (random: Random, dialect: Dialect): Attempt {
  const path = `${random.pick(['/files', '/documents/~post'])}/${random.bytes(16).toString('hex')}`
  const headers = formatVersion(dialect)
  const request = random.pick([
    makeRequest('HEAD', path, headers), makeRequest('DELETE', path, headers),
    makeRequest('PATCH', path, [...headers, PARTIAL, ['Upload-Offset', '0'], formatEnd(random, dialect, random.chance(0.5))], random.chance(0.5) ? CONTENT.subarray(0, random.int(100)) : null)
  ])
  return attempt(request, reply => want(reply, 404))
}

function makeInspection (random: Random, slot: Slot, dialect: Dialect): Attempt {
  const headers = formatVersion(dialect)
  const path = pathOf(slot)
  if (headers.length === 0) return makePlainInspection(slot, dialect)
  const asked = makeRequest(random.chance(0.2) ? 'GET' : 'HEAD', path, headers)
  return attempt(asked, reply => {
    if (slot.kind === 'partial' && asked.method === 'GET') return want(reply, 404)
    if (slot.kind === 'final' && slot.offset !== slot.length) return want(reply, 403)
    const settle = () => {
      slot.answered = slot.target && slot.complete
      const isLengthTold = dialect.tellsLength && slot.length !== null
      return want(reply, 204) ?? tellState(slot, dialect, reply) ?? wantField(reply, 'cache-control', 'no-store') ?? (isLengthTold ? wantField(reply, 'upload-length', String(slot.length)) : null)
    }
    return dialect.endsAtLength ? settleAsked(slot, reply, settle) : settle()
  })
}

/** HEAD of plain HTTP: a file answers as to GET; what is none yet, as the protocol has it that made the upload. No handler runs. */
function makePlainInspection (slot: Slot, dialect: Dialect): Attempt {
  const isFile = slot.complete && slot.kind !== 'partial'
  return attempt(makeRequest('HEAD', pathOf(slot), []), reply => {
    if (slot.protocol === 'tus') return want(reply, isFile ? 200 : slot.kind === 'partial' ? 404 : 412)
    const isLengthTold = dialect.tellsLength && slot.length !== null
    return want(reply, isFile ? 200 : 204) ?? tellState(slot, dialect, reply) ?? wantField(reply, 'cache-control', isFile ? 'private, no-cache' : 'no-store') ??
      (isLengthTold ? wantField(reply, 'upload-length', String(slot.length)) : null)
  })
}

function makeTermination (slot: Slot, dialect: Dialect): Attempt {
  const headers = formatVersion(dialect)
  const isTus = slot.protocol === 'tus' || slot.loose
  return attempt(makeRequest('DELETE', pathOf(slot), headers.length === 0 && isTus ? [['Tus-Resumable', '1.0.0']] : headers), reply => {
    return !slot.certain && reply.status === 404 ? slot.clear() ?? null : want(reply, 204) ?? slot.clear() ?? null
  })
}

function makeCreation (random: Random, slot: Slot, dialect: Dialect): Attempt {
  const target = random.chance(0.25)
  if (target && random.chance(0.1)) return makePlain(random)
  const headers = formatVersion(dialect)
  // In front of the plain files, a creation that does not say whether it is whole is none.
  if (random.chance(0.1) && headers.length > 0) {
    return attempt(makeRequest('POST', '/files', [...headers, ...random.chance(0.5) ? [[dialect.flag, random.pick(NO_BOOLEANS)] as const] : []], CONTENT.subarray(0, random.int(100))), reply => want(reply, 400))
  }
  const isEnd = random.chance(0.4)
  const size = random.weigh({ none: 25, some: 75 }) === 'none' ? 0 : random.int(random.chance(0.05) ? CONTENT.length : 300)
  const body = drawBody(random, 0, size)
  const announced = drawLength(random, size, isEnd, body)
  const digests = drawDigests(random, chooseWhole(announced, isEnd, size))
  const request: Request = {
    ...makeRequest(target || random.chance(0.7) ? 'POST' : 'PUT', target ? '/documents' : random.pick(['/files', '/files/']), [
      ...headers, formatEnd(random, dialect, isEnd), ...formatLength(random, announced), ...digests.headers, ...body.headers, ...drawMetadata(random)
    ], body.bytes),
    chunks: body.chunks
  }
  return attempt(request, reply => settleCreation({ slot, dialect, isEnd, size, body, announced, digests, target }, reply))
}

/** As HTTP always was: the handler gets it at once, and nobody can come back to it. */
function makePlain (random: Random): Attempt {
  const body = drawBody(random, 0, random.int(300))
  const bytes = body.bytes ?? Buffer.alloc(0)
  const { headers } = random.chance(0.7) ? { headers: [] } : { headers: [['Upload-Complete', random.pick(NO_BOOLEANS)] as const] }
  return attempt({ ...makeRequest('POST', '/documents', [...headers, ...body.headers, ...drawMetadata(random)], body.bytes), chunks: body.chunks }, reply => {
    if (body.digest === 'wrong' || body.digest === 'malformed') return want(reply, 400)
    return want(reply, 200) ?? (getField(reply, 'location') === undefined ? checkDocument(bytes, reply) : 'a place that is nobody\'s')
  })
}

interface Creation {
  readonly slot: Slot
  readonly dialect: Dialect
  readonly isEnd: boolean
  readonly size: number
  readonly body: DraftBody
  readonly announced: number | null
  readonly digests: Digests
  readonly target: boolean
}

function settleCreation ({ slot, dialect, isEnd, size, body, announced, digests, target }: Creation, reply: Reply): string | null {
  const implied = isEnd && !body.isChunked ? size : null
  const length = announced ?? implied
  if (announced !== null && implied !== null && announced !== implied) return wantProblem(reply, 400, 'inconsistent-upload-length')
  if (body.digest === 'malformed') return want(reply, 400)
  if (length !== null && size > length) return want(reply, 413)
  if (body.digest === 'wrong') return want(reply, 400)
  const created = { length, offset: size, protocol: 'ietf', target, told: isEnd || dialect.endsAtLength, digests: digests.known } as const
  // Where only the end of the body tells the length, and another one was announced, it is as if the body had been cut.
  if (isEnd && body.isChunked && length !== null && length !== size) {
    if (size > 0 && reply.status === 400) slot.fill({ id: getId(reply), ...created, told: false })
    return want(reply, 400)
  }
  const whole = isEnd && length === null ? { ...created, length: size } : created
  if (whole.told && whole.length === size) return settleEnd(slot, dialect, reply, whole)
  if (reply.status !== 201) return want(reply, 201)
  slot.fill({ id: getId(reply), ...whole })
  return tellState(slot, dialect, reply)
}

/** The connection breaks in the body: what arrived counts, unless it has to be right as a whole. */
function makeCut (random: Random, slot: Slot, dialect: Dialect): Attempt {
  const room = Math.min(slot.length === null ? 300 : slot.length - slot.offset, CONTENT.length - slot.offset)
  if (slot.kind === 'final' || room < 2) return makeInspection(random, slot, dialect)
  const body = drawBody(random, slot.offset, 2 + random.int(room - 1))
  const whole = body.bytes?.length ?? 0
  const headers: Header[] = [...formatVersion(dialect), PARTIAL, ['Upload-Offset', String(slot.offset)], formatEnd(random, dialect, false), ...body.headers]
  const request = makeRequest('PATCH', pathOf(slot), headers, body.bytes)
  const bytes = serialize(request)
  const sent = random.int(whole)
  return {
    ...attempt(request, () => null),
    bytes: bytes.subarray(0, bytes.length - whole + sent),
    cut: [slot.offset, body.digest === 'none' ? slot.offset + sent : slot.offset],
    alone: true
  }
}

function makeAppend (random: Random, slot: Slot, dialect: Dialect): Attempt {
  const room = Math.max(0, Math.min(slot.length === null ? 300 : slot.length - slot.offset, CONTENT.length - slot.offset))
  const size = random.weigh({ all: 45, some: 35, none: 15, more: 5 })
  const count = { all: room, some: random.int(room + 1), none: 0, more: Math.min(room + 1 + random.int(50), CONTENT.length - slot.offset) }[size]
  const isEnd = random.chance(0.5)
  const body = drawBody(random, slot.offset, Math.max(0, count))
  const announced = random.chance(0.8) ? null : random.pick([slot.length, slot.offset + count, slot.offset + count + random.int(100), random.int(500)])
  const digests = slot.kind === 'plain' && slot.genuine && !slot.complete ? drawDigests(random, chooseWhole(slot.length ?? announced, isEnd, slot.offset + count)) : NO_DIGESTS
  const isSilent = isEnd && dialect.isSilentEnd && random.chance(0.5)
  const headers: Header[] = [
    ...formatVersion(dialect), ...dialect.isTyped || random.chance(0.3) ? [PARTIAL] : [], ['Upload-Offset', formatCount(random, slot.offset)],
    ...isSilent ? [] : [formatEnd(random, dialect, isEnd)], ...formatLength(random, announced), ...digests.headers, ...body.headers
  ]
  const path = pathOf(slot)
  const request = { ...makeRequest('PATCH', path, headers, body.bytes), chunks: body.chunks }
  return attempt(request, reply => settleAppend({ slot, dialect, isEnd, size: Math.max(0, count), body, announced, digests, target: slot.target }, reply))
}

function settleAppend ({ slot, dialect, isEnd, size, body, announced, digests }: Creation, reply: Reply): string | null {
  const end = slot.offset + size
  const implied = isEnd && !body.isChunked ? end : null
  const said = announced ?? implied
  const limit = slot.length ?? said
  const isWhole = slot.complete
  if (announced !== null && implied !== null && announced !== implied) return wantProblem(reply, 400)
  if (body.digest === 'malformed') return want(reply, 400)
  if (slot.kind === 'final') return want(reply, 403)
  if (isWhole && !isEnd && !dialect.endsAtLength) return want(reply, 400)
  if (said !== null && (slot.length === null ? said < slot.offset : said !== slot.length)) return wantProblem(reply, 400)
  const known = isWhole ? slot.digests : digests.join(slot.digests)
  if (limit !== null && end > limit && !(known === null && body.isChunked && slot.offset !== slot.length)) {
    // (AP-12)
    if (!isWhole) slot.clear()
    return want(reply, dialect.interop === '6' && isWhole ? 400 : 413)
  }
  if (body.digest === 'wrong') return want(reply, 400)
  if (known === null) return want(reply, 400)
  const length = isEnd ? limit ?? end : limit
  const told = isWhole || isEnd || dialect.endsAtLength || slot.endsAtLength
  if (isEnd && body.isChunked && length !== end) {
    slot.fill({ ...slot, id: slot.id!, offset: end, length, told: slot.endsAtLength, digests: known })
    return want(reply, 400)
  }
  if (told && length === end) return settleEnd(slot, dialect, reply, { ...slot, offset: end, length, told, digests: known })
  if (reply.status !== dialect.appended) return want(reply, dialect.appended)
  slot.fill({ ...slot, id: slot.id!, offset: end, length, told, digests: known })
  return tellState(slot, dialect, reply)
}

/** In each way that leaves an upload as it is. */
function makeRefused (random: Random, slot: Slot, dialect: Dialect): Attempt {
  const version = formatVersion(dialect)
  const at: Header = ['Upload-Offset', String(slot.offset)]
  const more: Header = formatEnd(random, dialect, false)
  const body = CONTENT.subarray(slot.offset, slot.offset + random.int(20))
  const path = pathOf(slot)
  const other: Header = ['Content-Type', random.pick(['application/offset+octet-stream', 'text/plain', 'application/partial-uploads', ''])]
  const [request, status] = random.pick<readonly [Request, number]>([
    [makeRequest('PATCH', path, [...version, PARTIAL, ['Upload-Offset', String(slot.offset + 1 + random.int(100))], more], body), slot.kind === 'final' ? 403 : 409],
    [makeRequest('PATCH', path, [...version, PARTIAL, ...random.chance(0.3) ? [] : [['Upload-Offset', random.pick(NO_COUNTS)] as const], more], body), 400],
    dialect.isSilentEnd ? [makeRequest('PATCH', path, [...version, PARTIAL, more], body), 400] : [makeRequest('PATCH', path, [...version, PARTIAL, at, [dialect.flag, random.pick(NO_BOOLEANS)]], body), 400],
    [makeRequest('PATCH', path, [...version, PARTIAL, at, ['Content-Encoding', 'gzip'], more], body), 415],
    dialect.isTyped && dialect.interop !== null ? [makeRequest('PATCH', path, [...version, other, at, more], body), 415] : [makeRequest('PATCH', path, [...version, PARTIAL, ['Upload-Offset', '1.0'], more], body), 400],
    [makeRequest('PATCH', path, [['Tus-Resumable', '1.0.0'], ...version, PARTIAL, at, more], body), 415],
    [makeRequest('PATCH', path, [['Tus-Resumable', '2.0.0'], ...version, PARTIAL, at, more], body), 412],
    [{ ...makeRequest('PATCH', slot.target ? `/files/${slot.id}` : `/documents/~post/${slot.id}`, [...version, PARTIAL, at, more], body), chunks: random.int(3) }, 404],
    [makeRequest('PUT', path, [...version, at, ['Upload-Complete', '?1']], body), 405]
  ])
  return attempt(request, reply => want(reply, status) ?? (status === 409 ? wantField(reply, 'upload-offset', String(slot.offset)) ?? wantProblem(reply, 409, 'mismatching-upload-offset') : null))
}

function wantProblem (reply: Reply, status: number, type?: string): string | null {
  return want(reply, status) ?? (type === undefined || reply.body.toString('latin1').includes(`#${type}"`) ? null : `a problem that is no ${type}`)
}

/** How long the whole will be, as far as that is known. */
function chooseWhole (length: number | null, isEnd: boolean, end: number): number | null {
  return length ?? (isEnd ? end : null)
}

function drawLength (random: Random, size: number, isEnd: boolean, { isChunked }: DraftBody): number | null {
  if (random.chance(isEnd ? 0.6 : 0.3)) return null
  if (isEnd && random.chance(0.8)) return size
  return isEnd || random.chance(0.1) ? random.int(300) : size + (isChunked && random.chance(0.2) ? 0 : random.int(400))
}

/** What is no length counts as none. */
function formatLength (random: Random, announced: number | null): Header[] {
  if (announced !== null) return [['Upload-Length', formatCount(random, announced)]]
  return random.chance(0.1) ? [['Upload-Length', random.pick(NO_COUNTS)]] : []
}

function drawMetadata (random: Random): Header[] {
  return random.chance(0.7) ? [] : [random.pick<Header>([['Content-Type', 'image/png'], ['Content-Disposition', 'attachment; filename="a\\"b.png"'], ['Content-Disposition', "attachment; filename*=UTF-8''%e2%82%ac.txt"], ['Content-Disposition', ';;"'], ['Content-Encoding', 'gzip'], PARTIAL])]
}

const PARTIAL: Header = ['Content-Type', 'application/partial-upload']
const NO_DIGESTS: Digests = { headers: [], known: new Map(), join: known => known }
const BEGUN = { append: 45, cut: 10, refuse: 12, inspect: 15, terminate: 14, describe: 4 }
const DONE = { append: 15, cut: 0, refuse: 10, inspect: 25, terminate: 45, describe: 5 }
