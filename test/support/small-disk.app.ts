import Fastify, { type FastifyInstance, type LightMyRequestResponse } from 'fastify'
import { createHash } from 'node:crypto'
import type { Test } from 'tap'
import { createFsStorage } from '../../adapters/fs/index.js'
import fastifyTus, { type TusOptions } from '../../lib/index.js'
import { getOffset, patch } from './http-tus.js'

/** An application on a directory that others prepared; `configure` adds its hooks. What it logs is kept from the output of the test. */
export async function openApp (t: Test, directory: string, options: TusOptions = {}, configure = (_app: FastifyInstance) => {}): Promise<FastifyInstance> {
  const app = Fastify()
  t.teardown(() => app.close())
  await app.register(fastifyTus, { storage: createFsStorage({ directory }), ...options })
  configure(app)
  await app.ready()
  return app
}

/** The answer names the fault, and shows nothing of the inside. */
export function checkRefusal (t: Test, response: LightMyRequestResponse, status: number, code: string, what: string): void {
  t.equal(response.statusCode, status, `${what}: ${response.statusCode} ${response.body}`)
  t.match(response.json(), { code }, what)
  t.notMatch(response.body, /\/|\bE[A-Z]{3,}\b|errno|syscall/, `${what}: no path and no error of the system in the body`)
}

/** HEAD answers 200 with this offset. */
export async function checkOffset (t: Test, app: FastifyInstance, url: string, offset: number, what: string): Promise<void> {
  t.equal(await getOffset(app, url), String(offset), `HEAD, ${what}`)
}

/** Sends what is missing from where HEAD says the upload is, and compares the whole. */
export async function finish (t: Test, app: FastifyInstance, url: string, content: Buffer, headers: Record<string, string> = {}): Promise<void> {
  const offset = Number(await getOffset(app, url))
  if (offset < content.length) t.equal((await patch(app, url, offset, content.subarray(offset), headers)).statusCode, 204, `goes on from ${offset}`)
  const download = await app.inject(url)
  t.equal(download.statusCode, 200)
  t.equal(sha256(download.rawPayload), sha256(content), 'the bytes are the right ones')
}

export function sha256 (bytes: Buffer): string {
  return createHash('sha256').update(bytes).digest('hex')
}

/** The value of `Upload-Checksum`. */
export function makeChecksum (bytes: Buffer): string {
  return `sha256 ${createHash('sha256').update(bytes).digest('base64')}`
}
