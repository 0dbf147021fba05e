// Speed and processor time of one large PATCH into S3, interleaved: this project, a bare server with the SDK's lib-storage, and @tus/s3-store.
//
//   S3_ENDPOINT=… COMPARE_MODULES=folder node compare.mjs [--size=256] [--rounds=3]
//   COMPARE_MODULES=folder node compare.mjs --sink     against sink.mjs, which throws the bytes away, and without @tus/s3-store
//
// COMPARE_MODULES is a folder with node_modules of @aws-sdk/client-s3, @aws-sdk/lib-storage, @tus/server and @tus/s3-store. Needs `npm run build`.
import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { readFileSync } from 'node:fs'
import { request, createServer } from 'node:http'
import { createRequire } from 'node:module'
import { fileURLToPath } from 'node:url'

const MIB = 1024 ** 2
const CONTESTANTS = ['fastify-tus', 'lib-storage', 'tus-s3-store']
const flag = (name, other) => Number(process.argv.find(text => text.startsWith(`--${name}=`))?.split('=')[1] ?? other)
const contestant = process.argv[2]
const isSink = process.argv.includes('--sink')

if (CONTESTANTS.includes(contestant)) await serve(contestant)
else if (isSink) await compareAtSink()
else await compare(CONTESTANTS)

async function serve (name) {
  const require = createRequire(`${process.env.COMPARE_MODULES}/`)
  const { S3Client } = require('@aws-sdk/client-s3')
  const config = { endpoint: process.env.S3_ENDPOINT, region: 'us-east-1', forcePathStyle: true }
  const bucket = process.env.BUCKET
  const started = port => console.log(`port ${port}`)
  if (name === 'fastify-tus') {
    const { default: Fastify } = await import('fastify')
    const { default: tus } = await import('../../dist/lib/index.js')
    const { createS3Storage } = await import('../../dist/adapters/s3/index.js')
    const app = Fastify()
    await app.register(tus, { storage: createS3Storage({ client: new S3Client(config), bucket, prefix: 'a/' }) })
    await app.listen({ host: '127.0.0.1', port: 0 })
    return started(app.server.address().port)
  }
  if (name === 'tus-s3-store') {
    const { Server } = require('@tus/server')
    const { S3Store } = require('@tus/s3-store')
    const datastore = new S3Store({ partSize: 8 * MIB, s3ClientConfig: { ...config, bucket, credentials: { accessKeyId: process.env.AWS_ACCESS_KEY_ID, secretAccessKey: process.env.AWS_SECRET_ACCESS_KEY } } })
    const server = new Server({ path: '/files', datastore }).listen({ host: '127.0.0.1', port: 0 })
    await once(server, 'listening')
    return started(server.address().port)
  }
  const { Upload } = require('@aws-sdk/lib-storage')
  const client = new S3Client(config)
  let count = 0
  const server = createServer(async (request, response) => {
    if (request.method === 'POST') return response.writeHead(201, { location: '/files/x' }).end()
    await new Upload({ client, partSize: 8 * MIB, queueSize: 4, params: { Bucket: bucket, Key: `b/${count++}`, Body: request } }).done()
    response.writeHead(204).end()
  }).listen(0, '127.0.0.1')
  await once(server, 'listening')
  started(server.address().port)
}

async function compareAtSink () {
  const sink = spawn(process.execPath, [fileURLToPath(new URL('sink.mjs', import.meta.url))], { stdio: ['ignore', 'pipe', 'inherit'] })
  const [line] = await once(sink.stdout.setEncoding('utf8'), 'data')
  Object.assign(process.env, { S3_ENDPOINT: line.trim(), AWS_ACCESS_KEY_ID: 'any', AWS_SECRET_ACCESS_KEY: 'any' })
  await compare(CONTESTANTS.filter(name => name !== 'tus-s3-store'))
  sink.kill()
}

async function compare (contestants) {
  const [size, rounds] = [flag('size', 256) * MIB, flag('rounds', 3)]
  const require = createRequire(`${process.env.COMPARE_MODULES}/`)
  const { S3Client, CreateBucketCommand } = require('@aws-sdk/client-s3')
  const bucket = `compare-${Date.now().toString(36)}`
  await new S3Client({ endpoint: process.env.S3_ENDPOINT, region: 'us-east-1', forcePathStyle: true }).send(new CreateBucketCommand({ Bucket: bucket }))
  const servers = []
  for (const name of contestants) {
    const child = spawn(process.execPath, [fileURLToPath(import.meta.url), name], { env: { ...process.env, BUCKET: bucket }, stdio: ['ignore', 'pipe', 'ignore'] })
    const [line] = await once(child.stdout.setEncoding('utf8'), 'data')
    servers.push({ name, child, port: Number(/port (\d+)/.exec(line)[1]), rates: [], cpu: [] })
  }
  for (let round = 0; round <= rounds; round++) {
    for (const server of servers) {
      const before = getCpu(server.child.pid)
      const seconds = await upload(server.port, size)
      // The first round warms up.
      if (round === 0) continue
      server.rates.push(size / MIB / seconds)
      server.cpu.push((getCpu(server.child.pid) - before) / (size / 1024 ** 3))
    }
  }
  for (const { name, child, rates, cpu } of servers) {
    child.kill()
    console.log(`${name}: ${rates.map(rate => rate.toFixed(0)).join(' ')} MiB/s, median ${median(rates).toFixed(0)}; ${median(cpu).toFixed(2)} CPU s per GiB`)
  }
}

async function upload (port, size) {
  const created = await send(port, 'POST', '/files', { 'upload-length': String(size) })
  const start = performance.now()
  const { status } = await send(port, 'PATCH', new URL(created.location, 'http://localhost').pathname, { 'upload-offset': '0', 'content-type': 'application/offset+octet-stream', 'content-length': String(size) }, size)
  if (status !== 204) throw new Error(`PATCH was answered with ${status}`)
  return (performance.now() - start) / 1000
}

async function send (port, method, path, headers, size = 0) {
  const sent = request({ port, host: '127.0.0.1', method, path, headers: { 'tus-resumable': '1.0.0', ...headers } })
  const chunk = Buffer.alloc(MIB, 'x')
  const answered = once(sent, 'response')
  for (let at = 0; at < size; at += MIB) if (!sent.write(chunk)) await once(sent, 'drain')
  sent.end()
  const [response] = await answered
  response.resume()
  return { status: response.statusCode, location: response.headers.location }
}

function getCpu (pid) {
  const fields = readFileSync(`/proc/${pid}/stat`, 'utf8').split(') ')[1].split(' ')
  return (Number(fields[11]) + Number(fields[12])) / 100
}

function median (values) {
  return [...values].sort((a, b) => a - b)[Math.floor(values.length / 2)]
}
