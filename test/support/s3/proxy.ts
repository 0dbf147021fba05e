import { once } from 'node:events'
import { Agent, createServer, request as send, type IncomingMessage, type ServerResponse } from 'node:http'
import type { AddressInfo } from 'node:net'
import type { Test } from 'tap'

/** A request to S3 on its way. */
export interface Call {
  /** Counted from 1, since the start or the last `reset`. */
  readonly number: number
  /** As S3 calls it, such as `UploadPart`. */
  readonly operation: string
  /** Without the bucket. */
  readonly key: string
  readonly method: string
  /** Of a part. */
  readonly part: string | null
  /** Of the body, in bytes, as announced. */
  readonly size: number
}

/**
 * What happens to a request instead of its plain way: an answer with that status, a broken connection, or none at all; `before` the server gets it, or `after`
 * the server has carried it out.
 */
export interface Fault {
  readonly when: 'before' | 'after'
  readonly what: number | 'reset' | 'silence'
  /** Of the error, where `what` is a status. */
  readonly code?: string
  /** Called at that point. */
  readonly meanwhile?: () => void
}

/** Stands between a storage and its server, whatever that is: counts the requests, holds them up, and lets them fail. */
export class S3Proxy {
  readonly calls: Call[] = []
  /** Decides about every request; may take its time. */
  intercept: (call: Call) => Promise<Fault | null> | Fault | null = () => null
  /** Called when a request was carried out, before its answer goes back. */
  onAnswer: (call: Call) => Promise<void> | void = () => {}
  readonly endpoint: string
  readonly #target: URL
  readonly #agent: Agent
  #count = 0

  private constructor (target: string, port: number, keepAlive: boolean) {
    this.#target = new URL(target)
    this.#agent = new Agent({ keepAlive })
    this.endpoint = `http://127.0.0.1:${port}`
  }

  /** @param connections `single`: one for each request, to a server that closes those that rest just when they are used again */
  static async start (t: Test, target: string, connections: 'kept' | 'single' = 'kept'): Promise<S3Proxy> {
    const server = createServer((request, response) => {
      proxy.#handle(request, response).catch(() => response.destroy())
    })
    // None is closed while it rests.
    server.keepAliveTimeout = 0
    server.listen(0, '127.0.0.1')
    await once(server, 'listening')
    const proxy = new S3Proxy(target, (server.address() as AddressInfo).port, connections === 'kept')
    t.teardown(() => {
      server.closeAllConnections()
      server.close()
      proxy.#agent.destroy()
    })
    return proxy
  }

  /** Forgets the calls so far. */
  reset (): void {
    this.calls.length = 0
    this.#count = 0
  }

  /** How often each operation was called. */
  count (): Readonly<Record<string, number>> {
    const counts: Record<string, number> = {}
    for (const { operation } of this.calls) counts[operation] = (counts[operation] ?? 0) + 1
    return counts
  }

  async #handle (request: IncomingMessage, response: ServerResponse): Promise<void> {
    const call = { number: ++this.#count, ...describe(request) }
    this.calls.push(call)
    const fault = await this.intercept(call)
    if (fault?.when === 'before') return this.#fail(fault, request, response)
    const forwarded = send(new URL(request.url!, this.#target), { method: request.method!, headers: request.headers, agent: this.#agent, setHost: false })
    // A server that refuses early may close the connection while the body is still being sent.
    forwarded.on('error', () => response.destroy())
    request.on('error', () => {}).pipe(forwarded)
    request.once('close', () => { if (!request.complete) forwarded.destroy() })
    const [answer] = await once(forwarded, 'response') as [IncomingMessage]
    if (fault !== null) {
      answer.resume()
      await once(answer, 'end')
      return this.#fail(fault, request, response)
    }
    await this.onAnswer(call)
    response.writeHead(answer.statusCode!, answer.headers)
    answer.pipe(response)
  }

  async #fail ({ what, code = what === 503 ? 'SlowDown' : 'InternalError', meanwhile }: Fault, request: IncomingMessage, response: ServerResponse): Promise<void> {
    meanwhile?.()
    if (what === 'reset') {
      request.socket.resetAndDestroy()
      return
    }
    request.resume()
    if (what === 'silence') return
    if (!request.complete) await once(request, 'end')
    response.writeHead(what, { 'content-type': 'application/xml' }).end(`<Error><Code>${code}</Code><Message>A test says so</Message></Error>`)
  }
}

function describe ({ url, method, headers }: IncomingMessage): Omit<Call, 'number'> {
  const { pathname, searchParams } = new URL(url!, 'http://localhost')
  const key = decodeURIComponent(pathname.split('/').slice(2).join('/'))
  const size = Number(headers['x-amz-decoded-content-length'] ?? headers['content-length'] ?? 0)
  return { operation: getOperation(method!, key, searchParams, headers), key, method: method!, part: searchParams.get('partNumber'), size }
}

function getOperation (method: string, key: string, query: URLSearchParams, headers: IncomingMessage['headers']): string {
  const inMultipart = query.has('uploadId')
  if (query.has('uploads')) return method === 'POST' ? 'CreateMultipartUpload' : 'ListMultipartUploads'
  if (inMultipart && method === 'PUT') return headers['x-amz-copy-source'] ? 'UploadPartCopy' : 'UploadPart'
  if (inMultipart) return { POST: 'CompleteMultipartUpload', GET: 'ListParts', DELETE: 'AbortMultipartUpload' }[method] ?? method
  if (key === '') return { POST: 'DeleteObjects', GET: 'ListObjectsV2', PUT: 'CreateBucket' }[method] ?? method
  return { PUT: 'PutObject', GET: 'GetObject', HEAD: 'HeadObject', DELETE: 'DeleteObject' }[method] ?? method
}
