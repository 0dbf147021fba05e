import { CreateBucketCommand, ListObjectsV2Command, S3Client } from '@aws-sdk/client-s3'

/** A new bucket on an S3 server, with the credentials of the environment: where the uploads of a run are. */
export async function createBucketPlace (endpoint) {
  const client = new S3Client({ endpoint, region: 'us-east-1', forcePathStyle: true })
  const bucket = `chaos-${Date.now().toString(36)}`
  await client.send(new CreateBucketCommand({ Bucket: bucket }))
  return {
    flags: ['--s3-bucket', bucket, '--s3-endpoint', endpoint, '--s3-part-size', '5MiB'],
    fences: true,
    // What is in the bucket is what GET gives.
    verify: async () => {},
    inspect: async () => inspect(await listKeys(client, bucket)),
    sweep: () => sweep(client, bucket),
    async findRemains (ids) {
      const removed = new Set(ids)
      return (await listKeys(client, bucket)).filter(key => removed.has(key.split('.')[0]))
    }
  }
}

async function listKeys (client, bucket) {
  const keys = []
  for (let token; ;) {
    const { Contents = [], NextContinuationToken } = await client.send(new ListObjectsV2Command({ Bucket: bucket, ContinuationToken: token }))
    keys.push(...Contents.map(({ Key }) => Key))
    if ((token = NextContinuationToken) === undefined) return keys
  }
}

/** As {@link inspectDirectory} does; the bytes of an upload that is going on are in pieces. */
function inspect (keys) {
  const ids = keys.filter(key => key.endsWith('.info')).map(key => key.slice(0, -'.info'.length))
  const known = new Set(ids)
  return {
    ids,
    temporary: keys.filter(key => key.endsWith('.tmp')),
    orphans: keys.filter(key => !key.includes('.tmp') && !key.includes('.waiting/') && !known.has(key.split('.')[0])),
    // A partial upload goes when it expires, which can't be hurried here, and its notes go with it.
    waiting: keys.filter(key => key.includes('.waiting/') && !known.has(key.split('.')[0])),
    own: keys.filter(key => key.endsWith('.claim'))
  }
}

/** One sweep as it would happen some day by itself, when everything is old. */
async function sweep (client, bucket) {
  const { createS3Storage } = await import(new URL('../../../dist/adapters/s3/index.js', import.meta.url).href)
  const storage = createS3Storage({ client, bucket })
  await storage.open()
  try {
    return { tidied: await storage.tidy(new Date(Date.now() + 60_000)), failed: 0 }
  } finally {
    await storage.close()
  }
}
