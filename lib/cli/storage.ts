import { createFsStorage } from '../../adapters/fs/index.js'
import type { Storage } from '../storage.js'
import type { ServeFlags } from './flags.js'

/** What the flags name: a directory, or a bucket. Credentials come from the AWS SDK's own chain. */
export async function createStorage ({ dir, durability, locks, s3 }: ServeFlags): Promise<Storage> {
  if (s3 === null) return createFsStorage({ directory: dir, durability, locks })
  const [{ S3Client }, { createS3Storage }] = await loadS3()
  const client = new S3Client({
    // Without, a server that says nothing any more keeps an upload for ever.
    requestHandler: { connectionTimeout: 10_000, socketTimeout: 60_000 },
    ...s3.region !== null && { region: s3.region },
    // Servers of one's own rarely have a name for each bucket.
    ...s3.endpoint !== null && { endpoint: s3.endpoint, forcePathStyle: true, region: s3.region ?? process.env.AWS_REGION ?? 'us-east-1' }
  })
  return createS3Storage({ client, bucket: s3.bucket, prefix: s3.prefix, ...s3.partSize !== null && { partSize: s3.partSize } })
}

async function loadS3 () {
  try {
    return await Promise.all([import('@aws-sdk/client-s3'), import('../../adapters/s3/index.js')])
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== 'ERR_MODULE_NOT_FOUND') throw error
    throw new Error('--s3-bucket needs the package @aws-sdk/client-s3: npm install @aws-sdk/client-s3', { cause: error })
  }
}
