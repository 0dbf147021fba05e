import { createHash } from 'node:crypto'
import { formatTold, type Dialect } from './dialects.js'
import { digestOf, getId, isDoomed, want, wantField } from './grammar.js'
import { getField, type Reply } from './replies.js'
import { getHeader, type Request } from './request.js'
import type { Slot } from './slot.js'

/** What every answer in the draft has to be, whatever was asked; `null` if it is. */
export function inspectDraft (dialect: Dialect, request: Request, reply: Reply): string | null {
  if (getHeader(request, 'Tus-Resumable') !== undefined) return null
  const isSaid = dialect.interop !== null || request.method !== 'HEAD'
  if (isSaid && request.method !== 'OPTIONS' && getField(reply, 'tus-resumable') !== undefined) return 'an answer in the other protocol'
  return inspectProblem(dialect, reply) ?? inspectInterim(dialect, request, reply)
}

/** RFC 9457: an object that repeats the status; and a refusal is not the end. */
function inspectProblem (dialect: Dialect, reply: Reply): string | null {
  if (!getField(reply, 'content-type')?.startsWith('application/problem+json')) return null
  if (reply.body.length > 0 && JSON.parse(reply.body.toString()).status !== reply.status) return 'a problem of another status'
  return wantField(reply, dialect.flag.toLowerCase(), formatTold(dialect, false)) ?? wantField(reply, 'cache-control', 'no-store')
}

function inspectInterim ({ interop, hasInterim, tellsLimit }: Dialect, { method }: Request, reply: Reply): string | null {
  for (const head of reply.interim) {
    if (head === 'HTTP/1.1 100 Continue') continue
    if (!head.startsWith('HTTP/1.1 104 Upload Resumption Supported\r\n') || !hasInterim) return `an interim response nobody asked for: ${head}`
    if (getField({ head }, 'upload-draft-interop-version') !== interop) return `an interim response of another version: ${head}`
    const location = getField({ head }, 'location')
    const offset = getField({ head }, 'upload-offset')
    if (offset !== undefined && !/^\d+$/.test(offset)) return `no offset: ${head}`
    if (method === 'PATCH' && location !== undefined) return `a progress that tells where: ${head}`
    if (location !== undefined && tellsLimit && getField({ head }, 'upload-limit') === undefined) return `no limits: ${head}`
    const final = getField(reply, 'location')
    if (location !== undefined && final !== undefined && location !== final) return `two locations: ${location} ${final}`
  }
  return null
}

/** What every answer about an upload tells: where it is, whether that is all, and the limits. */
export function tellState (slot: Slot, dialect: Dialect, reply: Reply): string | null {
  return tellEnd(slot, dialect, reply) ?? (dialect.tellsLimit && getField(reply, 'upload-limit') === undefined ? 'no limits' : null)
}

function tellEnd (slot: Slot, dialect: Dialect, reply: Reply): string | null {
  return wantField(reply, 'upload-offset', String(slot.offset)) ??
    wantField(reply, dialect.flag.toLowerCase(), formatTold(dialect, isProcessed(slot))) ??
    (slot.complete && slot.genuine ? tellDigests(slot, reply) : null)
}

function tellDigests ({ digests, content, kind }: Slot, reply: Reply): string | null {
  if (kind !== 'plain' || digests.size === 0) return null
  const known = ['sha-256', 'sha-512'].filter(name => digests.has(name)).map(name => `${name}=:${digestOf(name, content)}:`)
  return wantField(reply, 'repr-digest', known.join(', '))
}

type Filled = Parameters<Slot['fill']>[0]

/** The request that completes an upload, or finds it complete: the handler answers for its own, and says it again. */
export function settleEnd (slot: Slot, dialect: Dialect, reply: Reply, whole: Omit<Filled, 'id'>): string | null {
  const { complete: wasComplete, id } = slot
  const { length, kind = 'plain', digests = new Map<string, string | null>() } = whole
  if (!wasComplete && isDoomed({ kind, digests }, length!)) return want(reply, 400) ?? slot.clear() ?? null
  const answered = whole.target === true
  const status = answered ? 200 : 201
  if (reply.status !== status) return want(reply, status)
  slot.fill({ ...whole, id: id ?? getId(reply), answered })
  if (getId(reply) !== slot.id) return `the location of another upload than ${slot.id}`
  if (!answered) return tellState(slot, dialect, reply)
  return tellEnd(slot, dialect, reply) ?? (slot.genuine ? checkDocument(slot.content, reply) : null)
}

/** The handler has got every byte. */
export function checkDocument (bytes: Buffer, { body }: Reply): string | null {
  const sha256 = createHash('sha256').update(bytes).digest('hex')
  return body.toString() === JSON.stringify({ size: bytes.length, sha256 }) ? null : 'the handler has not got what was uploaded'
}

/** Complete, and answered for where that is somebody's business. */
function isProcessed ({ complete, target, answered }: Slot): boolean {
  return complete && (!target || answered)
}
