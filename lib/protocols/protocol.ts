import type { IncomingHttpHeaders } from 'node:http'
import type { ChecksumAlgorithm } from '../checksum.js'
import type { AppendCommand, CreateCommand } from '../operations/commands.js'
import type { Extension } from '../extensions.js'
import type { Upload } from '../upload.js'

/** What goes back to the client. */
export interface Answer {
  readonly status: number
  readonly headers: Readonly<Record<string, string>>
  readonly body?: string
}

/** The part of a request that a protocol reads. */
export interface Message {
  /** The method that the request line names. */
  readonly method: string
  readonly headers: IncomingHttpHeaders
  /** The trailers, once the body has ended. */
  readonly getTrailers: () => NodeJS.Dict<string>
  /** The id that a URL of this server names, absolute or relative; `null` if it names none. */
  readonly getIdOf: (url: string) => string | null
}

/** What a protocol tells about this server. */
export interface Offer {
  readonly extensions: ReadonlySet<Extension>
  /** The largest upload, in bytes; `null` is no known limit. */
  readonly maxSize: number | null
  readonly checksumAlgorithms: readonly ChecksumAlgorithm[]
  /** The longest metadata header, in bytes. */
  readonly maxMetadataSize: number
}

/** An upload, and what the server's rules say of it. */
export interface Described {
  readonly upload: Upload
  /** When it expires; `null` if it does not. */
  readonly expiry: Date | null
}

/** The words of one protocol: requests into commands, results into answers. No rule of what is done lives here. */
export interface Protocol {
  readonly name: string
  /** The method that counts, which need not be the one of the request line. */
  getMethod(message: Message): string
  /** @throws TusError if the client can't be served in this protocol */
  checkVersion(method: string, message: Message): void
  /** @throws TusError */
  decodeCreate(message: Message, offer: Offer): CreateCommand
  /** @throws TusError */
  decodeAppend(message: Message, offer: Offer): AppendCommand
  encodeOffer(offer: Offer): Answer
  encodeCreated(upload: Described, location: string, received: boolean): Answer
  encodeAppended(upload: Described): Answer
  encodeInspected(upload: Described): Answer
  encodeTerminated(): Answer
  /** The status and the headers of an error; what the body says is left to the error handler of the application. */
  encodeError(error: unknown, offer: Offer, expiry: Date | null): Answer
  /** Headers that every response carries, whoever made it. */
  readonly headers: Readonly<Record<string, string>>
}
