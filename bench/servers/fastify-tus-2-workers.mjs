import single, { getCommand } from './fastify-tus-1-worker.mjs'

/**
 * The same with two.
 *
 * @type {import('./index.mjs').Contestant}
 */
export default {
  ...single,
  name: 'fastify-tus-2-workers',
  title: 'fastify-tus serve --workers 2',
  command: (directory, port) => getCommand(directory, port, 2)
}
