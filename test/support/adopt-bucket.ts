import { ListObjectsV2Command, type S3Client } from '@aws-sdk/client-s3'
import type { Test } from 'tap'
import { adoptBucket, type BucketAdoption } from '../../lib/cli/adopt/bucket.js'
import { runAdopt } from './adopt.js'
import { send, type Begun, type BucketPlace } from './foreign-servers.js'
import { BYTES, TUS } from './http-tus.js'
import { createBucket, createClient, getServer } from './s3/bucket.js'
import { download, makeBytes, sha256 } from './tus-client-bytes.js'

export type Origin = 'tus-server' | 'tusd'
export const MIB = 1024 ** 2
export const CONTENT = makeBytes(2, 13 * MIB)

/** Where another server has its uploads. */
export interface Bucket extends BucketPlace {
  readonly client: S3Client
}

export async function makeBucket (t: Test, prefix: string, flavour: 'aws' | 'ceph' = 'aws'): Promise<Bucket> {
  const server = await getServer(t, flavour)
  const client = createClient(t, server)
  return { ...server, client, bucket: await createBucket(client), prefix }
}

/** Uploads that end in every way, and how many bytes of each can be told to be right. */

export function adopt (from: Origin, { bucket, endpoint, prefix, accessKeyId, secretAccessKey }: Bucket, ...flags: string[]) {
  process.env.AWS_ACCESS_KEY_ID = accessKeyId
  process.env.AWS_SECRET_ACCESS_KEY = secretAccessKey
  return runAdopt('--from', from, '--bucket', bucket, '--endpoint', endpoint, '--prefix', prefix, ...flags)
}

export async function listKeys ({ client, bucket }: Bucket): Promise<string[]> {
  const { Contents = [] } = await client.send(new ListObjectsV2Command({ Bucket: bucket }))
  return Contents.map(({ Key }) => Key!)
}

/** A client finds its upload where it was, and sends the rest. `kept`: bytes that have to be there. */
export async function goOn (t: Test, origin: string, { name, path, content, kept, headers }: Begun & { kept: number }): Promise<void> {
  const url = origin + path
  const { headers: found } = await send(url, 'HEAD', TUS, 200)
  t.equal(found.get('upload-offset'), String(kept), `${name}: the offset`)
  t.equal(found.get('upload-length'), headers['upload-length'], `${name}: the length`)
  if (kept < content.length) await send(url, 'PATCH', { ...TUS, ...BYTES, 'upload-offset': String(kept) }, 204, content.subarray(kept))
  t.equal((await download(url)).sha256, sha256(content), `${name}: the bytes are those that the client sent`)
}

export function createAdoption (from: Origin, { client, bucket, prefix }: Bucket): BucketAdoption {
  return { from, client, bucket, prefix, urlPrefix: '/files', write: true, backup: true, claimable: false }
}

/** How many uploads came to which end. */
export async function runAdoption (adoption: BucketAdoption) {
  const results: Record<string, number> = {}
  for await (const { result } of adoptBucket(adoption)) results[result] = (results[result] ?? 0) + 1
  return results
}
