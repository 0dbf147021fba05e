import { CreateBucketCommand, S3Client, type S3ClientConfig } from '@aws-sdk/client-s3'
import type { Test } from 'tap'
import { startFakeS3 } from './fake-s3.mjs'

/** Where an S3 server is, and who a test is there. */
export interface S3Address {
  readonly endpoint: string
  readonly accessKeyId: string
  readonly secretAccessKey: string
}

/** The server that `S3_ENDPOINT` names, with the SDK's usual variables for the credentials; the one in memory otherwise. */
export async function getServer (t: Test, flavour: 'aws' | 'ceph' = 'aws'): Promise<S3Address> {
  const { S3_ENDPOINT, AWS_ACCESS_KEY_ID = 'test', AWS_SECRET_ACCESS_KEY = 'test' } = process.env
  if (S3_ENDPOINT) return { endpoint: S3_ENDPOINT, accessKeyId: AWS_ACCESS_KEY_ID, secretAccessKey: AWS_SECRET_ACCESS_KEY }
  const server = await startFakeS3({ flavour })
  t.teardown(() => server.stop())
  return server
}

export function createClient (t: Test, { endpoint, accessKeyId, secretAccessKey }: S3Address, options: Partial<S3ClientConfig> = {}): S3Client {
  const client = new S3Client({ endpoint, region: 'us-east-1', forcePathStyle: true, credentials: { accessKeyId, secretAccessKey }, ...options })
  t.teardown(() => client.destroy())
  return client
}

/** Makes a bucket of a name that nobody has. */
export async function createBucket (client: S3Client): Promise<string> {
  const bucket = `fastify-tus-${Date.now().toString(36)}-${Math.random().toString(36).slice(2, 8)}`
  await client.send(new CreateBucketCommand({ Bucket: bucket }))
  return bucket
}
