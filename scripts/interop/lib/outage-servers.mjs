import { CreateBucketCommand, ListObjectsV2Command, S3Client } from '@aws-sdk/client-s3'
import Fastify from 'fastify'
import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { existsSync, readFileSync } from 'node:fs'
import { mkdir, readdir, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { setTimeout as pause } from 'node:timers/promises'
import { createFsStorage } from '../../../dist/adapters/fs/index.js'
import fastifyTus from '../../../dist/lib/index.js'
import { startFakeS3 } from '../../../test/support/s3/fake-s3.mjs'
import { startProxy } from './proxy.mjs'
import { startServer } from './try.mjs'

// Each resolves to `{ port, direct, list(), close() }`: the port for clients, that of the server itself, and the ids of
// the uploads it has; and to what its outage needs.

/** `serve` in two processes, on a directory. */
export async function startWorkers (directory) {
  const server = await startServer(['--workers', '2', '--dir', directory])
  return { ...server, direct: server.port, list: () => listDirectory(directory) }
}

/** `serve` on S3, with a gate before it. */
export async function startOnS3 () {
  const s3 = await startFakeS3()
  const { accessKeyId, secretAccessKey } = s3
  const gate = await startProxy(new URL(s3.endpoint).port)
  const credentials = { accessKeyId, secretAccessKey }
  const client = new S3Client({ endpoint: s3.endpoint, region: 'us-east-1', forcePathStyle: true, credentials })
  await client.send(new CreateBucketCommand({ Bucket: 'uploads' }))
  const flags = ['--s3-bucket', 'uploads', '--s3-endpoint', `http://127.0.0.1:${gate.port}`, '--s3-part-size', '5MiB']
  const server = await startServer(flags, { AWS_ACCESS_KEY_ID: accessKeyId, AWS_SECRET_ACCESS_KEY: secretAccessKey })
  return { port: server.port, direct: server.port, gate, list, close }

  async function list () {
    const { Contents = [] } = await client.send(new ListObjectsV2Command({ Bucket: 'uploads' }))
    return Contents.flatMap(({ Key }) => Key.endsWith('.info') ? [Key.slice(0, -'.info'.length)] : [])
  }

  async function close () {
    await server.close()
    gate.close()
    client.destroy()
    await s3.stop()
  }
}

/** An application that waits half a second for an upload that is in use. `hold` takes all uploads for so many ms. */
export async function startLocked (directory) {
  const storage = createFsStorage({ directory })
  const server = await startApp(directory, { storage, lockTimeout: 500 })
  return { ...server, hold }

  async function hold (duration) {
    for (const id of await server.list()) storage.locker.withLock(id, 10_000, () => pause(duration))
  }
}

/** Without what makes HEAD 423 while the application is away. */
export function startBehindPlainNginx (directory) {
  return startBehindNginx(directory, configuration => configuration.replace(/error_page .*/, ''))
}

/** An application behind nginx, which gives up on it after a second, with a gate between the two. */
export async function startBehindNginx (directory, change = configuration => configuration) {
  const server = await startApp(directory, { storage: createFsStorage({ directory }), interimResponses: false })
  const gate = await startProxy(server.port)
  const nginx = await startNginx(`${directory}-nginx`, gate.port, change)
  return { ...server, port: nginx.port, gate, close }

  async function close () {
    await nginx.close()
    gate.close()
    await server.close()
  }
}

async function startApp (directory, options) {
  const app = Fastify({ trustProxy: '127.0.0.1' })
  await app.register(fastifyTus, options)
  await app.listen({ host: '127.0.0.1', port: 0 })
  const { port } = app.server.address()
  return { port, direct: port, list: () => listDirectory(directory), close: () => app.close() }
}

/** With example/nginx.conf, and short timeouts. */
async function startNginx (home, target, change) {
  await mkdir(home)
  const path = join(home, 'socket')
  const example = readFileSync(new URL('../../../example/nginx.conf', import.meta.url), 'utf8')
  const configuration = example.replace('listen 8080', `listen unix:${path}`).replace(':1080', `:${target}`)
  await writeFile(join(home, 'nginx.conf'), change(configuration.replace('http {', HTTP)))
  const globals = `daemon off; master_process off; pid ${home}/nginx.pid;`
  const child = spawn('nginx', ['-p', home, '-e', 'stderr', '-c', 'nginx.conf', '-g', globals], { stdio: 'ignore' })
  const exited = once(child, 'exit')
  while (!existsSync(path)) {
    if (child.exitCode !== null) throw new Error('nginx could not start')
    await pause(20)
  }
  return { port: path, async close () { child.kill('SIGKILL'); await exited } }
}

async function listDirectory (directory) {
  const names = await readdir(directory)
  return names.flatMap(name => name.endsWith('.json') ? [name.slice(0, -'.json'.length)] : [])
}

const FOLDERS = ['client_body', 'proxy', 'fastcgi', 'uwsgi', 'scgi'].map(name => `${name}_temp_path ${name};`).join(' ')
const HTTP = `http { access_log off; ${FOLDERS} proxy_connect_timeout 1s; proxy_send_timeout 1s; proxy_read_timeout 1s;`
