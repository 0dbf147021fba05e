// The objects of a bucket, and what S3 lets one do with them.
import { md5, S3Error } from './fake-protocol.mjs'

const KEPT = /^(?:x-amz-meta-.+|content-type|cache-control|content-disposition|content-language|x-amz-storage-class|x-amz-server-side-encryption|x-amz-tagging)$/

/** The headers that an object keeps. */
export function getKeptHeaders (headers) {
  const kept = Object.fromEntries(Object.entries(headers).filter(([name]) => KEPT.test(name)))
  const encoding = (headers['content-encoding'] ?? '').split(',').map(name => name.trim()).filter(name => name && name !== 'aws-chunked').join(',')
  return encoding ? { ...kept, 'content-encoding': encoding } : kept
}

export class Objects {
  #objects = new Map()

  get (key) {
    return this.#objects.get(key)
  }

  mustGet (key) {
    const object = this.get(key)
    if (!object) throw new S3Error(404, 'NoSuchKey')
    return object
  }

  /** @throws S3Error if what is there is not what the headers demand */
  checkWrite (key, headers) {
    const object = this.get(key)
    const { 'if-none-match': none, 'if-match': match } = headers
    if (none !== undefined && none !== '*') throw new S3Error(501, 'NotImplemented')
    if (none === '*' && object) throw new S3Error(412, 'PreconditionFailed')
    if (match === undefined) return
    if (!object) throw new S3Error(404, 'NoSuchKey')
    if (strip(match) !== strip(object.etag)) throw new S3Error(412, 'PreconditionFailed')
  }

  put (key, bytes, headers, { etag = `"${md5(bytes)}"`, sums = {}, parts = null, holes = [] } = {}) {
    const object = { bytes, etag, sums, parts, holes, headers, modifiedAt: new Date() }
    this.#objects.set(key, object)
    return object
  }

  delete (key) {
    this.#objects.delete(key)
  }

  /** The keys in the order of their UTF-8, as S3 lists them. */
  list (prefix, after) {
    return [...this.#objects].filter(([key]) => key.startsWith(prefix) && compare(key, after) > 0).sort(([a], [b]) => compare(a, b))
  }
}

/** @throws S3Error for a reader whose conditions do not hold */
export function checkRead ({ etag }, headers) {
  const { 'if-match': match, 'if-none-match': none } = headers
  if (match !== undefined && strip(match) !== strip(etag)) throw new S3Error(412, 'PreconditionFailed')
  if (none !== undefined && strip(none) === strip(etag)) throw new S3Error(304, 'NotModified')
}

/** @throws S3Error where the server can't find these bytes */
export function checkHoles ({ holes }, [start, end]) {
  if (holes.some(([from, to]) => from <= end && start <= to)) throw new S3Error(404, 'NoSuchKey')
}

/** The first and the last byte that a `Range` names, or `null` for the whole. */
export function parseRange (text, size) {
  const match = /^bytes=(\d*)-(\d*)$/.exec(text ?? '')
  if (!match || (match[1] === '' && match[2] === '')) return null
  const [start, end] = match[1] === '' ? [Math.max(0, size - Number(match[2])), size - 1] : [Number(match[1]), Math.min(size - 1, match[2] === '' ? size - 1 : Number(match[2]))]
  if (start >= size || end < start) throw new S3Error(416, 'InvalidRange')
  return [start, end]
}

export function compare (a, b) {
  return Buffer.compare(Buffer.from(a), Buffer.from(b))
}

export function strip (etag) {
  return etag.replaceAll('"', '')
}
