import { spawn, spawnSync } from 'node:child_process'
import { once } from 'node:events'
import { writeFile } from 'node:fs/promises'
import { connect } from 'node:net'
import { join } from 'node:path'
import t, { type Test } from 'tap'
import { makeDirectory } from '../support/app.js'
import { makeBytes, until } from '../support/http-tus.js'
import { begin, open, PARTIAL, receiveAll, retrieve, V8 } from '../support/ietf.js'
import { findPort } from '../support/ports.js'
import { ServerProcess } from '../support/server-process.js'
import { download, sha256 } from '../support/tus-client-bytes.js'

// The draft behind a real nginx, set up as docs/protocols.md has it.

const NGINX = spawnSync('nginx', ['-v'], { encoding: 'utf8' })
const skip = NGINX.error !== undefined && 'nginx is not on the PATH'
const CONTENT = makeBytes(3_000_000)

async function startNginx (t: Test, target: number): Promise<number> {
  const directory = await makeDirectory(t)
  const port = await findPort(t)
  await writeFile(join(directory, 'nginx.conf'), `
    daemon off; master_process off; pid nginx.pid; error_log stderr error;
    events { worker_connections 64; }
    http {
      access_log off;
      client_body_temp_path body; proxy_temp_path proxy; fastcgi_temp_path fastcgi; uwsgi_temp_path uwsgi; scgi_temp_path scgi;
      server {
        listen 127.0.0.1:${port};
        location / {
          proxy_pass http://127.0.0.1:${target};
          proxy_http_version 1.1;
          proxy_request_buffering off;
          client_max_body_size 0;
          proxy_set_header Host $http_host;
          proxy_set_header X-Forwarded-Proto $scheme;
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

t.test('behind nginx, an upload whose connections are cut is whole, and what they brought is kept', { skip }, async t => {
  const server = await ServerProcess.start(t)
  const port = await startNginx(t, server.port)
  const path = await begin(t, port, '', { 'upload-length': String(CONTENT.length) })
  let offset = 0
  for (let cut = 0; cut < 6; cut++) {
    const size = Math.min(400_000 + cut, CONTENT.length - offset - 1)
    const headers = { ...PARTIAL, 'upload-offset': String(offset), 'upload-complete': '?1', 'content-length': String(CONTENT.length - offset) }
    const sending = await open(t, port, 'PATCH', path, headers, '')
    await sending.send(CONTENT.subarray(offset, offset + size))
    await server.waitForBytes(path, offset + size)
    if (cut % 2 === 0) sending.reset()
    const answer = await retrieve(t, port, path)
    t.match(answer, { status: 204, headers: { 'upload-offset': String(offset + size), 'upload-complete': '?0' } })
    offset += size
  }
  const last = await open(t, port, 'PATCH', path, { ...PARTIAL, 'upload-offset': String(offset), 'upload-complete': '?1', 'content-length': String(CONTENT.length - offset) }, '')
  await last.send(CONTENT.subarray(offset))
  t.match(await receiveAll(last, 'PATCH'), { status: 201, headers: { 'upload-complete': '?1' } })
  t.strictSame(await download(`http://127.0.0.1:${port}${path}`), { size: CONTENT.length, sha256: sha256(CONTENT) })
})

t.test('behind nginx, a 104 harms no other request, whatever nginx makes of it', { skip }, async t => {
  const server = await ServerProcess.start(t)
  const port = await startNginx(t, server.port)
  const sending = await open(t, port, 'POST', '/files', { ...V8, 'upload-complete': '?1', 'content-length': '11' }, 'hello')
  const first = await sending.receiveAny('POST', 1_000).catch(() => null)
  t.comment(`${NGINX.stderr.trim()}: ${JSON.stringify(first)}`)
  await sending.send(' world')
  const answer = await receiveAll(sending, 'POST').catch(() => null)
  t.comment(JSON.stringify(answer))
  for (let round = 0; round < 3; round++) t.match((await retrieve(t, port, await begin(t, port, 'hello'))).headers, { 'upload-offset': '5' })
})
