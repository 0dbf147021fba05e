import { S3Store } from '@tus/s3-store'
import { Server } from '@tus/server'
import { createServer } from 'node:http'
import { getVersion, listenOnFreePort } from './node.mjs'
import { bucket, clientConfig, partSize } from './s3.mjs'

/**
 * @tus/server with its S3 store.
 *
 * @type {import('./index.mjs').Contestant}
 */
export default {
  name: 'tus-server-s3',
  title: '@tus/server with @tus/s3-store',
  does: ['s3'],
  versions: () => ({ '@tus/s3-store': getVersion('@tus/s3-store') }),
  async listen () {
    const datastore = new S3Store({ partSize, s3ClientConfig: { ...clientConfig, bucket } })
    const tus = new Server({ path: '/files', datastore })
    return `${await listenOnFreePort(createServer((request, response) => tus.handle(request, response)))}/files`
  }
}
