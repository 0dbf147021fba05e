import { spawn, spawnSync } from 'node:child_process'
import { once } from 'node:events'
import { writeFile } from 'node:fs/promises'
import { connect } from 'node:net'
import { join } from 'node:path'
import type { Test } from 'tap'
import { makeDirectory } from './app.js'
import { until } from './http-tus.js'
import { findPort } from './ports.js'

/** Why a test with a real nginx can't run here; `false` if it can. */
export const noNginx = spawnSync('nginx', ['-v']).error !== undefined && 'nginx is not on the PATH'

/** Lines of a configuration beside those of docs/protocols.md, which are always there. */
export interface NginxLines {
  readonly http?: string
  readonly location?: string
}

/** Starts an nginx in front of the server on port `target`, and resolves to its own port. */
export async function startNginx (t: Test, target: number, { http = '', location = '' }: NginxLines = {}): Promise<number> {
  const directory = await makeDirectory(t)
  const port = await findPort(t)
  await writeFile(join(directory, 'nginx.conf'), `
    daemon off; master_process off; pid nginx.pid; error_log stderr error;
    events { worker_connections 64; }
    http {
      access_log off;
      client_body_temp_path body; proxy_temp_path proxy; fastcgi_temp_path fastcgi; uwsgi_temp_path uwsgi; scgi_temp_path scgi;
      ${http}
      server {
        listen 127.0.0.1:${port};
        location / {
          proxy_pass http://127.0.0.1:${target};
          proxy_http_version 1.1;
          proxy_request_buffering off;
          client_max_body_size 0;
          proxy_set_header Host $http_host;
          proxy_set_header X-Forwarded-Proto $scheme;
          ${location}
        }
      }
    }`)
  const nginx = spawn('nginx', ['-p', directory, '-e', 'stderr', '-c', 'nginx.conf'], { stdio: ['ignore', 'ignore', 'pipe'] })
  let errors = ''
  nginx.stderr.on('data', text => { errors += text })
  t.teardown(async () => {
    if (nginx.exitCode !== null) return
    nginx.kill('SIGKILL')
    await once(nginx, 'exit')
  })
  await until('nginx listens', async () => {
    if (nginx.exitCode !== null) throw new Error(`nginx ended: ${errors}`)
    return isListening(port)
  })
  return port
}

function isListening (port: number): Promise<boolean> {
  return new Promise(resolve => {
    const socket = connect(port, '127.0.0.1', () => {
      socket.destroy()
      resolve(true)
    })
    socket.on('error', () => resolve(false))
  })
}
