import type { Metadata, Purpose, Upload } from '../upload.js'
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
  readonly completion: Ending
  /** Digests of the whole that are known or asked for. */
  readonly digests: Purpose['digests']
  /** Whether the client can come back to it. What an interruption leaves of any other is removed. */
  readonly resumable: boolean
  /**
   * What the client is told if the server ends the body early: that the upload is created, with its offset, or an error. A client that meant to send all of it
   * may take any success for that of the whole.
   */
  readonly whenCut: 'created' | 'refused'
}

/** A request to append to an upload, whatever protocol said it. */
export interface AppendCommand extends BodyCommand {
  /** Where the client believes the upload to be, in bytes. */
  readonly offset: number
  /** Declared total, in bytes, if the request tells it; `null` if it does not. */
  readonly length: number | null
  readonly completion: Ending
  /** Whether an upload is complete at its length whatever a request says of its end, because the protocol that created it has it so. */
  readonly isCompleteAtLength: (upload: Pick<Upload, 'echo'>) => boolean
  readonly digests: Purpose['digests']
}

/** A request for the offset of an upload. */
export interface InspectCommand {
  /** Whether its client takes an upload for complete whose offset is its length. */
  readonly isCompleteAtLength: boolean
}

/**
 * What makes an upload complete, as the client says with this request: reaching its length, the orderly end of this body (whose size is
 * unknown, and which has to reach the length if there is one), or nothing yet.
 */
export type Ending = 'at-length' | 'at-end-of-body' | 'never'

/** The body of a request. */
export interface BodyCommand {
  /** Its size as announced, in bytes; `null` if it is chunked. */
  readonly declared: number | null
  /** How its bytes are to be verified; `null` if nothing was announced. Unverified bytes do not count. */
  readonly verification: Verification | null
  /** Looks at what came after the bytes, when all of them are there. Where it throws, nothing of the body counts. */
  readonly checkEnd: () => void
  /** What becomes of the upload if the body goes beyond its length. The body is refused either way. */
  readonly onOverflow: 'keep' | 'remove'
  /** How large an upload without a length may become, in bytes, where a function of the application has decided that for this request. */
  readonly maxSize?: number
}
