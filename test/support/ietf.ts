import type { Test } from 'tap'
import { formatHead, openRaw, type RawClient, type RawResponse } from './raw-socket.js'
import { DEADLINE } from './waiting.js'

export type Headers = Readonly<Record<string, string>>

export interface IetfAnswer extends Omit<RawResponse, 'interim'> {
  /** The interim responses before it, in their order. */
  readonly interim: ReadonlyArray<Omit<RawResponse, 'interim'>>
}

/** What a client of interop version 8 says of itself. */
export const V8 = { 'upload-draft-interop-version': '8' }
export const PARTIAL = { 'content-type': 'application/partial-upload' }

/** The next final response, with everything before it as the bytes of the connection have it. */
export async function receiveAll (client: RawClient, method = 'POST', deadline = DEADLINE): Promise<IetfAnswer | null> {
  const interim: Array<Omit<RawResponse, 'interim'>> = []
  for (;;) {
    const response = await client.receiveAny(method, deadline)
    if (response === null) return null
    if (response.status >= 200) return { ...response, interim }
    interim.push(response)
  }
}

/** One request on a connection of its own. A body is sent with its length, unless the headers say that it is chunked. */
export async function ask (t: Test, port: number, method: string, path: string, headers: Headers = {}, body: string | null = null): Promise<IetfAnswer> {
  const client = openRaw(t, port)
  const chunked = headers['transfer-encoding'] !== undefined
  const length: Headers = chunked || headers['content-length'] !== undefined || body === null ? {} : { 'content-length': String(body.length) }
  const sent = chunked ? `${body ? `${body.length.toString(16)}\r\n${body}\r\n` : ''}0\r\n\r\n` : body ?? ''
  await client.send(formatHead(method, path, { ...headers, ...length }) + sent)
  const answer = await receiveAll(client, method)
  client.socket.destroy()
  if (answer === null) throw new Error(`No answer to ${method} ${path}`)
  return answer
}

/** The path of the upload that a response names. */
export function getPath ({ headers }: Pick<RawResponse, 'headers'>): string {
  const { pathname, search } = new URL(headers.location!)
  return pathname + search
}

/** Creates an upload that goes on, and resolves to its path. */
export async function begin (t: Test, port: number, body = '', headers: Headers = {}, path = '/files'): Promise<string> {
  return getPath(await ask(t, port, 'POST', path, { 'upload-complete': '?0', ...headers }, body))
}

export function append (t: Test, port: number, path: string, offset: number, body: string, complete: '?0' | '?1', headers: Headers = {}): Promise<IetfAnswer> {
  return ask(t, port, 'PATCH', path, { ...PARTIAL, 'upload-offset': String(offset), 'upload-complete': complete, ...headers }, body)
}

/** Where an upload is, as a client of the draft asks; without its headers, plain HTTP asks. */
export function retrieve (t: Test, port: number, path: string, headers: Headers = V8): Promise<IetfAnswer> {
  return ask(t, port, 'HEAD', path, headers)
}

/** Opens a request whose body has only begun. */
export async function open (t: Test, port: number, method: string, path: string, headers: Headers, begun: string): Promise<RawClient> {
  const client = openRaw(t, port)
  await client.send(formatHead(method, path, headers) + begun)
  return client
}
