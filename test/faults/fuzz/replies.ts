/** One response of the server. */
export interface Reply {
  readonly status: number
  /** Status line and headers, as they came. */
  readonly head: string
  readonly body: Buffer
  /** The server closes the connection behind it. */
  readonly closing: boolean
  /** The heads of the interim responses ahead of it. */
  readonly interim: readonly string[]
}

/** Cuts what a connection brings into responses. */
export class ReplyParser {
  #bytes: Buffer = EMPTY
  #interim: string[] = []

  push (chunk: Buffer): void {
    this.#bytes = this.#bytes.length === 0 ? chunk : Buffer.concat([this.#bytes, chunk])
  }

  /** What is there and belongs to no response that was taken. */
  get rest (): Buffer {
    return this.#bytes
  }

  /** The next final response to a request of that method; `null` until all of it is there. */
  take (method: string): Reply | null {
    for (;;) {
      const end = this.#bytes.indexOf('\r\n\r\n')
      if (end < 0) return null
      const head = this.#bytes.toString('latin1', 0, end)
      const status = Number(head.slice(9, 12))
      const size = status < 200 ? 0 : getBodySize(status, method, head, this.#bytes.subarray(end + 4))
      if (size === null || this.#bytes.length < end + 4 + size) return null
      const body = this.#bytes.subarray(end + 4, end + 4 + size)
      this.#bytes = this.#bytes.subarray(end + 4 + size)
      if (status >= 200) return { status, head, body, closing: CLOSING.test(head), interim: this.#interim.splice(0) }
      this.#interim.push(head)
    }
  }
}

/** @param name in lower case */
export function getField ({ head }: Pick<Reply, 'head'>, name: string): string | undefined {
  const start = head.toLowerCase().indexOf(`\r\n${name}:`)
  if (start < 0) return undefined
  const end = head.indexOf('\r\n', start + 2)
  return head.slice(start + name.length + 3, end < 0 ? undefined : end).trim()
}

/** A chunked body is counted with its frame. */
function getBodySize (status: number, method: string, head: string, rest: Buffer): number | null {
  if (method === 'HEAD' || status === 204 || status === 304) return 0
  const length = LENGTH.exec(head)
  if (length) return Number(length[1])
  if (!CHUNKED.test(head)) return 0
  const last = rest.indexOf('0\r\n\r\n')
  return last < 0 ? null : last + 5
}

const EMPTY = Buffer.alloc(0)
const LENGTH = /\r\ncontent-length: *(\d+)/i
const CHUNKED = /\r\ntransfer-encoding: *chunked/i
const CLOSING = /\r\nconnection: *close/i
