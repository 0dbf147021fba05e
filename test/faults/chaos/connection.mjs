import { connect } from 'node:net'
import { getWords } from './words.mjs'

/** No answer came in time. */
export class NoAnswer extends Error {}

/** One HTTP/1.1 connection by hand: the client decides what is sent, when, and what becomes of the connection. */
export class Connection {
  #socket
  #received = Buffer.alloc(0)
  #closed = false
  #wake = new Set()

  /** @returns {Promise<Connection | null>} `null` if nobody listens there */
  static open (port) {
    return new Promise(resolve => {
      const connection = new Connection()
      const socket = connect({ host: '127.0.0.1', port, noDelay: true })
      connection.#socket = socket
      socket.on('error', () => {}) // shows as a missing answer
      socket.on('data', chunk => connection.#change(() => { connection.#received = Buffer.concat([connection.#received, chunk]) }))
      socket.on('end', () => connection.#change(() => { connection.#closed = true }))
      socket.on('close', () => {
        connection.#change(() => { connection.#closed = true })
        resolve(null)
      })
      socket.once('connect', () => resolve(connection))
    })
  }

  get closed () {
    return this.#closed
  }

  /** Whether the server has said something that was not read yet. */
  get answered () {
    return this.#received.length > 0
  }

  /** Resolves when there is room for more, or there is no use in sending it. */
  async send (bytes) {
    if (this.#closed || this.#socket.write(bytes)) return
    const wake = () => this.#change(() => {})
    this.#socket.once('drain', wake)
    while (this.#socket.writableNeedDrain && !this.#closed && !this.answered) await this.#changed(DEADLINE)
    this.#socket.off('drain', wake)
  }

  /**
   * The next response that is not an interim one; `null` if the connection ends before it is there.
   *
   * @throws NoAnswer
   */
  async receive (method, deadline = DEADLINE) {
    const end = performance.now() + deadline
    for (;;) {
      const response = this.#take(method)
      if (response !== null && response.status >= 200) return response
      if (response !== null) continue
      if (this.#closed) return null
      if (performance.now() >= end) throw new NoAnswer(`no answer within ${deadline} ms`)
      await this.#changed(end - performance.now())
    }
  }

  close () {
    this.#socket.destroy()
  }

  /** Breaks it with RST: what the server has not read yet is lost. */
  reset () {
    this.#socket.resetAndDestroy()
  }

  #take (method) {
    const end = this.#received.indexOf('\r\n\r\n')
    if (end < 0) return null
    const [line, ...fields] = this.#received.subarray(0, end).toString('latin1').split('\r\n')
    const headers = Object.fromEntries(fields.map(field => [field.slice(0, field.indexOf(':')).toLowerCase(), field.slice(field.indexOf(':') + 1).trim()]))
    const status = Number(line.split(' ')[1])
    const size = method === 'HEAD' || status < 200 || status === 204 ? 0 : Number(headers['content-length'] ?? 0)
    if (this.#received.length < end + 4 + size) return null
    const body = this.#received.subarray(end + 4, end + 4 + size).toString()
    this.#received = this.#received.subarray(end + 4 + size)
    return { status, headers, body }
  }

  #change (change) {
    change()
    for (const wake of this.#wake) wake()
  }

  #changed (timeout) {
    return new Promise(resolve => {
      const wake = () => {
        clearTimeout(timer)
        this.#wake.delete(wake)
        resolve()
      }
      const timer = setTimeout(wake, Math.max(0, timeout))
      this.#wake.add(wake)
    })
  }
}

/** The head of a request; `Host` and what says the protocol come by themselves. */
export function formatHead (method, path, headers = {}) {
  const lines = Object.entries({ Host: '127.0.0.1', ...getWords().common, ...headers }).map(([name, value]) => `${name}: ${value}\r\n`)
  return `${method} ${path} HTTP/1.1\r\n${lines.join('')}\r\n`
}

/** How long an answer may take, in ms: far beyond the `lockTimeout` of 10 s. */
const DEADLINE = 120_000
