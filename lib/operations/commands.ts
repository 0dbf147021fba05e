import type { Metadata } from '../upload.js'
import type { Verification } from '../verified-body.js'

/** A request to create an upload, whatever protocol said it. */
export interface CreateCommand {
  /** Declared total, in bytes; `null` if it follows later. */
  readonly length: number | null
  readonly metadata: Metadata
  /** What the protocol has to give back exactly as received. */
  readonly echo: Readonly<Record<string, string>>
  /** The part of `echo` that other metadata would make. */
  readonly echoMetadata: (metadata: Metadata) => Readonly<Record<string, string>>
  /** Meant to become a part of a final upload. */
  readonly partial: boolean
  /** The ids of the partial uploads that it is made of, in their order; `null` if it takes bytes itself. */
  readonly parts: readonly string[] | null
  /** What comes along with the request; `null` if it has no body. */
  readonly body: BodyCommand | null
}

/** A request to append to an upload, whatever protocol said it. */
export interface AppendCommand extends BodyCommand {
  /** Where the client believes the upload to be, in bytes. */
  readonly offset: number
  /** Declared total, in bytes, if the request tells it; `null` if it does not. */
  readonly length: number | null
}

/** The body of a request. */
export interface BodyCommand {
  /** Its size as announced, in bytes; `null` if it is chunked. */
  readonly declared: number | null
  /** How its bytes are to be verified; `null` if nothing was announced. Unverified bytes do not count. */
  readonly verification: Verification | null
}
