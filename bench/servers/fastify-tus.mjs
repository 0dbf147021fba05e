import Fastify from 'fastify'
import { readFileSync } from 'node:fs'
import { join } from 'node:path'

const root = new URL('../../', import.meta.url)

/**
 * This project, from `dist/`, as an application would register it, without logging.
 *
 * @type {import('./index.mjs').Contestant}
 */
export default {
  name: 'fastify-tus',
  title: 'fastify-tus, durability fsync',
  does: ['whole', 'patches', 'creation', 'checksum', 'head', 'get', 'range'],
  versions: () => ({ 'fastify-tus': JSON.parse(readFileSync(new URL('package.json', root), 'utf8')).version }),
  listen: directory => listen(directory, { durability: 'fsync' }),
  stored: (directory, id) => join(directory, id)
}

/**
 * @param {string} directory
 * @param {object} options of the storage
 * @returns {Promise<string>}
 */
export async function listen (directory, options) {
  const { default: fastifyTus } = await import(new URL('dist/lib/index.js', root).href)
  const { createFsStorage } = await import(new URL('dist/adapters/fs/index.js', root).href)
  const app = Fastify({ logger: false })
  await app.register(fastifyTus, { prefix: '/files', storage: createFsStorage({ directory, ...options }) })
  return `${await app.listen({ host: '127.0.0.1', port: 0 })}/files`
}
