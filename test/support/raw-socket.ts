import { connect, type Socket } from 'node:net'
import type { Test } from 'tap'
import { DEADLINE } from './waiting.js'

export interface RawResponse {
  readonly status: number
  /** Names in lower case; a header that came twice is joined by a comma. */
  readonly headers: Readonly<Record<string, string>>
  readonly body: string
  /** Statuses of the interim responses before it. */
  readonly interim: readonly number[]
}

/** An HTTP/1 client that sends what it is told, byte by byte, whether or not that is HTTP. */
export class RawClient {
  readonly socket: Socket
  readonly #received: Buffer[] = []
  #closed = false
  #changed: (() => void) | null = null

  constructor (port: number) {
    this.socket = connect({ port, host: '127.0.0.1', allowHalfOpen: true })
    this.socket.on('error', () => {})
    this.socket.on('end', () => this.#note(() => {}))
    this.socket.on('close', () => this.#note(() => { this.#closed = true }))
  }

  get closed (): boolean {
    return this.#closed || this.socket.readableEnded
  }

  /** Resolves when the kernel has taken the bytes, or the connection is gone. */
  send (bytes: string | Uint8Array): Promise<void> {
    const data = typeof bytes === 'string' ? Buffer.from(bytes, 'latin1') : bytes
    return new Promise(resolve => {
      this.socket.once('close', resolve)
      this.socket.write(data, () => {
        this.socket.off('close', resolve)
        resolve()
      })
    })
  }

  /** Ends the sending direction in order. */
  finish (): void {
    this.socket.end()
  }

  /** Breaks the connection with RST. */
  reset (): void {
    this.socket.resetAndDestroy()
  }

  /** The next final response; `null` if the connection ends before it is there. Nothing is read before the first call. */
  async receive (method = 'GET', deadline = DEADLINE): Promise<RawResponse | null> {
    const interim: number[] = []
    for (;;) {
      const response = await this.receiveAny(method, deadline)
      if (response === null || response.status >= 200) return response && { ...response, interim }
      interim.push(response.status)
    }
  }

  /** The next response, which may be an interim one. */
  async receiveAny (method = 'GET', deadline = DEADLINE): Promise<Omit<RawResponse, 'interim'> | null> {
    if (this.socket.listenerCount('data') === 0) this.socket.on('data', chunk => this.#note(() => this.#received.push(chunk)))
    const end = Date.now() + deadline
    for (;;) {
      const parsed = parse(Buffer.concat(this.#received), method, this.closed)
      if (parsed) {
        this.#received.splice(0, Infinity, parsed.rest)
        return parsed.response
      }
      if (this.closed) return null
      await this.#change(end - Date.now())
    }
  }

  /** Resolves when the server has closed its side. */
  async waitForEnd (deadline = DEADLINE): Promise<void> {
    const end = Date.now() + deadline
    if (this.socket.listenerCount('data') === 0) this.socket.resume()
    while (!this.closed) await this.#change(end - Date.now())
  }

  #note (change: () => void): void {
    change()
    this.#changed?.()
  }

  #change (timeout: number): Promise<void> {
    return new Promise((resolve, reject) => {
      const timer = setTimeout(() => reject(new Error('The server sent nothing in time')), timeout)
      this.#changed = () => {
        clearTimeout(timer)
        resolve()
      }
    })
  }
}

/** Opens a connection that the test closes. */
export function openRaw (t: Test, port: number): RawClient {
  const client = new RawClient(port)
  t.teardown(() => { client.socket.destroy() })
  return client
}

/** Sends one request on a connection of its own, and reads the answer. */
export async function exchangeRaw (t: Test, port: number, bytes: string | Uint8Array, method = 'GET'): Promise<RawResponse | null> {
  const client = openRaw(t, port)
  await client.send(bytes)
  const response = await client.receive(method)
  client.socket.destroy()
  return response
}

/** The head of a request, with its empty line. A header may come several times. */
export function formatHead (method: string, path: string, headers: Readonly<Record<string, string | readonly string[]>>): string {
  const lines = Object.entries({ host: 'localhost', ...headers }).flatMap(([name, value]) => [value].flat().map(one => `${name}: ${one}\r\n`))
  return `${method} ${path} HTTP/1.1\r\n${lines.join('')}\r\n`
}

export function formatChunk (bytes: string): string {
  return `${Buffer.byteLength(bytes, 'latin1').toString(16)}\r\n${bytes}\r\n`
}

interface Parsed {
  readonly response: Omit<RawResponse, 'interim'>
  readonly rest: Buffer
}

function parse (bytes: Buffer, method: string, closed: boolean): Parsed | null {
  const end = bytes.indexOf('\r\n\r\n')
  if (end < 0) return null
  const [first = '', ...lines] = bytes.subarray(0, end).toString('latin1').split('\r\n')
  const status = Number(first.split(' ')[1])
  const headers = parseHeaders(lines)
  const rest = bytes.subarray(end + 4)
  const size = getBodySize(status, method, headers, rest, closed)
  if (size === null || rest.length < size) return null
  return { response: { status, headers, body: rest.subarray(0, size).toString('latin1') }, rest: rest.subarray(size) }
}

function parseHeaders (lines: readonly string[]): Record<string, string> {
  const headers: Record<string, string> = {}
  for (const line of lines) {
    const colon = line.indexOf(':')
    const name = line.slice(0, colon).toLowerCase()
    const value = line.slice(colon + 1).trim()
    headers[name] = name in headers ? `${headers[name]}, ${value}` : value
  }
  return headers
}

/** `null` while it is not known. A chunked body is counted with its frame. */
function getBodySize (status: number, method: string, headers: Record<string, string>, rest: Buffer, closed: boolean): number | null {
  if (status < 200 || status === 204 || status === 304 || method === 'HEAD') return 0
  if (headers['content-length'] !== undefined) return Number(headers['content-length'])
  if (headers['transfer-encoding'] !== undefined) {
    const last = rest.indexOf('0\r\n\r\n')
    return last < 0 ? null : last + 5
  }
  return closed ? rest.length : null
}
