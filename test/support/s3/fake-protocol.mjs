// What an S3 server says and hears: errors, XML, bodies, signatures.
import { createHash, createHmac, timingSafeEqual } from 'node:crypto'
import { crc32 } from 'node:zlib'

/** An answer in the words of S3. */
export class S3Error extends Error {
  constructor (status, code, message = code) {
    super(message)
    this.status = status
    this.code = code
  }
}

export const md5 = bytes => createHash('md5').update(bytes).digest('hex')

export function escapeXml (text) {
  return String(text).replace(/[&<>"'\r]/g, char => `&#${char.charCodeAt(0)};`)
}

/** `{ A: { B: ['x', 'y'] } }` as XML; lists repeat their element. */
export function toXml (value) {
  if (typeof value !== 'object') return escapeXml(value)
  return Object.entries(value).flatMap(([name, content]) => [content].flat().filter(item => item !== undefined).map(item => `<${name}>${toXml(item)}</${name}>`)).join('')
}

/** The text of the first such element. */
export function readTag (xml, name) {
  const match = new RegExp(`<${name}[^>]*>([\\s\\S]*?)</${name}>`).exec(xml)
  return match?.[1].replace(/&#x?(\w+);|&(quot|amp|lt|gt|apos);/g, (all, code, name) => name ? { quot: '"', amp: '&', lt: '<', gt: '>', apos: "'" }[name] : String.fromCodePoint(all[2] === 'x' ? parseInt(code, 16) : Number(code)))
}

export function readTags (xml, name) {
  return xml.match(new RegExp(`<${name}[^>]*>[\\s\\S]*?</${name}>`, 'g')) ?? []
}

/** The bytes of a request as they were meant, verified. `null` if the connection ended before. */
export async function readBody (request) {
  const chunks = []
  try {
    for await (const chunk of request) chunks.push(chunk)
  } catch {
    return null
  }
  if (!request.complete) return null
  const raw = Buffer.concat(chunks)
  const sums = getSums(request.headers)
  const bytes = /aws-chunked/.test(request.headers['content-encoding'] ?? '') ? decodeChunks(raw, sums) : raw
  const declared = request.headers['x-amz-decoded-content-length']
  if (declared !== undefined && Number(declared) !== bytes.length) throw new S3Error(400, 'IncompleteBody')
  const contentMd5 = request.headers['content-md5']
  if (contentMd5 !== undefined && contentMd5 !== createHash('md5').update(bytes).digest('base64')) throw new S3Error(400, 'BadDigest')
  for (const [name, sum] of Object.entries(sums)) if (SUMS[name] && SUMS[name](bytes) !== sum) throw new S3Error(400, 'BadDigest', `The ${name} you specified did not match`)
  return { bytes, sums }
}

const SUMS = {
  crc32: bytes => { const sum = Buffer.alloc(4); sum.writeUInt32BE(crc32(bytes)); return sum.toString('base64') },
  sha1: bytes => createHash('sha1').update(bytes).digest('base64'),
  sha256: bytes => createHash('sha256').update(bytes).digest('base64')
}

function getSums (headers) {
  return Object.fromEntries(Object.entries(headers).flatMap(([name, value]) => {
    const algorithm = /^x-amz-checksum-(crc32|crc32c|crc64nvme|sha1|sha256)$/.exec(name)?.[1]
    return algorithm ? [[algorithm, value]] : []
  }))
}

function decodeChunks (raw, sums) {
  const chunks = []
  for (let at = 0; ;) {
    const end = raw.indexOf('\r\n', at)
    if (end === -1) throw new S3Error(400, 'IncompleteBody')
    const size = parseInt(raw.toString('latin1', at, end), 16)
    at = end + 2
    if (size === 0) {
      for (const line of raw.toString('latin1', at).split('\r\n')) {
        const [, name, value] = /^x-amz-checksum-(\w+):(.*)$/i.exec(line) ?? []
        if (name) sums[name.toLowerCase()] = value.trim()
      }
      return Buffer.concat(chunks)
    }
    chunks.push(raw.subarray(at, at + size))
    at += size + 2
  }
}

/** AWS Signature Version 4, in headers or in the query. @throws S3Error */
export function checkSignature (request, url, { accessKeyId, secretAccessKey }) {
  const isQuery = url.searchParams.has('X-Amz-Signature')
  const given = isQuery ? readQuery(url) : readHeader(request.headers)
  if (given === null) throw new S3Error(403, 'AccessDenied')
  if (given.accessKeyId !== accessKeyId) throw new S3Error(403, 'InvalidAccessKeyId')
  if (isQuery && Date.now() > parseDate(given.date) + given.expires * 1000) throw new S3Error(403, 'AccessDenied', 'Request has expired')
  if (Math.abs(Date.now() - parseDate(given.date)) > 15 * 60_000 && !isQuery) throw new S3Error(403, 'RequestTimeTooSkewed')
  const canonical = [
    request.method,
    url.pathname,
    canonicalQuery(url),
    ...given.headers.map(name => `${name}:${String(request.headers[name] ?? '').trim().replace(/ +/g, ' ')}`),
    '',
    given.headers.join(';'),
    isQuery ? request.headers['x-amz-content-sha256'] ?? 'UNSIGNED-PAYLOAD' : request.headers['x-amz-content-sha256']
  ].join('\n')
  const text = ['AWS4-HMAC-SHA256', given.date, given.scope, createHash('sha256').update(canonical).digest('hex')].join('\n')
  const key = given.scope.split('/').reduce((key, part) => createHmac('sha256', key).update(part).digest(), `AWS4${secretAccessKey}`)
  const expected = createHmac('sha256', key).update(text).digest()
  const actual = Buffer.from(given.signature, 'hex')
  if (actual.length !== expected.length || !timingSafeEqual(actual, expected)) throw new S3Error(403, 'SignatureDoesNotMatch')
}

function readHeader (headers) {
  const match = /^AWS4-HMAC-SHA256 Credential=([^/]+)\/([^,]+), ?SignedHeaders=([^,]+), ?Signature=(\w+)$/.exec(headers.authorization ?? '')
  if (!match) return null
  return { accessKeyId: match[1], scope: match[2], headers: match[3].split(';'), signature: match[4], date: headers['x-amz-date'] }
}

function readQuery ({ searchParams }) {
  const [accessKeyId, ...scope] = searchParams.get('X-Amz-Credential').split('/')
  return {
    accessKeyId,
    scope: scope.join('/'),
    headers: searchParams.get('X-Amz-SignedHeaders').split(';'),
    signature: searchParams.get('X-Amz-Signature'),
    date: searchParams.get('X-Amz-Date'),
    expires: Number(searchParams.get('X-Amz-Expires'))
  }
}

function parseDate (text) {
  return Date.parse(text.replace(/^(\d{4})(\d\d)(\d\d)T(\d\d)(\d\d)(\d\d)Z$/, '$1-$2-$3T$4:$5:$6Z'))
}

function canonicalQuery ({ searchParams }) {
  const encode = text => encodeURIComponent(text).replace(/[!'()*]/g, char => `%${char.charCodeAt(0).toString(16).toUpperCase()}`)
  return [...searchParams].filter(([name]) => name !== 'X-Amz-Signature').map(([name, value]) => `${encode(name)}=${encode(value)}`).sort().join('&')
}
