import { mkdirSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { findProgram, getLack, getProgramVersion } from './program.mjs'

/**
 * nginx with one worker and WebDAV's PUT, which no interruption can be made up for: what a server in C does with a body.
 *
 * @type {import('./index.mjs').Contestant}
 */
export default {
  name: 'nginx',
  title: 'nginx, PUT',
  does: ['put', 'whole', 'file'],
  getLack: () => getLack('nginx'),
  versions: () => ({ nginx: getProgramVersion('nginx', '-v') }),
  command: (directory, port) => getCommand(directory, port, ''),
  stored: (directory, id) => join(directory, 'files', id)
}

/** How to start nginx with directives of its own in the `http` block. */
export function getCommand (directory, port, directives) {
  mkdirSync(join(directory, 'files'))
  const file = join(directory, 'nginx.conf')
  writeFileSync(file, getConfiguration(directory, port, directives))
  return { program: findProgram('nginx'), args: ['-p', directory, '-c', file, '-e', 'stderr'], url: `http://127.0.0.1:${port}/files/` }
}

function getConfiguration (directory, port, directives) {
  const temporary = ['client_body', 'proxy', 'fastcgi', 'uwsgi', 'scgi'].map(name => `  ${name}_temp_path ${directory}/temporary-${name};`)
  return `daemon off;
${process.getuid() === 0 ? 'user root;' : ''}
worker_processes 1;
pid ${directory}/nginx.pid;
error_log stderr crit;
events { worker_connections 8192; }
http {
  access_log off;
  sendfile on;
  client_max_body_size 0;
  keepalive_requests 1000000;
${temporary.join('\n')}
  ${directives}
  server {
    listen 127.0.0.1:${port};
    root ${directory};
    location /files/ { dav_methods PUT; }
  }
}
`
}
