import { S3Client } from '@aws-sdk/client-s3'
import Fastify from 'fastify'
import { getVersion } from './node.mjs'
import { bucket, clientConfig } from './s3.mjs'

const dist = new URL('../../dist/', import.meta.url)

/**
 * This project on S3.
 *
 * @type {import('./index.mjs').Contestant}
 */
export default {
  name: 'fastify-tus-s3',
  title: 'fastify-tus on S3',
  does: ['s3', 'sink'],
  versions: () => ({ '@aws-sdk/client-s3': getVersion('@aws-sdk/client-s3') }),
  async listen () {
    const { default: fastifyTus } = await import(new URL('lib/index.js', dist).href)
    const { createS3Storage } = await import(new URL('adapters/s3/index.js', dist).href)
    const app = Fastify({ logger: false })
    const storage = createS3Storage({ client: new S3Client(clientConfig), bucket, prefix: 'fastify-tus/' })
    await app.register(fastifyTus, { prefix: '/files', storage })
    return `${await app.listen({ host: '127.0.0.1', port: 0 })}/files`
  }
}
