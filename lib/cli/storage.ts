import type { S3Client } from '@aws-sdk/client-s3'
import { createFsStorage } from '../../adapters/fs/index.js'
import type { Storage } from '../storage.js'
import type { S3Flags, ServeFlags } from './flags.js'

/** What the flags name: a directory, or a bucket. Credentials come from the AWS SDK's own chain. */
export async function createStorage ({ dir, durability, locks, s3 }: ServeFlags): Promise<Storage> {
  if (s3 === null) return createFsStorage({ directory: dir, durability, locks })
  const client = await createClient(s3)
  const { createS3Storage } = await import('../../adapters/s3/index.js')
  return createS3Storage({ client, bucket: s3.bucket, prefix: s3.prefix, ...s3.partSize !== null && { partSize: s3.partSize } })
}

/** @throws Error if the SDK is not installed */
export async function createClient ({ endpoint, region }: Pick<S3Flags, 'endpoint' | 'region'>): Promise<S3Client> {
  const { S3Client } = await loadSdk()
  return new S3Client({
    // Without, a server that says nothing any more keeps an upload for ever.
    requestHandler: { connectionTimeout: 10_000, socketTimeout: 60_000 },
    ...region !== null && { region },
    // Servers of one's own rarely have a name for each bucket.
    ...endpoint !== null && { endpoint, forcePathStyle: true, region: region ?? process.env.AWS_REGION ?? 'us-east-1' }
  })
}

async function loadSdk () {
  try {
    return await import('@aws-sdk/client-s3')
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== 'ERR_MODULE_NOT_FOUND') throw error
    throw new Error('S3 needs the package @aws-sdk/client-s3: npm install @aws-sdk/client-s3', { cause: error })
  }
}
