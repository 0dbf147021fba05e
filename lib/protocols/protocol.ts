import type { IncomingHttpHeaders } from 'node:http'
import type { ChecksumAlgorithm } from '../checksum.js'
import type { AppendCommand, CreateCommand, InspectCommand } from '../operations/commands.js'
import type { Extension } from '../extensions.js'
import type { KeptAnswer, Upload } from '../upload.js'

/** What goes back to the client. */
export interface Answer {
  readonly status: number
  readonly headers: Readonly<Record<string, string>>
  readonly body?: string | Buffer
}

/** The part of a request that a protocol reads. */
export interface Message {
  /** The method that the request line names. */
  readonly method: string
  readonly headers: IncomingHttpHeaders
  /** The trailers, once the body has ended. */
  readonly getTrailers: () => NodeJS.Dict<string>
  /** The id that a URL of this server names, absolute or relative; `null` if it names none. */
  readonly getIdOf: (url: string) => string | null | Promise<string | null>
  /** The body that the request has, as far as its head tells. */
  readonly getContent: () => Content
  /** Whether a body of unknown size brings no byte. Waits for it, and loses what comes: for a body that would be refused. */
  readonly isEmpty: () => Promise<boolean>
}

export interface Content {
  readonly present: boolean
  /** In bytes; `null` if only its end tells. */
  readonly declared: number | null
}

/** What a protocol tells about this server. */
export interface Offer {
  readonly extensions: ReadonlySet<Extension>
  /** The largest upload, in bytes; `null` is no known limit. */
  readonly maxSize: number | null
  /** The largest body of one request, in bytes; `null` is no limit. */
  readonly maxAppendSize: number | null
  /** How long an upload stays after its last byte while it is incomplete, in ms; `null` is for ever. */
  readonly lifetime: number | null
  readonly checksumAlgorithms: readonly ChecksumAlgorithm[]
  /** The longest metadata header, in bytes. */
  readonly maxMetadataSize: number
}

/** An upload, and what the server's rules say of it. */
export interface Described {
  readonly upload: Upload
  /** When it expires; `null` if it does not. */
  readonly expiry: Date | null
  readonly offer: Offer
  /** Where the upload is. */
  readonly locate: () => string
}

/** What is known of a request that is refused. */
export interface Refused {
  readonly message: Message
  readonly offer: Offer
  /** The upload that it was about; `null` where there is none. */
  readonly upload: Upload | null
  readonly expiry: Date | null
  /** It is the application that refused. */
  readonly byApplication: boolean
}

/** What goes to the client ahead of the answer. */
export interface Interim {
  readonly status: number
  readonly reason: string
  readonly headers: Readonly<Record<string, string>>
}

/** The words of one protocol: requests into commands, results into answers. No rule of what is done lives here. */
export interface Protocol {
  readonly name: string
  /** The method that counts, which need not be the one of the request line. */
  getMethod(message: Message): string
  /** @throws TusError if the client can't be served in this protocol */
  checkVersion(method: string, message: Message): void
  /** @throws TusError */
  decodeCreate(message: Message, offer: Offer): CreateCommand | Promise<CreateCommand>
  /** @throws TusError */
  decodeAppend(message: Message, offer: Offer): AppendCommand
  /** What a request for the offset asks, beside that. */
  readonly inspection: InspectCommand
  encodeOffer(offer: Offer): Answer
  encodeCreated(upload: Described, received: boolean): Answer
  encodeAppended(upload: Described): Answer
  /** Whether the answer to the append that completes an upload says where that is. */
  readonly locatesCompleted: boolean
  /** Whether a client that knows its upload resumes after a dropped connection, and may give up after an error. */
  readonly resumesAfterDrop: boolean
  encodeInspected(upload: Described): Answer
  encodeTerminated(): Answer
  /** What the protocol adds to the answer of the application for one of its requests, which `status` and `headers` are. */
  encodeAnswered(upload: Described, answer: Pick<KeptAnswer, 'status' | 'headers'>): Answer
  /** The status and the headers of an error; a body is for applications that have no error handler of their own. Status 0 leaves it as it is. */
  encodeError(error: unknown, refused: Refused): Answer & { readonly body?: string }
  /** Tells early where a new upload is. A protocol without it has no interim responses. */
  readonly encodeAnnounced?: (upload: Described) => Interim | null
  /** Tells which offset is durable. A protocol without it announces at most. */
  readonly encodeProgress?: (offset: number) => Interim
  /** Headers that every response carries, whoever made it. */
  readonly headers: Readonly<Record<string, string>>
}
