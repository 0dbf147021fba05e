import type { S3Client } from '@aws-sdk/client-s3'
import { createFsStorage } from '../../adapters/fs/index.js'
import type { Storage } from '../storage.js'
import type { AzureFlags, S3Flags, ServeFlags } from './flags.js'

/** What the flags name: a directory, a bucket, or a container of Azure. */
export async function createStorage ({ dir, durability, journal, locks, index, s3, azure }: ServeFlags): Promise<Storage> {
  if (s3 !== null) return openBucket(s3)
  if (azure !== null) return openContainer(azure)
  return createFsStorage({ directory: dir, durability, journal, locks, index })
}

async function openBucket (s3: S3Flags): Promise<Storage> {
  const client = await createClient(s3)
  const { createS3Storage } = await import('../../adapters/s3/index.js')
  return createS3Storage({ client, bucket: s3.bucket, prefix: s3.prefix, ...s3.partSize !== null && { partSize: s3.partSize } })
}

async function openContainer ({ container, prefix, connectionString }: AzureFlags): Promise<Storage> {
  const { BlobServiceClient } = await load('@azure/storage-blob', () => import('@azure/storage-blob'))
  const { createAzureStorage } = await import('../../adapters/azure/index.js')
  const service = BlobServiceClient.fromConnectionString(connectionString, { retryOptions: { maxTries: 4, retryDelayInMs: 500 } })
  return createAzureStorage({ container: service.getContainerClient(container), prefix })
}

/**
 * With the credentials that the AWS SDK finds by itself.
 *
 * @throws Error if the SDK is not installed
 */
export async function createClient ({ endpoint, region }: Pick<S3Flags, 'endpoint' | 'region'>): Promise<S3Client> {
  const { S3Client } = await load('@aws-sdk/client-s3', () => import('@aws-sdk/client-s3'))
  return new S3Client({
    // Without, a server that says nothing any more keeps an upload for ever.
    requestHandler: { connectionTimeout: 10_000, socketTimeout: 60_000 },
    ...region !== null && { region },
    // Servers of one's own rarely have a name for each bucket.
    ...endpoint !== null && { endpoint, forcePathStyle: true, region: region ?? process.env.AWS_REGION ?? 'us-east-1' }
  })
}

async function load<Module> (name: string, work: () => Promise<Module>): Promise<Module> {
  try {
    return await work()
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== 'ERR_MODULE_NOT_FOUND') throw error
    throw new Error(`This needs the package ${name}: npm install ${name}`, { cause: error })
  }
}
