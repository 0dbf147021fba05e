import { Readable } from 'node:stream'
import type { Answer } from './protocols/protocol.js'
import type { KeptAnswer } from './upload.js'

/** An answer as it was, with what the protocol adds. */
export function replay ({ status, headers }: Answer, kept: KeptAnswer): Answer {
  // To bytes without a type, Fastify gives one; nothing needs none.
  const body = kept.body === '' ? undefined : Buffer.from(kept.body, 'base64')
  return { status, headers: { ...kept.headers, ...headers }, ...body && { body } }
}

/** Whether Fastify sends it: what is anything else at this point is a 500. */
export function isSendable (payload: unknown): boolean {
  return payload === undefined || payload === null || typeof payload === 'string' || payload instanceof Uint8Array || isStream(payload) || (typeof payload === 'object' && 'pipe' in payload)
}

export interface Captured {
  readonly answer: KeptAnswer
  /** What is to be sent. */
  readonly payload: unknown
}

/** Takes down what a handler says. A body that is too long to be kept is left out: who asks again gets the rest. */
export async function capture (status: number, headers: Readonly<Record<string, string | number | string[] | undefined>>, payload: unknown): Promise<Captured> {
  const { body, payload: rest } = await readPayload(payload)
  const kept = Object.entries(headers).filter(([name, value]) => value !== undefined && !PASSING.test(name) && (body !== null || !CONTENT.test(name)))
  return {
    answer: { status, headers: Object.fromEntries(kept.map(([name, value]) => [name, [value].flat().join(', ')])), body: (body ?? Buffer.alloc(0)).toString('base64') },
    payload: rest
  }
}

/** The bytes of a body, as far as they are few; `null` for more. */
async function readPayload (payload: unknown): Promise<{ body: Buffer | null, payload: unknown }> {
  if (payload === undefined || payload === null) return { body: Buffer.alloc(0), payload }
  if (isStream(payload)) return readStream(payload instanceof Readable ? payload : Readable.from(payload))
  const body = typeof payload === 'string' || payload instanceof Uint8Array ? Buffer.from(payload as string) : null
  return { body: body !== null && body.length <= LONGEST ? body : null, payload }
}

/** One of Node, of the web, or of a library. */
function isStream (payload: unknown): payload is AsyncIterable<unknown> {
  return typeof payload === 'object' && payload !== null && Symbol.asyncIterator in payload
}

async function readStream (stream: Readable): Promise<{ body: Buffer | null, payload: unknown }> {
  const chunks: Buffer[] = []
  const source = stream[Symbol.asyncIterator]()
  for (let size = 0; size <= LONGEST;) {
    const { done, value } = await source.next()
    if (done) {
      const body = Buffer.concat(chunks)
      return { body, payload: body }
    }
    const chunk = Buffer.from(value)
    chunks.push(chunk)
    size += chunk.length
  }
  // Who gives up in front of the rest closes what it comes from, too.
  return { body: null, payload: Readable.from(resume(chunks, source)).once('close', () => stream.destroy()) }
}

async function * resume (chunks: readonly Buffer[], rest: AsyncIterator<unknown>): AsyncGenerator<unknown> {
  yield * chunks
  yield * { [Symbol.asyncIterator]: () => rest }
}

/** Bytes of a body that are kept. */
const LONGEST = 256 * 1024
/** What belongs to one response alone. */
const PASSING = /^(?:connection|keep-alive|transfer-encoding|content-length|date|set-cookie|access-control-.*|.*ratelimit.*)$/
const CONTENT = /^(?:content-.*|etag)$/
