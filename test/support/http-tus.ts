import type { FastifyInstance, LightMyRequestResponse } from 'fastify'
import { createHash } from 'node:crypto'
import { stat } from 'node:fs/promises'
import { join } from 'node:path'
import { listNames } from './app.js'

export { createGate, sleep, until } from './waiting.js'

export type Headers = Readonly<Record<string, string>>

/** What every request of tus 1.0.0 carries. */
export const TUS = { 'tus-resumable': '1.0.0' } as const
export const BYTES = { 'content-type': 'application/offset+octet-stream' } as const

/** Asks for a new upload. */
export function post (app: FastifyInstance, headers: Headers, payload?: string | Buffer): Promise<LightMyRequestResponse> {
  return app.inject({ method: 'POST', url: '/files', headers: { ...TUS, ...headers }, ...payload !== undefined && { payload } })
}

/** Creates an upload and gives its path. */
export async function createUpload (app: FastifyInstance, headers: Headers = { 'upload-length': '5' }): Promise<string> {
  const response = await post(app, headers)
  if (response.statusCode !== 201) throw new Error(`POST was answered with ${response.statusCode}: ${response.body}`)
  return getPath(response)
}

/** Creates an upload and fills it. */
export async function createComplete (app: FastifyInstance, content: string | Buffer, metadata: Headers = {}): Promise<string> {
  const length = String(Buffer.byteLength(content))
  const url = await createUpload(app, { 'upload-length': length, ...Object.keys(metadata).length > 0 && { 'upload-metadata': encodeMetadata(metadata) } })
  if (length !== '0') await patch(app, url, 0, content)
  return url
}

export function patch (app: FastifyInstance, url: string, offset: number, payload: string | Buffer, headers: Headers = {}): Promise<LightMyRequestResponse> {
  return app.inject({ method: 'PATCH', url, headers: { ...TUS, ...BYTES, 'upload-offset': String(offset), ...headers }, payload })
}

export function head (app: FastifyInstance, url: string): Promise<LightMyRequestResponse> {
  return app.inject({ method: 'HEAD', url, headers: TUS })
}

export function terminate (app: FastifyInstance, url: string): Promise<LightMyRequestResponse> {
  return app.inject({ method: 'DELETE', url, headers: TUS })
}

/** The path of the upload that a response to POST names. */
export function getPath ({ headers }: LightMyRequestResponse): string {
  return new URL(headers.location!, 'http://localhost').pathname
}

/** Where an upload is, as HEAD tells. */
export async function getOffset (app: FastifyInstance, url: string): Promise<string | undefined> {
  return (await head(app, url)).headers['upload-offset'] as string | undefined
}

export function encodeMetadata (metadata: Headers): string {
  return Object.entries(metadata).map(([key, value]) => `${key} ${Buffer.from(value).toString('base64')}`).join(',')
}

/** Every file of a directory with its size: what must not change where a request is refused. */
export async function listFiles (directory: string): Promise<string[]> {
  const names = await listNames(directory)
  return Promise.all(names.map(async name => `${name} ${(await stat(join(directory, name))).size}`))
}

/** Bytes that differ everywhere, so that a piece in the wrong place shows. */
export function makeBytes (size: number): Buffer {
  const bytes = Buffer.alloc(size)
  for (let at = 0; at < size; at += 32) createHash('sha256').update(String(at)).digest().copy(bytes, at)
  return bytes
}
