import {
  AbortMultipartUploadCommand, CompleteMultipartUploadCommand, CreateMultipartUploadCommand, DeleteObjectCommand, DeleteObjectsCommand,
  GetObjectCommand, HeadObjectCommand, ListMultipartUploadsCommand, ListObjectsV2Command, ListPartsCommand, PutObjectCommand,
  UploadPartCommand, UploadPartCopyCommand, type S3Client
} from '@aws-sdk/client-s3'
import type { Readable } from 'node:stream'
import { trace } from './channel.js'
import { isMissing, isNotModified, throwStorageError } from './failures.js'
import type { ObjectOptions } from './options.js'
import type { Part } from './record.js'

/** What a write demands of what is there: nothing, or exactly this. */
export type Condition = { readonly ifNoneMatch: '*' } | { readonly ifMatch: string } | Record<never, never>

export interface ListedObject {
  readonly key: string
  readonly etag: string
  readonly size: number
  readonly modifiedAt: Date
}

export interface ObjectHead {
  readonly etag: string
  readonly size: number
  readonly metadata: Readonly<Record<string, string>>
}

/**
 * The calls of S3 that this storage makes, each one request. They throw what the SDK throws; `StorageFull` where there is no room, and
 * `StorageUnavailable` where S3 can't be reached, or fails.
 *
 * Not named `Bucket`: TypeScript 7.0 renames every property that has the name of the class around it.
 */
export class S3Bucket {
  readonly #client: Pick<S3Client, 'send'>
  readonly #name: string
  /** How `If-Match` is written: Ceph before 20 takes an ETag only without its quotes. */
  etagStyle: 'quoted' | 'bare' = 'quoted'
  readonly #conditions: 'on' | 'off'

  constructor (client: S3Client, name: string, conditions: 'on' | 'off') {
    this.#client = translate(client)
    this.#name = name
    this.#conditions = conditions
  }

  /** Resolves to the ETag. */
  async put (key: string, body: Uint8Array | string, condition: Condition = {}, options: ObjectOptions = {}): Promise<string> {
    const { ETag } = await this.#client.send(new PutObjectCommand({ ...this.#at(key), ...options, ...this.#on(condition), Body: typeof body === 'string' ? Buffer.from(body) : body }))
    return ETag!
  }

  /** `null` if there is no such object, or it still has that ETag. */
  async get (key: string, ifNoneMatch?: string): Promise<{ bytes: Uint8Array, etag: string } | 'unchanged' | null> {
    try {
      const { Body, ETag } = await this.#client.send(new GetObjectCommand({ ...this.#at(key), ...ifNoneMatch !== undefined && { IfNoneMatch: ifNoneMatch } }))
      return { bytes: await Body!.transformToByteArray().catch(throwStorageError), etag: ETag! }
    } catch (error) {
      if (isNotModified(error)) return 'unchanged'
      return nullIfMissing(error)
    }
  }

  /** The bytes of an object that has that ETag. */
  async open (key: string, etag: string, range: string | null): Promise<Readable | null> {
    try {
      const { Body } = await this.#client.send(new GetObjectCommand({ ...this.#at(key), IfMatch: this.#write(etag), ...range !== null && { Range: range } }))
      return Body as Readable
    } catch (error) {
      return nullIfMissing(error)
    }
  }

  async head (key: string): Promise<ObjectHead | null> {
    try {
      const { ETag, ContentLength, Metadata = {} } = await this.#client.send(new HeadObjectCommand(this.#at(key)))
      return { etag: ETag!, size: ContentLength!, metadata: Metadata }
    } catch (error) {
      return nullIfMissing(error)
    }
  }

  async delete (keys: readonly string[]): Promise<void> {
    if (keys.length === 1) {
      await this.#client.send(new DeleteObjectCommand(this.#at(keys[0]!)))
      return
    }
    for (let at = 0; at < keys.length; at += 1000) {
      const Objects = keys.slice(at, at + 1000).map(Key => ({ Key }))
      const { Errors = [] } = await this.#client.send(new DeleteObjectsCommand({ Bucket: this.#name, Delete: { Objects, Quiet: true } }))
      if (Errors.length > 0) throw new Error(`${Errors.length} objects could not be deleted: ${Errors[0]!.Key}: ${Errors[0]!.Code}`)
    }
  }

  async * list (prefix: string): AsyncGenerator<ListedObject> {
    for (let token: string | undefined, more = true; more;) {
      const page = await this.#client.send(new ListObjectsV2Command({ Bucket: this.#name, Prefix: prefix, ContinuationToken: token }))
      for (const { Key, ETag, Size, LastModified } of page.Contents ?? []) yield { key: Key!, etag: ETag!, size: Size!, modifiedAt: LastModified! }
      token = page.NextContinuationToken
      more = page.IsTruncated === true
    }
  }

  /** Resolves to the id of the new multipart upload. */
  async createMultipart (key: string, options: ObjectOptions): Promise<string> {
    const { UploadId } = await this.#client.send(new CreateMultipartUploadCommand({ ...this.#at(key), ...options }))
    return UploadId!
  }

  async uploadPart (key: string, multipart: string, number: number, body: Uint8Array): Promise<Part> {
    const { ETag } = await this.#client.send(new UploadPartCommand({ ...this.#at(key), UploadId: multipart, PartNumber: number, Body: body }))
    return { number, size: body.length, etag: ETag! }
  }

  async copyPart (key: string, multipart: string, number: number, source: { key: string, etag: string, start: number, end: number }): Promise<Part> {
    const { CopyPartResult } = await this.#client.send(new UploadPartCopyCommand({
      ...this.#at(key),
      UploadId: multipart,
      PartNumber: number,
      CopySource: encodeURI(`${this.#name}/${source.key}`).replaceAll('+', '%2B').replaceAll('?', '%3F').replaceAll('#', '%23'),
      CopySourceRange: `bytes=${source.start}-${source.end}`,
      // Swift refuses the ETag of an object that was made of parts.
      ...this.#conditions === 'on' && { CopySourceIfMatch: this.#write(source.etag) }
    }))
    return { number, size: source.end - source.start + 1, etag: CopyPartResult!.ETag! }
  }

  /** The parts that are there, by number; `null` if there is no such multipart upload. */
  async listParts (key: string, multipart: string): Promise<Part[] | null> {
    const parts: Part[] = []
    try {
      for (let marker: string | undefined, more = true; more;) {
        const page = await this.#client.send(new ListPartsCommand({ ...this.#at(key), UploadId: multipart, PartNumberMarker: marker }))
        for (const { PartNumber, Size, ETag } of page.Parts ?? []) parts.push({ number: PartNumber!, size: Size!, etag: ETag! })
        marker = page.NextPartNumberMarker
        more = page.IsTruncated === true
      }
    } catch (error) {
      return nullIfMissing(error)
    }
    return parts
  }

  /** Resolves to the ETag of the object. */
  async completeMultipart (key: string, multipart: string, parts: readonly Part[], condition: Condition = {}): Promise<string> {
    checkOrder(parts)
    const Parts = parts.map(({ number, etag }) => ({ PartNumber: number, ETag: etag }))
    const input = { ...this.#at(key), ...this.#on(condition), UploadId: multipart, MultipartUpload: { Parts } }
    const { ETag } = await this.#client.send(new CompleteMultipartUploadCommand(input))
    return ETag!
  }

  async abortMultipart (key: string, multipart: string): Promise<void> {
    try {
      await this.#client.send(new AbortMultipartUploadCommand({ ...this.#at(key), UploadId: multipart }))
    } catch (error) {
      nullIfMissing(error)
    }
  }

  async * listMultiparts (prefix: string): AsyncGenerator<{ key: string, multipart: string, createdAt: Date }> {
    for (let KeyMarker: string | undefined, UploadIdMarker: string | undefined, more = true; more;) {
      const page = await this.#client.send(new ListMultipartUploadsCommand({ Bucket: this.#name, Prefix: prefix, KeyMarker, UploadIdMarker }))
      for (const { Key, UploadId, Initiated } of page.Uploads ?? []) yield { key: Key!, multipart: UploadId!, createdAt: Initiated! }
      KeyMarker = page.NextKeyMarker
      UploadIdMarker = page.NextUploadIdMarker
      more = page.IsTruncated === true
    }
  }

  #at (key: string): { Bucket: string, Key: string } {
    return { Bucket: this.#name, Key: key }
  }

  #on (condition: Condition): { IfNoneMatch?: string, IfMatch?: string } {
    if (this.#conditions === 'off') return {}
    if ('ifMatch' in condition) return { IfMatch: this.#write(condition.ifMatch) }
    return 'ifNoneMatch' in condition ? { IfNoneMatch: '*' } : {}
  }

  #write (etag: string): string {
    return this.etagStyle === 'bare' ? etag.replaceAll('"', '') : etag
  }
}

/** Ceph would sort them without a word, and take numbers beyond the limit. */
function checkOrder (parts: readonly Part[]): void {
  let last = 0
  for (const { number } of parts) {
    if (number <= last || number > MOST_PARTS) throw new RangeError(`Part ${number} follows part ${last}`)
    last = number
  }
}

function nullIfMissing (error: unknown): null {
  if (isMissing(error)) return null
  throw error
}

/** The client, whose errors say in the words of the contract what keeps S3 from working. */
function translate (client: S3Client): Pick<S3Client, 'send'> {
  return { send: ((command: never) => trace(command, () => client.send(command)).catch(throwStorageError)) as S3Client['send'] }
}

/** Part numbers go from 1 to this. */
export const MOST_PARTS = 10_000
