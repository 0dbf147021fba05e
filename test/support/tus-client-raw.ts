import { once } from 'node:events'
import { connect, type Socket } from 'node:net'

export interface RawResponse {
  readonly status: number
  /** Names in lower case. */
  readonly headers: Readonly<Record<string, string>>
  readonly body: string
}

/** One HTTP/1.1 connection by hand: the test decides what is sent, when, and what becomes of the connection. */
export class RawConnection {
  readonly socket: Socket
  #received = Buffer.alloc(0)
  #closed = false
  #wake: (() => void) | null = null

  private constructor (socket: Socket) {
    this.socket = socket
    socket.on('data', chunk => {
      this.#received = Buffer.concat([this.#received, chunk])
      this.#wake?.()
    })
    socket.on('error', () => {}) // a broken connection shows as a missing response
    socket.once('close', () => this.#close())
    socket.once('end', () => this.#close())
  }

  /** @throws if nobody listens there */
  static async open (port: number): Promise<RawConnection> {
    const socket = connect({ host: '127.0.0.1', port, noDelay: true })
    const connection = new RawConnection(socket)
    await once(socket, 'connect')
    return connection
  }

  /** Sends the head of a request; `Tus-Resumable` and `Host` come by themselves. */
  request (method: string, path: string, headers: Record<string, string | number> = {}): this {
    const lines = Object.entries({ Host: '127.0.0.1', 'Tus-Resumable': '1.0.0', ...headers }).map(([name, value]) => `${name}: ${value}\r\n`)
    this.socket.write(`${method} ${path} HTTP/1.1\r\n${lines.join('')}\r\n`)
    return this
  }

  /** Sends the head of a `PATCH` that announces `length` bytes from `offset` on. */
  patch (path: string, offset: number, length: number): this {
    return this.request('PATCH', path, { 'Content-Type': 'application/offset+octet-stream', 'Upload-Offset': offset, 'Content-Length': length })
  }

  /** Sends bytes of a body, and resolves when there is room for more; `false` if the connection is gone. */
  async write (bytes: Uint8Array): Promise<boolean> {
    if (this.#closed) return false
    if (!this.socket.write(bytes)) await Promise.race([once(this.socket, 'drain'), once(this.socket, 'close')]).catch(() => {})
    return !this.#closed
  }

  /** Whether an answer has begun to arrive. */
  get answered (): boolean {
    return this.#received.length > 0
  }

  /** The next response; `null` if the connection ended before it was there. */
  async response (method = 'PATCH'): Promise<RawResponse | null> {
    while (true) {
      const response = this.#take(method)
      if (response !== null || this.#closed) return response
      await new Promise<void>(resolve => { this.#wake = resolve })
    }
  }

  /** Resolves when an answer has begun to arrive, or none will. */
  get ended (): Promise<void> {
    if (this.answered || this.#closed) return Promise.resolve()
    return new Promise(resolve => {
      for (const event of ['data', 'end', 'close']) this.socket.once(event, () => resolve())
    })
  }

  close (): void {
    this.socket.destroy()
  }

  #take (method: string): RawResponse | null {
    const end = this.#received.indexOf('\r\n\r\n')
    if (end < 0) return null
    const [line, ...fields] = this.#received.subarray(0, end).toString('latin1').split('\r\n')
    const headers = Object.fromEntries(fields.map(field => [field.slice(0, field.indexOf(':')).toLowerCase(), field.slice(field.indexOf(':') + 1).trim()]))
    const status = Number(line!.split(' ')[1])
    const size = method === 'HEAD' || status < 200 || status === 204 ? 0 : Number(headers['content-length'] ?? 0)
    if (this.#received.length < end + 4 + size) return null
    const body = this.#received.subarray(end + 4, end + 4 + size).toString()
    this.#received = this.#received.subarray(end + 4 + size)
    return status < 200 ? this.#take(method) : { status, headers, body }
  }

  #close (): void {
    this.#closed = true
    this.#wake?.()
  }
}

/** Creates an upload, and resolves to the path of its URL. */
export async function createUpload (port: number, length: number): Promise<string> {
  const response = await ask(port, 'POST', '/files', { 'Upload-Length': length })
  if (response?.status !== 201) throw new Error(`POST answers ${response?.status ?? 'nothing'}`)
  return new URL(response.headers.location!).pathname
}

/** The offset that `HEAD` tells; `null` if there was no answer. @throws for an answer that is not 200 */
export async function askOffset (port: number, path: string): Promise<number | null> {
  const response = await ask(port, 'HEAD', path)
  if (response === null) return null
  if (response.status !== 200) throw new Error(`HEAD answers ${response.status}`)
  return Number(response.headers['upload-offset'])
}

/** A request without a body on a connection of its own; `null` if there was no answer. */
export async function ask (port: number, method: string, path: string, headers: Record<string, string | number> = {}): Promise<RawResponse | null> {
  const connection = await RawConnection.open(port).catch(() => null)
  if (connection === null) return null
  try {
    return await connection.request(method, path, headers).response(method)
  } finally {
    connection.close()
  }
}
