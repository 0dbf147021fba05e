import nginx, { getCommand } from './nginx.mjs'

/**
 * The same with buffers that make its writes large.
 *
 * @type {import('./index.mjs').Contestant}
 */
export default {
  ...nginx,
  name: 'nginx-large-buffers',
  title: 'nginx, PUT, buffers of 1 MiB',
  does: ['put', 'whole'],
  command: (directory, port) => getCommand(directory, port, 'client_body_buffer_size 1m;')
}
