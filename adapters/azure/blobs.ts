import type { BlobItem, BlockBlobClient, ContainerClient } from '@azure/storage-blob'
import type { Readable } from 'node:stream'
import { isMissing, throwStorageError } from './failures.js'
import type { BlobOptions } from './options.js'
import { parseState, stringifyState, type State } from './record.js'

/** A block of a blob. */
export interface Block {
  /** In Base64; all of one blob are of one length. */
  readonly id: string
  /** In bytes. */
  readonly size: number
}

/** The bytes of an upload, as Azure has them. */
export interface Data {
  readonly state: State
  readonly etag: string
  /** In bytes. */
  readonly size: number
}

/** Whether a write is meant for no blob, or for the one of that ETag. */
export type Condition = { readonly ifNoneMatch: '*' } | { readonly ifMatch: string }

/** The requests that this storage sends to its container. Errors of the network and of the server are {@link StorageUnavailable}. */
export class Blobs {
  readonly #container: ContainerClient
  readonly #timeout: number

  /** @param timeout of a request with all its tries, in ms; the SDK has none of its own. Those that stream have none here either */
  constructor (container: ContainerClient, timeout: number) {
    this.#container = container
    this.#timeout = timeout
  }

  /** Asks for one name of the container: throws where it is not there, or may not be listed. */
  async check (): Promise<void> {
    await this.#container.listBlobsFlat().byPage({ maxPageSize: 1 }).next().catch(throwStorageError)
  }

  /** Resolves to the ETag. */
  async putText (name: string, text: string, conditions?: Condition): Promise<string> {
    const bytes = Buffer.from(text)
    const blobHTTPHeaders = { blobContentType: 'application/json' }
    return getEtag(this.#at(name).upload(bytes, bytes.length, { blobHTTPHeaders, ...this.#limit(), ...conditions && { conditions } }))
  }

  async getText (name: string): Promise<{ readonly text: string, readonly etag: string } | null> {
    const found = await this.open(name, undefined, undefined, this.#limit())
    if (found === null) return null
    return { text: String(await collect(found.stream)), etag: found.etag }
  }

  /** What is there under the name of an upload's bytes; `null` if it is nothing of this storage. */
  async look (name: string): Promise<Data | null> {
    const found = await this.#at(name).getProperties(this.#limit()).catch(nullIfMissing)
    const state = parseState(found?.metadata?.[STATE])
    return state && { state, etag: found!.etag!, size: found!.contentLength! }
  }

  /** In the order of their bytes; `null` if the blob is not the one of that ETag any more. */
  async getBlocks (name: string, etag: string): Promise<readonly Block[] | null> {
    const found = await this.#at(name).getBlockList('committed', this.#limit()).catch(nullIfMissing)
    if (found?.etag !== etag) return null
    return (found.committedBlocks ?? []).map(({ name, size }) => ({ id: name, size }))
  }

  async stageBlock (name: string, id: string, bytes: Uint8Array): Promise<void> {
    await this.#at(name).stageBlock(id, Buffer.from(bytes.buffer, bytes.byteOffset, bytes.length), bytes.length, this.#limit(bytes.length)).catch(throwStorageError)
  }

  /** Makes these blocks the bytes of the blob. Resolves to the ETag. */
  async commitBlocks (name: string, blocks: readonly Block[], state: State, options: BlobOptions, conditions: Condition): Promise<string> {
    return getEtag(this.#at(name).commitBlockList(blocks.map(({ id }) => id), { ...describe(state, options), ...this.#limit(), conditions }))
  }

  /** Makes these bytes the blob, in one request. Resolves to the ETag. */
  async putBytes (name: string, bytes: Uint8Array, state: State, options: BlobOptions, conditions: Condition): Promise<string> {
    const buffer = Buffer.from(bytes.buffer, bytes.byteOffset, bytes.length)
    return getEtag(this.#at(name).upload(buffer, buffer.length, { ...describe(state, options), ...this.#limit(bytes.length), conditions }))
  }

  /** Leaves the bytes, and the blocks that are on their way, as they are. Resolves to the ETag. */
  async putState (name: string, state: State, options: BlobOptions, conditions: Condition): Promise<string> {
    return getEtag(this.#at(name).setMetadata(describe(state, options).metadata, { ...this.#limit(), conditions }))
  }

  /** The bytes of a blob, or of a range of it; `null` if there is none. @throws an error of 412 if it is not the one of that ETag */
  async open (name: string, range?: { readonly start: number, readonly size: number }, ifMatch?: string, limit = {}): Promise<{ readonly stream: Readable, readonly etag: string } | null> {
    const options = { maxRetryRequests: 3, ...limit, ...ifMatch !== undefined && { conditions: { ifMatch } } }
    const found = await this.#at(name).download(range?.start, range?.size, options).catch(nullIfMissing)
    return found && { stream: found.readableStreamBody as Readable, etag: found.etag! }
  }

  /** Deletes a blob, if it is there and, where an ETag is given, if it is that one. @throws an error of 412 */
  async delete (name: string, ifMatch?: string): Promise<void> {
    await this.#at(name).delete({ deleteSnapshots: 'include', ...this.#limit(), ...ifMatch !== undefined && { conditions: { ifMatch } } }).catch(nullIfMissing)
  }

  /** In the order of their names. */
  async * list (prefix: string): AsyncGenerator<BlobItem[]> {
    const pages = this.#container.listBlobsFlat({ prefix, includeMetadata: true }).byPage()
    try {
      for await (const { segment } of pages) yield segment.blobItems
    } catch (error) {
      throwStorageError(error)
    }
  }

  /** @param bytes that go along */
  #limit (bytes = 0): { readonly abortSignal: AbortSignal } {
    return { abortSignal: AbortSignal.timeout(Math.ceil(this.#timeout + bytes / SLOWEST)) }
  }

  #at (name: string): BlockBlobClient {
    return this.#container.getBlockBlobClient(name)
  }
}

/** What a list tells of the bytes of an upload. */
export function toData ({ metadata, properties }: BlobItem): Data | null {
  const state = parseState(metadata?.[STATE])
  return state && { state, etag: properties.etag, size: properties.contentLength ?? 0 }
}

/** All bytes of a stream that Azure sends. */
export async function collect (stream: Readable): Promise<Buffer> {
  const chunks: Buffer[] = []
  try {
    for await (const chunk of stream) chunks.push(chunk)
  } catch (error) {
    throwStorageError(error)
  }
  return Buffer.concat(chunks)
}

function describe (state: State, { metadata, ...options }: BlobOptions) {
  return { ...options, metadata: { ...metadata, [STATE]: stringifyState(state) } }
}

async function getEtag (writing: Promise<{ readonly etag?: string }>): Promise<string> {
  return (await writing.catch(throwStorageError)).etag!
}

function nullIfMissing (error: unknown): null {
  return isMissing(error) ? null : throwStorageError(error)
}

const STATE = 'fastifytus'
/** In bytes per ms. */
const SLOWEST = 100
