import { setTimeout as pause } from 'node:timers/promises'
import type { DetailedError, Upload, UploadOptions } from 'tus-js-client'
import { describe, getDelay, isLost, isPassing, SendError } from './failures.js'
import type { UploadFlags } from './flags.js'
import { createHttpStack } from './http-stack.js'
import type { Source } from './source.js'

/** What hears how a file gets on. */
export interface Listener {
  /** The server has `offset` bytes. */
  acknowledged (offset: number): void
  /** `sent` bytes are there or on their way. */
  progressed (sent: number): void
  /** It is tried again in `delay` ms. */
  failed (reason: string, delay: number): void
}

/**
 * Sends one file from where the server has it, as often as it takes, and resolves to its URL.
 *
 * An upload that was begun goes on, and a new one is begun only where the server says that it is gone: tus-js-client by itself would do that whenever a server fails.
 *
 * @throws SendError, or the reason of the signal
 */
export async function send (source: Source, flags: UploadFlags, listener: Listener, signal: AbortSignal): Promise<string> {
  let known = 0
  let attempts = 0
  const heard: Listener = {
    ...listener,
    acknowledged (offset) {
      if (offset > known) attempts = 0
      known = offset
      listener.acknowledged(offset)
    }
  }
  let upload = await createUpload(source, flags, heard)
  for (;;) {
    try {
      return await run(upload, heard, signal)
    } catch (caught) {
      signal.throwIfAborted()
      const error = getOwn(caught)
      const place = upload.url ?? upload.options.uploadUrl ?? null
      if (place !== null && isLost(error) && source.size !== null) {
        source.forget()
        upload = await createUpload(source, flags, heard)
        known = 0
      } else {
        const passing = isPassing(error, place)
        if (!passing || attempts >= flags.retries) throw new SendError(describe(error), passing ? 'passing' : 'final')
        const delay = getDelay(error, attempts++)
        listener.failed(describe(error), delay)
        await pause(delay, undefined, { signal })
      }
    }
  }
}

async function createUpload (source: Source, flags: UploadFlags, listener: Listener): Promise<Upload> {
  const { Upload } = await import('tus-js-client')
  const place = source.findPlace()
  const options: UploadOptions = {
    // As long as it has one, tus-js-client creates another upload for whatever a server answers.
    endpoint: place === null ? flags.to : null,
    uploadUrl: place,
    uploadSize: source.size,
    uploadLengthDeferred: source.size === null,
    chunkSize: flags.chunkSize ?? (source.size === null ? STREAM_CHUNK : Infinity),
    metadata: { ...source.metadata, ...flags.metadata },
    headers: { ...flags.headers },
    httpStack: await createHttpStack(flags.stallTimeout),
    retryDelays: null,
    storeFingerprintForResuming: false,
    onUploadUrlAvailable () {
      upload.options.endpoint = null
      if (place === null) source.note(upload.url!)
    },
    onAfterResponse (request, response) {
      const offset = Number.parseInt(response.getHeader('Upload-Offset') ?? '', 10)
      if (response.getStatus() < 300 && offset >= 0) listener.acknowledged(offset)
      // Of a file that became shorter, tus-js-client would send the rest for ever.
      if (request.getMethod() === 'PATCH') source.check()
    }
  }
  const upload = new Upload(source.open(), options)
  return upload
}

/** One attempt. */
function run (upload: Upload, listener: Listener, signal: AbortSignal): Promise<string> {
  return new Promise((resolve, reject) => {
    const stop = () => {
      upload.abort().catch(() => {})
      reject(signal.reason)
    }
    const settle = () => signal.removeEventListener('abort', stop)
    signal.addEventListener('abort', stop)
    Object.assign(upload.options, {
      onProgress: (sent: number) => listener.progressed(sent),
      onSuccess () {
        settle()
        resolve(upload.url!)
      },
      onError (error: Error) {
        settle()
        reject(error)
      }
    })
    upload.start()
  })
}

/** An error of ours that came up within a request. */
function getOwn (error: unknown): unknown {
  const cause = (error as Partial<DetailedError>).causingError
  if (cause instanceof SendError) throw cause
  return error
}

/** What of standard input is kept in memory, so that it can be sent again, in bytes. */
const STREAM_CHUNK = 8 * 1024 ** 2
