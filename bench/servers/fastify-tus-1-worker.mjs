import { join } from 'node:path'
import { fileURLToPath } from 'node:url'

/**
 * The command line of this project with one process.
 *
 * @type {import('./index.mjs').Contestant}
 */
export default {
  name: 'fastify-tus-1-worker',
  title: 'fastify-tus serve',
  does: ['workers'],
  command: (directory, port) => getCommand(directory, port, 1),
  stored: (directory, id) => join(directory, id)
}

/** How to start `fastify-tus serve` with some processes. */
export function getCommand (directory, port, workers) {
  const main = fileURLToPath(new URL('../../dist/lib/cli/main.js', import.meta.url))
  return {
    program: process.execPath,
    args: [main, 'serve', '--port', String(port), '--dir', directory, '--workers', String(workers), '--log-level', 'error'],
    url: `http://127.0.0.1:${port}/files`
  }
}
