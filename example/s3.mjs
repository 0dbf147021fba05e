// Uploads into a bucket, from as many machines as you like. Credentials come from where the AWS SDK finds them.
//
//   S3_BUCKET=… AWS_REGION=… node example/s3.mjs
import { S3Client } from '@aws-sdk/client-s3'
import Fastify from 'fastify'
import tus from 'fastify-tus'
import { createS3Storage } from 'fastify-tus/s3'

const { S3_BUCKET, S3_ENDPOINT, PORT = '1080' } = process.env
if (!S3_BUCKET) throw new Error('S3_BUCKET is missing')

// A server that is not AWS has an endpoint, and its buckets in the path.
const client = new S3Client(S3_ENDPOINT ? { endpoint: S3_ENDPOINT, forcePathStyle: true } : {})
const app = Fastify({ logger: true })
await app.register(tus, { storage: createS3Storage({ client, bucket: S3_BUCKET, prefix: 'uploads/' }) })
app.addHook('onClose', async () => client.destroy())

await app.listen({ port: Number(PORT) })
for (const signal of ['SIGTERM', 'SIGINT']) process.once(signal, () => app.close())
