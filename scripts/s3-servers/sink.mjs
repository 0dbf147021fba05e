// An S3 server that takes everything and keeps next to nothing: the bytes of parts and of large objects are thrown away, small objects are kept, with the
// conditions on them. What a process does against it costs no other's time: it shows the processor time of the process alone.
//
//   node sink.mjs     prints its URL
import { createHash } from 'node:crypto'
import { once } from 'node:events'
import { createServer } from 'node:http'

const objects = new Map()
let count = 0

const server = createServer({ requestTimeout: 0 }, async (request, response) => {
  const { pathname, searchParams } = new URL(request.url, 'http://localhost')
  const answer = await handle(request, pathname, searchParams)
  response.writeHead(answer.status ?? 200, answer.etag ? { etag: answer.etag } : {}).end(answer.body ?? '')
}).listen(0, '127.0.0.1')
await once(server, 'listening')
console.log(`http://127.0.0.1:${server.address().port}`)

async function handle (request, path, query) {
  if (query.has('uploads')) return { body: toXml('InitiateMultipartUploadResult', 'UploadId', `upload-${count++}`) }
  if (query.has('uploadId')) return handleMultipart(request, query)
  const kept = objects.get(path)
  switch (request.method) {
    case 'PUT': return put(request, path, kept)
    case 'DELETE':
      objects.delete(path)
      return { status: 204 }
    default: return kept ? { etag: kept.etag, body: request.method === 'GET' ? kept.body : '' } : { status: 404 }
  }
}

async function handleMultipart (request, query) {
  await discard(request)
  if (request.method === 'POST') return { body: toXml('CompleteMultipartUploadResult', 'ETag', `"whole-${count++}"`) }
  return request.method === 'PUT' ? { etag: `"part-${query.get('partNumber')}"` } : { status: 204 }
}

async function put (request, path, kept) {
  const { 'if-match': ifMatch, 'if-none-match': ifNoneMatch } = request.headers
  const body = Number(request.headers['content-length']) < SMALL ? await read(request) : await discard(request)
  if ((ifNoneMatch && kept) || (ifMatch && ifMatch !== kept?.etag)) return { status: 412 }
  const etag = `"${createHash('md5').update(body).digest('hex')}"`
  objects.set(path, { etag, body })
  return { etag }
}

async function read (request) {
  const chunks = []
  for await (const chunk of request) chunks.push(chunk)
  return Buffer.concat(chunks)
}

async function discard (request) {
  request.resume()
  if (!request.complete) await once(request, 'end')
  return Buffer.alloc(0)
}

function toXml (root, name, value) {
  return `<?xml version="1.0" encoding="UTF-8"?><${root}><${name}>${value}</${name}></${root}>`
}

/** In bytes: records and the like. */
const SMALL = 256 * 1024
