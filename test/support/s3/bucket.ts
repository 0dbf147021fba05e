import { CreateBucketCommand, S3Client, type S3ClientConfig } from '@aws-sdk/client-s3'

/** Where the tests' S3 is, and who they are there. */
export interface S3Address {
  readonly endpoint: string
  readonly accessKeyId: string
  readonly secretAccessKey: string
}

/** The server that `S3_ENDPOINT` names, with the usual variables of the SDK; `null` without. */
export function getGivenServer (env: NodeJS.ProcessEnv = process.env): S3Address | null {
  const { S3_ENDPOINT, AWS_ACCESS_KEY_ID = 'test', AWS_SECRET_ACCESS_KEY = 'test' } = env
  return S3_ENDPOINT ? { endpoint: S3_ENDPOINT, accessKeyId: AWS_ACCESS_KEY_ID, secretAccessKey: AWS_SECRET_ACCESS_KEY } : null
}

export function createClient ({ endpoint, accessKeyId, secretAccessKey }: S3Address, options: Partial<S3ClientConfig> = {}): S3Client {
  return new S3Client({ endpoint, region: 'us-east-1', forcePathStyle: true, credentials: { accessKeyId, secretAccessKey }, ...options })
}

/** Makes a bucket of a name that nobody has. */
export async function createBucket (client: S3Client): Promise<string> {
  const bucket = `fastify-tus-${Date.now().toString(36)}-${Math.random().toString(36).slice(2, 8)}`
  await client.send(new CreateBucketCommand({ Bucket: bucket }))
  return bucket
}
