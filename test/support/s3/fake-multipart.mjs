// Multipart uploads, as strict as those of AWS.
import { createHash, randomBytes } from 'node:crypto'
import { md5, S3Error } from './fake-protocol.mjs'
import { strip } from './fake-objects.mjs'

const SMALLEST = 5 * 1024 ** 2

export class Multiparts {
  #uploads = new Map()
  /** What was completed answers a second time, as AWS does. */
  #completed = new Map()

  create (key, headers, flavour) {
    const id = (flavour === 'ceph' ? '2~' : '') + randomBytes(16).toString('hex')
    this.#uploads.set(id, { id, key, headers, parts: new Map(), createdAt: new Date() })
    return id
  }

  get (key, id) {
    const upload = this.#uploads.get(id)
    if (upload?.key !== key) throw new S3Error(404, 'NoSuchUpload')
    return upload
  }

  getCompleted (key, id) {
    const completed = this.#completed.get(id)
    return completed?.key === key ? completed.etag : null
  }

  putPart (key, id, number, bytes, sums = {}) {
    if (!Number.isInteger(number) || number < 1 || number > 10_000) throw new S3Error(400, 'InvalidArgument', 'Part number must be an integer between 1 and 10000, inclusive')
    const { parts } = this.get(key, id)
    const part = { number, bytes, sums, etag: `"${md5(bytes)}"`, modifiedAt: new Date(), again: parts.has(number) }
    parts.set(number, part)
    return part
  }

  listParts (key, id) {
    return [...this.get(key, id).parts.values()].sort((a, b) => a.number - b.number)
  }

  list (prefix) {
    return [...this.#uploads.values()].filter(({ key }) => key.startsWith(prefix)).sort((a, b) => a.key < b.key ? -1 : a.key > b.key ? 1 : a.createdAt - b.createdAt)
  }

  abort (key, id) {
    this.get(key, id)
    this.#uploads.delete(id)
  }

  /** What the named parts make: all of it is checked before anything changes. */
  prepare (key, id, named, strict) {
    const upload = this.get(key, id)
    if (named.length === 0) throw new S3Error(400, 'MalformedXML')
    const parts = named.map(({ number, etag }) => {
      const part = upload.parts.get(number)
      if (!part || strip(part.etag) !== strip(etag)) throw new S3Error(400, 'InvalidPart')
      return part
    })
    if (named.some(({ number }, index) => index > 0 && number <= named[index - 1].number)) throw new S3Error(400, 'InvalidPartOrder')
    if (parts.slice(0, -1).some(({ bytes }) => bytes.length < SMALLEST)) throw new S3Error(400, 'EntityTooSmall')
    // Ceph refuses to leave out parts that are there.
    if (strict === 'ceph' && named.length !== upload.parts.size) throw new S3Error(400, 'InvalidPart')
    const digest = createHash('md5').update(Buffer.concat(parts.map(({ etag }) => Buffer.from(strip(etag), 'hex')))).digest('hex')
    return { upload, parts, bytes: Buffer.concat(parts.map(({ bytes }) => bytes)), etag: `"${digest}-${parts.length}"` }
  }

  /** The parts that Ceph can't find again: it takes the second of two of one size for the neighbour of the first, if the first of all was sent twice. */
  findHoles (parts) {
    const isHole = (part, before) => before && !part.again && !before.again && part.bytes.length === before.bytes.length && part.number !== before.number + 1
    return parts.map((part, index) => parts[0].again && Boolean(isHole(part, parts[index - 1])))
  }

  finish ({ upload, etag }) {
    this.#uploads.delete(upload.id)
    this.#completed.set(upload.id, { key: upload.key, etag })
  }
}
