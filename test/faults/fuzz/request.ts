export type Header = readonly [name: string, value: string]

/** A request before it is bytes. Whatever stands in it is sent as it is, one byte for each character. */
export interface Request {
  readonly method: string
  readonly path: string
  readonly headers: readonly Header[]
  /** `null` for a request without one: it then has no header that announces one, either. */
  readonly body: Buffer | null
  /** In how many chunks the body goes; 0 for a `Content-Length`. */
  readonly chunks: number
  readonly trailers: readonly Header[]
}

export function makeRequest (method: string, path: string, headers: readonly Header[], body: Buffer | null = null): Request {
  return { method, path, headers: [['Host', 'fuzz.example'], ...headers], body, chunks: 0, trailers: [] }
}

export const TUS: Header = ['Tus-Resumable', '1.0.0']
export const BYTES: Header = ['Content-Type', 'application/offset+octet-stream']

/** @param framing the headers that say where the body ends; default: the right ones */
export function serialize (request: Request, framing = getFraming(request)): Buffer {
  const head = `${request.method} ${request.path} HTTP/1.1\r\n${formatHeaders([...request.headers, ...framing])}\r\n`
  return request.body === null ? Buffer.from(head, 'latin1') : Buffer.concat([Buffer.from(head, 'latin1'), serializeBody(request)])
}

export function serializeBody ({ body, chunks, trailers }: Request): Buffer {
  if (body === null || chunks === 0) return body ?? EMPTY
  const size = Math.max(1, Math.ceil(body.length / chunks))
  const pieces: Buffer[] = []
  for (let at = 0; at < body.length; at += size) {
    const chunk = body.subarray(at, at + size)
    pieces.push(Buffer.from(`${chunk.length.toString(16)}\r\n`), chunk, LINE)
  }
  return Buffer.concat([...pieces, Buffer.from(`0\r\n${formatHeaders(trailers)}\r\n`, 'latin1')])
}

export function getFraming ({ body, chunks, trailers }: Request): readonly Header[] {
  if (body === null) return []
  if (chunks === 0) return [['Content-Length', String(body.length)]]
  const announced: Header[] = trailers.length > 0 ? [['Trailer', trailers.map(([name]) => name).join(', ')]] : []
  return [['Transfer-Encoding', 'chunked'], ...announced]
}

export function getHeader ({ headers }: Request, name: string): string | undefined {
  return headers.find(([known]) => known.toLowerCase() === name.toLowerCase())?.[1]
}

export function withoutHeader (request: Request, name: string): Request {
  return { ...request, headers: request.headers.filter(([known]) => known.toLowerCase() !== name.toLowerCase()) }
}

export function withHeader (request: Request, name: string, value: string): Request {
  const { headers } = withoutHeader(request, name)
  return { ...request, headers: [...headers, [name, value]] }
}

/** Once more, beside those of that name that are there. */
export function addHeader (request: Request, name: string, value: string): Request {
  return { ...request, headers: [...request.headers, [name, value]] }
}

function formatHeaders (headers: readonly Header[]): string {
  let lines = ''
  for (const [name, value] of headers) lines += `${name}: ${value}\r\n`
  return lines
}

const EMPTY = Buffer.alloc(0)
const LINE = Buffer.from('\r\n')
