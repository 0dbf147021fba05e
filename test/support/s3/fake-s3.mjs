// An S3 server in memory, for tests where no real one is at hand. As strict as AWS where the storage depends on it, and held to the same probe as the
// real ones (scripts/s3-servers/probe.mjs).
//
//   node fake-s3.mjs [PORT]     prints the lines that ceph.sh prints
//
// `flavour: 'ceph'` differs as Ceph does: it refuses to complete an upload without naming every part. `conditions: 'ignored'` stands for the servers
// that answer 200 to every conditional write.
import { once } from 'node:events'
import { createServer } from 'node:http'
import { fileURLToPath } from 'node:url'
import { checkHoles, checkRead, getKeptHeaders, Objects, parseRange } from './fake-objects.mjs'
import { listObjects, listParts, listUploads } from './fake-lists.mjs'
import { Multiparts } from './fake-multipart.mjs'
import { checkSignature, readBody, readTag, readTags, S3Error, toXml } from './fake-protocol.mjs'

export const CREDENTIALS = { accessKeyId: 'testaccess', secretAccessKey: 'testsecretkey' }

/** Starts a server, and resolves to its URL and a way to end it. */
export async function startFakeS3 ({ port = 0, flavour = 'aws', conditions = 'heeded' } = {}) {
  const buckets = new Map()
  const server = createServer({ requestTimeout: 0, headersTimeout: 0 }, (request, response) => {
    answer({ buckets, flavour, conditions }, request).then(
      result => result === null ? response.destroy() : send(response, request, result),
      error => sendError(response, error)
    )
  })
  // Never: a client that is about to use a connection would see it end.
  server.keepAliveTimeout = 0
  server.listen(port, '127.0.0.1')
  await once(server, 'listening')
  return {
    endpoint: `http://127.0.0.1:${server.address().port}`,
    ...CREDENTIALS,
    async stop () {
      server.closeAllConnections()
      await new Promise(resolve => server.close(resolve))
    }
  }
}

async function answer (state, request) {
  const url = new URL(request.url, 'http://localhost')
  const [, name, ...rest] = url.pathname.split('/').map(decodeURIComponent)
  const headers = { ...request.headers }
  if (state.conditions === 'ignored') for (const name of ['if-match', 'if-none-match']) delete headers[name]
  const body = await readBody(request)
  if (body === null) return null
  checkSignature(request, url, CREDENTIALS)
  const bucket = state.buckets.get(name)
  const key = rest.join('/')
  const call = { ...state, method: request.method, query: url.searchParams, headers, bucket, name, key, body }
  if (name === '') return { body: '' }
  if (key === '') return answerBucket(call)
  if (!bucket) throw new S3Error(404, 'NoSuchBucket')
  return call.query.has('uploadId') || call.query.has('uploads') ? answerMultipart(call) : answerObject(call)
}

function answerBucket (call) {
  const { method, query, bucket, buckets, name, body } = call
  if (method === 'PUT') {
    if (bucket) throw new S3Error(409, 'BucketAlreadyOwnedByYou')
    buckets.set(name, { objects: new Objects(), multiparts: new Multiparts() })
    return {}
  }
  if (!bucket) throw new S3Error(404, 'NoSuchBucket')
  if (method === 'HEAD') return {}
  if (method === 'POST' && query.has('delete')) {
    const xml = body.bytes.toString()
    const keys = readTags(xml, 'Object').map(entry => readTag(entry, 'Key'))
    for (const key of keys) bucket.objects.delete(key)
    return { xml: { DeleteResult: { Deleted: readTag(xml, 'Quiet') === 'true' ? [] : keys.map(Key => ({ Key })) } } }
  }
  if (query.has('uploads')) return { xml: listUploads(call) }
  return { xml: listObjects(call) }
}

function answerObject (call) {
  const { method, bucket: { objects }, headers, key, body } = call
  switch (method) {
    case 'PUT': {
      if (headers['x-amz-copy-source']) return copyObject(call)
      objects.checkWrite(key, headers)
      const { etag } = objects.put(key, body.bytes, getKeptHeaders(headers), { sums: body.sums })
      return { headers: { etag, ...toSumHeaders(body.sums) } }
    }
    case 'GET': case 'HEAD':
      return getObject(call)
    case 'DELETE':
      if (objects.get(key)) objects.checkWrite(key, headers)
      objects.delete(key)
      return { status: 204 }
    default:
      throw new S3Error(405, 'MethodNotAllowed')
  }
}

function getObject ({ method, bucket: { objects }, headers, query, key }) {
  const object = objects.mustGet(key)
  checkRead(object, headers)
  const part = object.parts?.[Number(query.get('partNumber')) - 1]
  const range = part ?? parseRange(headers.range, object.bytes.length)
  const bytes = range ? object.bytes.subarray(range[0], range[1] + 1) : object.bytes
  if (method === 'GET') checkHoles(object, range ?? [0, Infinity])
  const wanted = Object.fromEntries([...query].flatMap(([name, value]) => name.startsWith('response-') ? [[name.slice(9), value]] : []))
  return {
    status: range && method === 'GET' ? 206 : 200,
    body: bytes,
    headers: {
      'content-type': 'binary/octet-stream',
      ...object.headers,
      ...wanted,
      etag: object.etag,
      'last-modified': object.modifiedAt.toUTCString(),
      'accept-ranges': 'bytes',
      ...range && { 'content-range': `bytes ${range[0]}-${range[1]}/${object.bytes.length}` },
      ...part && { 'x-amz-mp-parts-count': object.parts.length },
      ...!range && headers['x-amz-checksum-mode'] === 'ENABLED' && toSumHeaders(object.sums)
    }
  }
}

function findSource ({ buckets, headers }) {
  const [name, ...rest] = decodeURIComponent(headers['x-amz-copy-source']).replace(/^\//, '').split('/')
  const source = buckets.get(name)?.objects.mustGet(rest.join('/'))
  if (!source) throw new S3Error(404, 'NoSuchBucket')
  checkRead(source, { 'if-match': headers['x-amz-copy-source-if-match'], 'if-none-match': headers['x-amz-copy-source-if-none-match'] })
  return source
}

function copyObject (call) {
  const { bucket: { objects }, headers, key } = call
  const source = findSource(call)
  objects.checkWrite(key, headers)
  const replace = headers['x-amz-metadata-directive'] === 'REPLACE'
  const { etag, modifiedAt } = objects.put(key, source.bytes, replace ? getKeptHeaders(headers) : source.headers)
  return { xml: { CopyObjectResult: { ETag: etag, LastModified: modifiedAt.toISOString() } } }
}

function answerMultipart (call) {
  const { method, query, headers, bucket: { multiparts }, key, body } = call
  const id = query.get('uploadId')
  switch (method) {
    case 'POST':
      if (query.has('uploads')) return { xml: { InitiateMultipartUploadResult: { Bucket: call.name, Key: key, UploadId: multiparts.create(key, getKeptHeaders(headers), call.flavour) } } }
      return complete(call, id)
    case 'PUT': {
      const number = Number(query.get('partNumber'))
      if (headers['x-amz-copy-source']) return copyPart(call, id, number)
      const { etag } = multiparts.putPart(key, id, number, body.bytes, body.sums)
      return { headers: { etag, ...toSumHeaders(body.sums) } }
    }
    case 'GET':
      return { xml: listParts(call, id) }
    case 'DELETE':
      multiparts.abort(key, id)
      return { status: 204 }
    default:
      throw new S3Error(405, 'MethodNotAllowed')
  }
}

function copyPart (call, id, number) {
  const source = findSource(call)
  const { bytes } = source
  const match = /^bytes=(\d+)-(\d+)$/.exec(call.headers['x-amz-copy-source-range'] ?? `bytes=0-${bytes.length - 1}`)
  if (!match || Number(match[2]) >= bytes.length) throw new S3Error(416, 'InvalidRange')
  checkHoles(source, [Number(match[1]), Number(match[2])])
  const { etag, modifiedAt } = call.bucket.multiparts.putPart(call.key, id, number, bytes.subarray(Number(match[1]), Number(match[2]) + 1))
  return { xml: { CopyPartResult: { ETag: etag, LastModified: modifiedAt.toISOString() } } }
}

function complete ({ bucket: { objects, multiparts }, headers, key, body, flavour }, id) {
  const again = multiparts.getCompleted(key, id)
  if (again !== null && flavour === 'aws') return { xml: { CompleteMultipartUploadResult: { Key: key, ETag: again } } }
  const named = readTags(body.bytes.toString(), 'Part').map(xml => ({ number: Number(readTag(xml, 'PartNumber')), etag: readTag(xml, 'ETag') }))
  const made = multiparts.prepare(key, id, named, flavour)
  objects.checkWrite(key, headers)
  let at = 0
  const parts = made.parts.map(({ bytes }) => [at, (at += bytes.length) - 1])
  const holes = flavour === 'ceph' ? multiparts.findHoles(made.parts).flatMap((isHole, index) => isHole ? [parts[index]] : []) : []
  objects.put(key, made.bytes, made.upload.headers, { etag: made.etag, parts, holes })
  multiparts.finish(made)
  return { xml: { CompleteMultipartUploadResult: { Key: key, ETag: made.etag } } }
}

function toSumHeaders (sums) {
  return Object.fromEntries(Object.entries(sums).map(([name, sum]) => [`x-amz-checksum-${name}`, sum]))
}

function send (response, request, { status = 200, headers = {}, xml, body = '' }) {
  const bytes = xml ? Buffer.from(`<?xml version="1.0" encoding="UTF-8"?>${toXml(xml)}`) : body
  response.writeHead(status, { ...headers, ...xml && { 'content-type': 'application/xml' }, ...status !== 204 && { 'content-length': bytes.length } })
  response.end(request.method === 'HEAD' ? undefined : bytes)
}

function sendError (response, error) {
  const { status = 500, code = 'InternalError', message } = error
  if (status === 304) return response.writeHead(304).end()
  response.writeHead(status, { 'content-type': 'application/xml' })
  response.end(response.req.method === 'HEAD' ? undefined : `<?xml version="1.0" encoding="UTF-8"?>${toXml({ Error: { Code: code, Message: message } })}`)
}

if (process.argv[1] === fileURLToPath(import.meta.url)) {
  const { endpoint, accessKeyId, secretAccessKey } = await startFakeS3({ port: Number(process.argv[2] ?? 0), flavour: process.env.FAKE_S3_FLAVOUR ?? 'aws' })
  console.log(`S3_ENDPOINT=${endpoint}\nAWS_ACCESS_KEY_ID=${accessKeyId}\nAWS_SECRET_ACCESS_KEY=${secretAccessKey}`)
}
