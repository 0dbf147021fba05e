import assert from 'node:assert/strict'
import type { FastifyInstance } from 'fastify'
import { createHash } from 'node:crypto'
import { once } from 'node:events'
import { request as openRequest, type IncomingMessage } from 'node:http'
import { buffer } from 'node:stream/consumers'
import { BYTES, makeBytes, TUS, type Headers } from '../http-tus.js'

const MIB = 1024 ** 2

/** What takes requests: an application, by its `inject`, or a server. */
export interface Target {
  inject (request: { method: 'POST' | 'PATCH' | 'HEAD' | 'GET', url: string, headers: Headers, payload?: Buffer }): Promise<Answer>
}

export interface Answer {
  readonly statusCode: number
  readonly headers: IncomingMessage['headers'] | Record<string, unknown>
  readonly rawPayload: Buffer
}

/** A server in another process. */
export function createTarget (port: number): Target {
  return {
    async inject ({ method, url, headers, payload = Buffer.alloc(0) }) {
      const sent = openRequest({ host: '127.0.0.1', port, method, path: url, headers: { ...headers, 'content-length': payload.length }, agent: false })
      sent.end(payload)
      const [response] = await once(sent, 'response') as [IncomingMessage]
      return { statusCode: response.statusCode!, headers: response.headers, rawPayload: await buffer(response) }
    }
  }
}

/** Parts of a body, each sent by one PATCH: its size in bytes, and whether a checksum comes along. */
export interface Step {
  readonly size: number
  readonly checksum?: boolean
}

/**
 * A client that follows the protocol: when a request fails, it asks where the upload is and goes on there. Where it finds none, it starts again.
 * Says what is wrong: an offset that went back behind what was acknowledged.
 */
export class ResumingClient {
  /** Which server takes the next request. */
  choose: () => Target
  /** Ends the request that is under way: its server has died. */
  die: () => void = () => {}
  /** How often an upload was gone, and the client had to begin again. */
  restarts = 0
  readonly #log: string[] = []

  constructor (choose: () => Target) {
    this.choose = choose
  }

  get log (): string {
    return this.#log.join('\n')
  }

  async upload (content: Buffer, steps: readonly Step[], headers: Headers = {}): Promise<string> {
    for (let attempt = 0; attempt < 5; attempt++) {
      const path = await this.#create({ 'upload-length': String(content.length), ...headers })
      if (await this.#fill(path, content, steps)) return path
      this.restarts++
    }
    throw new Error(`An upload was lost again and again\n${this.log}`)
  }

  async uploadAtOnce (content: Buffer): Promise<string> {
    for (let attempt = 0; attempt < 5; attempt++) {
      const response = await this.#send('POST', '/files', { 'upload-length': String(content.length), ...BYTES }, content)
      if (response?.statusCode === 201 && response.headers['upload-offset'] === String(content.length)) return getPath(response)
    }
    throw new Error(`An upload could not be created\n${this.log}`)
  }

  async concatenate (paths: readonly string[]): Promise<string> {
    const path = await this.#create({ 'upload-concat': `final;${paths.join(' ')}` })
    for (let attempt = 0; attempt < 5; attempt++) {
      const response = await this.#send('HEAD', path)
      if (response?.headers['upload-offset'] !== undefined && response.headers['upload-offset'] === response.headers['upload-length']) return path
    }
    throw new Error(`A final upload was not made\n${this.log}`)
  }

  async download (path: string): Promise<Buffer> {
    for (let attempt = 0; attempt < 5; attempt++) {
      const response = await this.#send('GET', path)
      if (response?.statusCode === 200) return response.rawPayload
    }
    throw new Error(`An upload could not be read\n${this.log}`)
  }

  async #create (headers: Headers): Promise<string> {
    for (let attempt = 0; attempt < 5; attempt++) {
      const response = await this.#send('POST', '/files', headers)
      if (response?.statusCode === 201) return getPath(response)
    }
    throw new Error(`An upload could not be created\n${this.log}`)
  }

  /** False if the upload is gone. */
  async #fill (path: string, content: Buffer, steps: readonly Step[]): Promise<boolean> {
    let acknowledged = 0
    let offset = 0
    for (let failures = 0; failures < 10;) {
      if (offset === content.length && failures === 0) return true
      const { size, checksum } = findStep(steps, offset)
      const bytes = content.subarray(offset, offset + size)
      const sum: Headers = checksum ? { 'upload-checksum': `sha1 ${createHash('sha1').update(bytes).digest('base64')}` } : {}
      const response = failures === 0 ? await this.#send('PATCH', path, { ...BYTES, ...sum, 'upload-offset': String(offset) }, bytes) : null
      if (response?.statusCode === 204) {
        offset = acknowledged = Number(response.headers['upload-offset'])
        continue
      }
      const found = await this.#send('HEAD', path)
      if (found?.statusCode === 404 || found?.statusCode === 410) return false
      failures++
      if (found?.statusCode !== 200) continue
      failures = 0
      offset = Number(found.headers['upload-offset'])
      assert.ok(offset >= acknowledged, `${acknowledged} bytes were acknowledged, and ${offset} are left\n${this.log}`)
      acknowledged = offset
    }
    throw new Error(`An upload does not come to its end\n${this.log}`)
  }

  async #send (method: 'POST' | 'PATCH' | 'HEAD' | 'GET', url: string, headers: Headers = {}, payload?: Buffer): Promise<Answer | null> {
    const sending = this.choose().inject({ method, url, headers: { ...TUS, ...headers }, ...payload && { payload } })
    sending.catch(() => {})
    const died = new Promise<null>(resolve => { this.die = () => resolve(null) })
    const response = await Promise.race([sending, died]).catch(() => null)
    this.#log.push(`${method} ${url} ${JSON.stringify(headers)}: ${response ? `${response.statusCode} ${response.headers['upload-offset'] ?? ''} ${response.statusCode >= 400 ? String(response.rawPayload) : ''}` : 'died'}`)
    return response
  }
}

function findStep (steps: readonly Step[], offset: number): Step {
  let end = 0
  for (const step of steps) {
    end += step.size
    if (end > offset) return { ...step, size: end - offset }
  }
  return { size: 0 }
}

function getPath ({ headers }: Answer): string {
  return new URL(String(headers.location), 'http://localhost').pathname
}

/** Lets a hook read every upload before it is complete. It says what is wrong: bytes that are not those of the scenario. */
export function lookAtAll (app: FastifyInstance): void {
  app.tus.addHook('preFinish', async (_request, { id, length, final }) => {
    const bytes = Buffer.concat(await app.tus.createReadStream(id).toArray())
    assert.ok(bytes.equals(final ? JOINED : CONTENT.subarray(0, length!)), 'a hook sees the bytes of the upload')
  })
}

/** Several PATCHes, small and large, one with a checksum; a small upload in one request; and two partial uploads that become one. */
export async function runScenario (client: ResumingClient): Promise<void> {
  const content = CONTENT.subarray(0, 11 * MIB)
  const paths = [
    await client.upload(content, [{ size: 3 }, { size: 6 * MIB }, { size: MIB, checksum: true }, { size: 4 * MIB }]),
    await client.uploadAtOnce(CONTENT.subarray(0, 10_000))
  ]
  const parts = [
    await client.upload(CONTENT.subarray(0, 6 * MIB), [{ size: 6 * MIB }], { 'upload-concat': 'partial' }),
    await client.upload(CONTENT.subarray(0, 3), [{ size: 3 }], { 'upload-concat': 'partial' })
  ]
  paths.push(await client.concatenate(parts))
  const expected = [content, CONTENT.subarray(0, 10_000), JOINED]
  for (const [index, path] of paths.entries()) {
    assert.ok((await client.download(path)).equals(expected[index]!), `object ${index} is byte for byte right\n${client.log}`)
  }
}

const CONTENT = makeBytes(11 * MIB)
/** Of the partial uploads. */
const JOINED = Buffer.concat([CONTENT.subarray(0, 6 * MIB), CONTENT.subarray(0, 3)])
