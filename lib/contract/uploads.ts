import assert from 'node:assert/strict'
import { createHash, randomBytes } from 'node:crypto'
import type { Wanted } from '../locker.js'
import type { Storage, UploadBody } from '../storage.js'
import type { NewUpload } from '../upload.js'

export const MIB = 1024 * 1024

/** Fails the test if anybody asks it for bytes. */
export const UNTOUCHABLE: UploadBody = {
  next: async () => { throw new Error('the body was touched') }
}

export function makeId (): string {
  return randomBytes(16).toString('hex')
}

export function makeUpload (given: Partial<NewUpload> = {}): NewUpload {
  return {
    id: makeId(),
    length: null,
    metadata: {},
    serverMetadata: {},
    echo: {},
    partial: false,
    final: false,
    parts: [],
    completes: 'at-length',
    createdAt: new Date(),
    expiresAt: null,
    ...given
  }
}

export async function createUpload (storage: Storage, given: Partial<NewUpload>): Promise<NewUpload> {
  const upload = makeUpload(given)
  await storage.create(upload)
  return upload
}

/** A complete partial upload; its id. */
export async function createFilled (storage: Storage, content: string | Buffer): Promise<string> {
  const bytes = Buffer.from(content)
  const { id } = await createUpload(storage, { length: bytes.length, partial: true })
  await storage.append(id, { offset: 0, keep: 'prefix', body: makeBody([[bytes]]) })
  return id
}

export async function mustFind (storage: Storage, id: string) {
  const upload = await storage.find(id)
  assert.ok(upload, 'the upload is there')
  return upload
}

export function append (storage: Storage, id: string, offset: number, ...texts: string[]): Promise<number> {
  return storage.append(id, { offset, keep: 'prefix', body: makeBody(texts.map(text => [Buffer.from(text)])) })
}

/** A body of these batches, which then ends or throws. */
export function makeBody (batches: readonly Uint8Array[][], failure: Error | null = null, look = async () => {}): UploadBody {
  const rest = [...batches]
  return {
    async next () {
      await look()
      const batch = rest.shift() ?? null
      if (batch === null && failure !== null) throw failure
      return batch
    }
  }
}

export async function readAll (storage: Storage, id: string, start = 0, end = Infinity): Promise<string> {
  return (await readBytes(storage, id, start, end)).toString()
}

export async function readBytes (storage: Storage, id: string, start = 0, end = Infinity): Promise<Buffer> {
  const { offset } = await mustFind(storage, id)
  const stream = await storage.read?.(id, { start, end: Math.min(end, offset - 1) })
  assert.ok(stream, 'the upload can be read')
  const chunks: Buffer[] = []
  for await (const chunk of stream) chunks.push(chunk)
  return Buffer.concat(chunks)
}

export async function hashOf (storage: Storage, id: string): Promise<string> {
  return createHash('sha256').update(await readBytes(storage, id)).digest('hex')
}

/** Without prototypes, whose difference says nothing. */
export function plain (value: unknown): unknown {
  return JSON.parse(JSON.stringify(value))
}

export function tick (): Promise<void> {
  return new Promise(resolve => { setImmediate(resolve) })
}

export function pause (milliseconds: number): Promise<void> {
  return new Promise(resolve => { setTimeout(resolve, milliseconds) })
}

export function once (wanted: Wanted): Promise<void> {
  return new Promise(resolve => {
    if (wanted.requested) resolve()
    else wanted.onRequest(resolve)
  })
}

export function defer (): { promise: Promise<void>, resolve: () => void } {
  let resolve = () => {}
  const promise = new Promise<void>(_resolve => { resolve = _resolve })
  return { promise, resolve }
}
