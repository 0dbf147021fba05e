import type { S3Client, S3ClientConfig } from '@aws-sdk/client-s3'
import { buffer } from 'node:stream/consumers'
import type { Test } from 'tap'
import { createS3Storage, type S3StorageOptions } from '../../../adapters/s3/index.js'
import type { Storage, UploadBody } from '../../../lib/storage.js'
import { createBucket, createClient, getServer } from './bucket.js'
import { S3Proxy } from './proxy.js'

export const MIB = 1024 ** 2

/** A storage as one process has it, and what stands between it and the server. */
export interface Process {
  readonly storage: Storage
  readonly proxy: S3Proxy
}

export interface Machines {
  /** Sees what is in the bucket, past any proxy. */
  readonly client: S3Client
  readonly bucket: string
  readonly prefix: string
  open (options?: Partial<S3StorageOptions>, clientOptions?: Partial<S3ClientConfig>): Promise<Process>
}

/** A bucket that several processes share. Nothing that fails is tried again by the SDK, unless the client's options say so. */
export async function setUp (t: Test, flavour: 'aws' | 'ceph' = 'aws', prefix = 'uploads/'): Promise<Machines> {
  const server = await getServer(t, flavour)
  const client = createClient(t, server)
  const bucket = await createBucket(client)
  return {
    client,
    bucket,
    prefix,
    async open (options = {}, clientOptions = {}) {
      const proxy = await S3Proxy.start(t, server.endpoint)
      const ownClient = createClient(t, { ...server, endpoint: proxy.endpoint }, { maxAttempts: 1, ...clientOptions })
      const storage = createS3Storage({ client: ownClient, bucket, prefix, partSize: 5 * MIB, ...options })
      t.teardown(() => storage.close?.())
      return { storage, proxy }
    }
  }
}

/** A body of these bytes, in batches of at most 1 MiB; it throws `failure` at its end, or waits for `more` there. */
export function makeBody (bytes: Uint8Array, { failure = null, more = Promise.resolve() }: { failure?: Error | null, more?: Promise<void> } = {}): UploadBody {
  let at = 0
  return {
    async next () {
      if (at < bytes.length) {
        at += MIB
        return [bytes.subarray(at - MIB, at)]
      }
      await more
      if (failure !== null) throw failure
      return null
    }
  }
}

export function append (storage: Storage, id: string, offset: number, bytes: Uint8Array | string, keep: 'prefix' | 'all-or-nothing' = 'prefix'): Promise<number> {
  return storage.append(id, { offset, keep, body: makeBody(Buffer.from(bytes)) })
}

export async function readAll (storage: Storage, id: string): Promise<Buffer | null> {
  const upload = await storage.find(id)
  const stream = await storage.read!(id, { start: 0, end: (upload?.offset ?? 0) - 1 })
  return stream && buffer(stream)
}
