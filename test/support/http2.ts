import { once } from 'node:events'
import { connect, type ClientHttp2Session, type ClientHttp2Stream, type IncomingHttpHeaders, type OutgoingHttpHeaders } from 'node:http2'
import { text } from 'node:stream/consumers'
import type { Test } from 'tap'

export interface Http2Answer {
  readonly status: number
  readonly headers: IncomingHttpHeaders
  readonly body: string
}

export interface Talk {
  readonly stream: ClientHttp2Stream
  /** Interim responses, as they come. */
  readonly interim: IncomingHttpHeaders[]
  readonly answer: Promise<Http2Answer>
}

/** A session that the test ends. */
export function openSession (t: Test, port: number): ClientHttp2Session {
  const session = connect(`http://127.0.0.1:${port}`)
  session.on('error', () => {})
  t.teardown(() => { session.destroy() })
  return session
}

/** Opens a stream; without `endStream`, its body follows. */
export function send (session: ClientHttp2Session, method: string, path: string, headers: Record<string, string>, endStream = false): Talk {
  const stream = session.request({ ':method': method, ':path': path, ...headers }, { endStream })
  const interim: IncomingHttpHeaders[] = []
  stream.on('headers', headers => interim.push(headers))
  stream.on('error', () => {})
  const answer = once(stream, 'response').then(async ([headers]) => ({ status: headers[':status'], headers, body: await text(stream) }))
  answer.catch(() => {})
  return { stream, interim, answer }
}

/** One request with a trailer section after its body. */
export async function askTrailing (session: ClientHttp2Session, method: string, path: string, headers: Record<string, string>, body: string, trailers: OutgoingHttpHeaders): Promise<Http2Answer> {
  const stream = session.request({ ':method': method, ':path': path, ...headers }, { waitForTrailers: true })
  stream.on('error', () => {})
  stream.on('wantTrailers', () => stream.sendTrailers(trailers))
  stream.end(body)
  const [answered] = await once(stream, 'response') as [IncomingHttpHeaders]
  return { status: Number(answered[':status']), headers: answered, body: await text(stream) }
}

/** One request. Its body has no length unless the headers have one. */
export async function ask (session: ClientHttp2Session, method: string, path: string, headers: Record<string, string>, body = '') {
  const talk = send(session, method, path, headers, body === '' && !('content-length' in headers))
  if (!talk.stream.writableEnded) talk.stream.end(body)
  return { ...await talk.answer, interim: talk.interim }
}
