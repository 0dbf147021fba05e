import synced, { listen } from './fastify-tus.mjs'

/**
 * This project with `durability: 'none'`, which promises as much as the file store of @tus/server does.
 *
 * @type {import('./index.mjs').Contestant}
 */
export default {
  ...synced,
  name: 'fastify-tus-unsynced',
  title: 'fastify-tus, durability none',
  listen: directory => listen(directory, { durability: 'none' })
}
