import { createRequire } from 'node:module'
import type { HttpRequest, HttpResponse } from 'tus-js-client'

/** The part of tus-js-client that both of its versions have in common. */
export interface Library {
  readonly Upload: new (input: never, options: object) => { start (): void, abort (): Promise<void>, readonly url: string | null }
}

/** A version of tus-js-client; `null` if it is not installed under that name. */
export async function loadClient (name: string): Promise<Library | null> {
  try {
    createRequire(import.meta.url).resolve(name)
  } catch {
    return null
  }
  return import(name)
}

/** What a client saw while it uploaded one file. */
export class Journal {
  /** The URL of the upload; `null` until the client knows it. */
  url: string | null = null
  /** How many uploads the client created, as far as it was told. */
  created = 0
  /** The last offset that the server acknowledged. */
  offset = 0
  /** Where an acknowledged offset was less than one before. */
  readonly decreases: string[] = []
  /** How many offsets were acknowledged. */
  acknowledgements = 0
  /** How long the `HEAD`s took that were answered, in ms. */
  readonly heads: number[] = []
  /** What made the client try again, and how often. */
  readonly failures: Record<string, number> = {}
  #last = 'nothing'

  /** What was going on lately, for the message of a test that failed. */
  toString (): string {
    return `last: ${this.#last}; offset ${this.offset}; created ${this.created}; failures ${JSON.stringify(this.failures)}`
  }

  sent (method: string): void {
    this.#last = `${method} sent`
  }

  answered (method: string, url: string, response: HttpResponse, took: number): void {
    this.#last = `${method} answered ${response.getStatus()}`
    const location = response.getHeader('Location')
    // The end of an upload may be told in the same words as its beginning.
    if (response.getStatus() === 201 && location !== undefined && location !== this.url) {
      this.created++
      this.url = location
      this.offset = 0
    } else if (url !== this.url) return
    if (method === 'HEAD') this.heads.push(took)
    const offset = response.getHeader('Upload-Offset')
    if (offset !== undefined) this.learnt(Number(offset), this.offset, `${method} ${response.getStatus()}`)
  }

  /** An offset that somebody else asked for, who knew of `before` bytes when he asked. */
  learnt (offset: number, before: number, by: string): void {
    if (offset < before) this.decreases.push(`${by}: ${before} → ${offset}`)
    this.acknowledgements++
    this.offset = Math.max(this.offset, offset)
  }

  failed ({ message, originalRequest, originalResponse }: ClientError): void {
    const kind = `${originalRequest?.getMethod()} ${originalResponse?.getStatus() ?? /ECONN\w+|EPIPE|socket hang up/.exec(message)?.[0] ?? message}`
    this.failures[kind] = (this.failures[kind] ?? 0) + 1
  }
}

interface ClientError extends Error {
  readonly originalRequest?: HttpRequest
  readonly originalResponse?: HttpResponse | null
}

export interface UploadRun {
  readonly library: Library
  /** What tus-js-client takes as a file. */
  readonly input: unknown
  /** Where to create it. */
  readonly endpoint: string
  /** Options of tus-js-client. */
  readonly options?: object
  /** What is learnt on the way. */
  readonly journal?: Journal
  /** In ms; then it fails. */
  readonly deadline?: number
}

/** Uploads a file with a stock client that tries again soon and often; resolves when the client says that it is done. */
export async function upload ({ library, input, endpoint, options = {}, journal = new Journal(), deadline = 400_000 }: UploadRun): Promise<Journal> {
  const starts = new WeakMap<object, number>()
  await new Promise<void>((resolve, reject) => {
    const timer = setTimeout(() => {
      client.abort().catch(() => {})
      reject(new Error(`The upload was not done within ${deadline} ms; ${journal}`))
    }, deadline)
    const settle = (error: Error | null) => {
      clearTimeout(timer)
      if (error) reject(Object.assign(error, { message: `${error.message}; ${journal}` }))
      else resolve()
    }
    const client = new library.Upload(input as never, {
      endpoint,
      retryDelays: RETRY_DELAYS,
      onBeforeRequest (request: HttpRequest) {
        starts.set(request, performance.now())
        journal.sent(request.getMethod())
      },
      onAfterResponse (request: HttpRequest, response: HttpResponse) {
        journal.answered(request.getMethod(), request.getURL(), response, performance.now() - starts.get(request)!)
      },
      onShouldRetry (error: ClientError) {
        journal.failed(error)
        // What tus-js-client decides by itself.
        const status = error.originalResponse?.getStatus() ?? 0
        return status < 400 || status >= 500 || status === 409 || status === 423
      },
      onSuccess: () => settle(null),
      onError: settle,
      ...options
    })
    client.start()
  })
  return journal
}

/** Soon and often: a server that starts again takes half a second, on a busy machine longer. */
const RETRY_DELAYS = [0, ...Array(400).fill(50)]
