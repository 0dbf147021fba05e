import { createFsStorage } from '../../adapters/fs/index.js'
import type { Storage } from '../storage.js'
import type { AzureFlags, S3Flags, ServeFlags } from './flags.js'

/** What the flags name: a directory, a bucket, or a container of Azure. */
export async function createStorage ({ dir, durability, locks, s3, azure }: ServeFlags): Promise<Storage> {
  if (s3 !== null) return openBucket(s3)
  if (azure !== null) return openContainer(azure)
  return createFsStorage({ directory: dir, durability, locks })
}

/** Credentials come from the AWS SDK's own chain. */
async function openBucket (s3: S3Flags): Promise<Storage> {
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

async function openContainer ({ container, prefix, connectionString }: AzureFlags): Promise<Storage> {
  const [{ BlobServiceClient }, { createAzureStorage }] = await loadAzure()
  const service = BlobServiceClient.fromConnectionString(connectionString, { retryOptions: { maxTries: 4, retryDelayInMs: 500 } })
  return createAzureStorage({ container: service.getContainerClient(container), prefix })
}

function loadS3 () {
  return load('--s3-bucket', '@aws-sdk/client-s3', () => Promise.all([import('@aws-sdk/client-s3'), import('../../adapters/s3/index.js')]))
}

function loadAzure () {
  return load('--azure-container', '@azure/storage-blob', () => Promise.all([import('@azure/storage-blob'), import('../../adapters/azure/index.js')]))
}

async function load<Modules> (flag: string, name: string, work: () => Promise<Modules>): Promise<Modules> {
  try {
    return await work()
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== 'ERR_MODULE_NOT_FOUND') throw error
    throw new Error(`${flag} needs the package ${name}: npm install ${name}`, { cause: error })
  }
}
