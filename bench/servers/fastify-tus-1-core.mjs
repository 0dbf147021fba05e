import single from './fastify-tus-1-worker.mjs'
import { getLack } from './program.mjs'

/**
 * The same with one process that keeps to one core, its thread pool included.
 *
 * @type {import('./index.mjs').Contestant}
 */
export default {
  ...single,
  name: 'fastify-tus-1-core',
  title: 'fastify-tus serve, on one core',
  getLack: () => getLack('taskset'),
  command: (directory, port) => {
    const { program, args, url } = single.command(directory, port)
    return { program: 'taskset', args: ['-c', '0', program, ...args], url }
  }
}
