import { FileStore } from '@tus/file-store'
import { Server } from '@tus/server'
import Fastify from 'fastify'
import { join } from 'node:path'
import { getVersion } from './node.mjs'

/**
 * @tus/server inside Fastify, as "Example: integrate tus into Fastify" of its README shows it, but without logging.
 *
 * @type {import('./index.mjs').Contestant}
 */
export default {
  name: 'tus-server-fastify',
  title: '@tus/server in Fastify',
  versions: () => ({ fastify: getVersion('fastify') }),
  async listen (directory) {
    const app = Fastify({ logger: false })
    const tus = new Server({ path: '/files', datastore: new FileStore({ directory }) })
    app.addContentTypeParser('application/offset+octet-stream', (request, payload, done) => done(null))
    app.all('/files', (request, reply) => { tus.handle(request.raw, reply.raw) })
    app.all('/files/*', (request, reply) => { tus.handle(request.raw, reply.raw) })
    return `${await app.listen({ host: '127.0.0.1', port: 0 })}/files`
  },
  stored: (directory, id) => join(directory, id)
}
