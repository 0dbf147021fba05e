import { S3Client } from '@aws-sdk/client-s3'
import { Upload } from '@aws-sdk/lib-storage'
import { createServer } from 'node:http'
import { getVersion, listenOnFreePort } from './node.mjs'
import { bucket, clientConfig, partSize } from './s3.mjs'

/**
 * Each body into an object by the SDK's own `Upload`, on plain `node:http`; it knows nothing of what came before.
 *
 * @type {import('./index.mjs').Contestant}
 */
export default {
  name: 'lib-storage',
  title: 'http and @aws-sdk/lib-storage',
  does: ['s3', 'sink'],
  versions: () => ({ '@aws-sdk/lib-storage': getVersion('@aws-sdk/lib-storage') }),
  async listen () {
    const client = new S3Client(clientConfig)
    let count = 0
    const server = createServer(async (request, response) => {
      const size = Number(request.headers['content-length'])
      if (request.method === 'POST') return response.writeHead(201, { Location: `/files/${++count}`, 'Upload-Offset': 0, 'Content-Length': 0 }).end()
      await new Upload({ client, partSize, queueSize: 4, params: { Bucket: bucket, Key: `lib-storage${request.url}`, Body: request } }).done()
      response.writeHead(204, { 'Upload-Offset': size }).end()
    })
    return `${await listenOnFreePort(server)}/files`
  }
}
