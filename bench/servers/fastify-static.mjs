import fastifyStatic from '@fastify/static'
import Fastify from 'fastify'
import { mkdirSync } from 'node:fs'
import { join } from 'node:path'
import { getVersion } from './node.mjs'

/**
 * Fastify's plugin for files that lie there.
 *
 * @type {import('./index.mjs').Contestant}
 */
export default {
  name: 'fastify-static',
  title: '@fastify/static',
  does: ['file'],
  versions: () => ({ '@fastify/static': getVersion('@fastify/static') }),
  async listen (directory) {
    const root = join(directory, 'files')
    mkdirSync(root)
    const app = Fastify({ logger: false })
    await app.register(fastifyStatic, { root, prefix: '/files/' })
    return `${await app.listen({ host: '127.0.0.1', port: 0 })}/files/`
  },
  stored: (directory, id) => join(directory, 'files', id)
}
