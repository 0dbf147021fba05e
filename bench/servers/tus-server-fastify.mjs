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
  does: ['whole', 'patches', 'creation', 'head'],
  versions: () => ({ fastify: getVersion('fastify') }),
  async listen (directory) {
    const app = Fastify({ logger: false })
    const tus = new Server({ path: '/files', datastore: new FileStore({ directory }) })
    app.addContentTypeParser('application/offset+octet-stream', (request, payload, done) => done(null))
    const handle = ({ raw }, reply) => { tus.handle(raw, reply.raw).catch(error => app.log.error(error)) }
    app.all('/files', handle)
    app.all('/files/*', handle)
    return `${await app.listen({ host: '127.0.0.1', port: 0 })}/files`
  },
  stored: (directory, id) => join(directory, id)
}
