import { FileStore } from '@tus/file-store'
import { S3Store } from '@tus/s3-store'
import { Server } from '@tus/server'
import { spawn, spawnSync } from 'node:child_process'
import { once } from 'node:events'
import { createServer } from 'node:http'
import type { AddressInfo } from 'node:net'
import type { Test } from 'tap'
import { waitForLine } from './server-process.js'
import type { S3Address } from './s3/bucket.js'
import { BYTES, encodeMetadata, TUS, type Headers } from './http-tus.js'

/** Another server, as its users have it. */
export interface ForeignServer {
  /** Where uploads are created. */
  readonly url: string
  stop (): Promise<void>
}

export interface BucketPlace extends S3Address {
  readonly bucket: string
  readonly prefix: string
}

/** The server of @tus/server, with files or on S3. */
export async function startTusServer (t: Test, place: { readonly directory: string } | BucketPlace): Promise<ForeignServer> {
  const server = new Server({ path: '/files', datastore: 'directory' in place ? new FileStore(place) : createS3Store(place) })
  const http = createServer((request, response) => { server.handle(request, response).catch(() => response.destroy()) })
  http.listen(0, '127.0.0.1')
  await once(http, 'listening')
  const stop = async (): Promise<void> => {
    http.closeAllConnections()
    http.close()
  }
  t.teardown(stop)
  return { url: `http://127.0.0.1:${(http.address() as AddressInfo).port}/files`, stop }
}

function createS3Store ({ bucket, endpoint, accessKeyId, secretAccessKey }: BucketPlace): S3Store {
  const credentials = { accessKeyId, secretAccessKey }
  return new S3Store({ partSize: 5 * 1024 ** 2, s3ClientConfig: { bucket, endpoint, credentials, region: 'us-east-1', forcePathStyle: true } })
}

/** Whether tusd is installed. */
export function hasTusd (): boolean {
  return spawnSync('tusd', ['--version']).status === 0
}

/** The binary of tusd, with files or on S3. */
export async function startTusd (t: Test, place: { readonly directory: string } | BucketPlace): Promise<ForeignServer> {
  const flags = 'directory' in place
    ? ['-upload-dir', place.directory]
    : ['-s3-bucket', place.bucket, '-s3-endpoint', place.endpoint, '-s3-object-prefix', place.prefix, '-s3-part-size', String(5 * 1024 ** 2)]
  const keys = 'directory' in place ? {} : { AWS_ACCESS_KEY_ID: place.accessKeyId, AWS_SECRET_ACCESS_KEY: place.secretAccessKey, AWS_REGION: 'us-east-1' }
  const child = spawn('tusd', ['-host', '127.0.0.1', '-port', '0', ...flags], { env: { ...process.env, ...keys }, stdio: ['ignore', 'pipe', 'inherit'] })
  const stop = async (): Promise<void> => {
    if (child.exitCode !== null || child.signalCode !== null) return
    const exited = once(child, 'exit')
    child.kill('SIGTERM')
    await exited
  }
  t.teardown(stop)
  const line = await waitForLine(child, /You can now upload files to/)
  const port = /127\.0\.0\.1:(\d+)/.exec(line)![1]
  return { url: `http://127.0.0.1:${port}/files/`, stop }
}

/** An upload that a client has begun, perhaps to its end. */
export interface Begun {
  readonly name: string
  /** Of its URL. */
  readonly path: string
  readonly content: Buffer
  /** How many bytes the client has sent. */
  readonly sent: number
  readonly headers: Headers
}

export interface Plan {
  readonly name: string
  readonly content: Buffer
  /** How much of it is sent in each PATCH, in bytes. */
  readonly pieces: readonly number[]
  readonly headers?: Headers
  readonly metadata?: Readonly<Record<string, string>>
}

/** Uploads the pieces of a plan, as a client does that was cut off behind the last of them. */
export async function begin (url: string, { name, content, pieces, headers, metadata }: Plan): Promise<Begun> {
  const given = headers ?? { 'upload-length': String(content.length) }
  const asked = { ...TUS, ...given, ...metadata && { 'upload-metadata': encodeMetadata(metadata) } }
  const { headers: answer } = await send(url, 'POST', asked, 201)
  const location = new URL(answer.get('location')!, url)
  let sent = 0
  for (const size of pieces) {
    await send(location.href, 'PATCH', { ...TUS, ...BYTES, 'upload-offset': String(sent) }, 204, content.subarray(sent, sent + size))
    sent += size
  }
  return { name, path: location.pathname, content, sent, headers: given }
}

/** Sends a request, and insists on its answer. */
export async function send (url: string, method: string, headers: Headers, status: number, body?: Buffer): Promise<Response> {
  const response = await fetch(url, { method, headers, ...body && { body: new Uint8Array(body) } })
  if (response.status !== status) throw new Error(`${method} ${url} answers ${response.status}: ${await response.text()}`)
  return response
}
