import { once } from 'node:events'
import { connect, type Socket } from 'node:net'
import type { Test } from 'tap'

/** Types of frames (RFC 9113, 6). */
const DATA = 0
const HEADERS = 1
const RST_STREAM = 3
const SETTINGS = 4
const GOAWAY = 7
const END_STREAM = 1
const END_HEADERS = 4

/**
 * An HTTP/2 client that sends the frames that it is told, and no others: that of Node ends each stream that it resets. It has one stream, and does not
 * look at what comes back.
 */
export class RawHttp2Client {
  readonly socket: Socket
  #stream = -1

  constructor (port: number) {
    this.socket = connect({ port, host: '127.0.0.1' })
    this.socket.on('error', () => {})
    this.socket.resume()
    this.socket.write('PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n')
    this.socket.write(formatFrame(SETTINGS, 0, 0))
  }

  /** Opens a stream whose body follows. */
  request (method: string, path: string, headers: Readonly<Record<string, string>>): void {
    this.#stream += 2
    const fields = { ':method': method, ':path': path, ':scheme': 'http', ':authority': 'localhost', ...headers }
    const block = Buffer.concat(Object.entries(fields).map(([name, value]) => formatField(name, value)))
    this.#send(HEADERS, END_HEADERS, block)
  }

  data (content: string | Buffer): void {
    this.#send(DATA, 0, Buffer.from(content))
  }

  /** Ends the stream in order, by a frame without a byte. */
  end (): void {
    this.#send(DATA, END_STREAM)
  }

  /** Trailers, which end the stream. */
  endWith (trailers: Readonly<Record<string, string>>): void {
    this.#send(HEADERS, END_HEADERS | END_STREAM, Buffer.concat(Object.entries(trailers).map(([name, value]) => formatField(name, value))))
  }

  /** Resets the stream. */
  reset (code: number): void {
    this.#send(RST_STREAM, 0, formatNumber(code))
  }

  /** Ends it and resets it in one packet: a client that cancels what it has ended. */
  endAndReset (code: number): void {
    this.socket.cork()
    this.end()
    this.reset(code)
    this.socket.uncork()
  }

  /** Says that it opens no stream any more. */
  goAway (code: number): void {
    this.socket.write(formatFrame(GOAWAY, 0, 0, Buffer.concat([formatNumber(0), formatNumber(code)])))
  }

  /** Resolves when the connection is gone. */
  async closed (): Promise<void> {
    if (!this.socket.closed) await once(this.socket, 'close')
  }

  #send (type: number, flags: number, payload?: Buffer): void {
    this.socket.write(formatFrame(type, flags, this.#stream, payload))
  }
}

/** Opens a connection that the test closes. */
export function openRawHttp2 (t: Test, port: number): RawHttp2Client {
  const client = new RawHttp2Client(port)
  t.teardown(() => { client.socket.destroy() })
  return client
}

function formatFrame (type: number, flags: number, stream: number, payload: Uint8Array = Buffer.alloc(0)): Buffer {
  const head = Buffer.alloc(9)
  head.writeUIntBE(payload.length, 0, 3)
  head.writeUInt8(type, 3)
  head.writeUInt8(flags, 4)
  head.writeUInt32BE(stream, 5)
  return Buffer.concat([head, payload])
}

/** A literal without an index and without Huffman (RFC 7541, 6.2.2). */
function formatField (name: string, value: string): Buffer {
  return Buffer.concat([Buffer.from([0]), ...[name, value].flatMap(text => [formatLength(Buffer.byteLength(text)), Buffer.from(text)])])
}

/** An integer behind a prefix of 7 bits (RFC 7541, 5.1), up to 254. */
function formatLength (length: number): Buffer {
  return Buffer.from(length < 127 ? [length] : [127, length - 127])
}

function formatNumber (value: number): Buffer {
  const bytes = Buffer.alloc(4)
  bytes.writeUInt32BE(value)
  return bytes
}
