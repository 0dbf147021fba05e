import { createHash } from 'node:crypto'
import { readFileSync } from 'node:fs'
import { crc32 } from 'node:zlib'

/** The `Upload-Checksum` of an upload as the load generator sends it, which begins with the first byte of the data if there is a checksum. */
export function getChecksum ({ data }, { checksum, uploadSize }) {
  const parts = [...getSent(readFileSync(data), 0, uploadSize)]
  return `${checksum} ${(checksum === 'crc32' ? addUpCrc32(parts) : addUp(checksum, parts)).toString('base64')}`
}

/** In hexadecimal, of what the load generator sends for an upload that begins at `first` in the data. */
export function hashSent (data, first, size) {
  return addUp('sha256', getSent(data, first, size)).toString('hex')
}

/** The load generator sends the data from `first` on, and begins anew at its end. */
function * getSent (data, first, size) {
  for (let position = first, rest = size; rest > 0; position = 0) {
    const part = data.subarray(position, position + rest)
    yield part
    rest -= part.length
  }
}

function addUp (algorithm, parts) {
  const hash = createHash(algorithm)
  for (const part of parts) hash.update(part)
  return hash.digest()
}

/** As tus servers take it: four bytes, the most significant first. */
function addUpCrc32 (parts) {
  const digest = Buffer.alloc(4)
  digest.writeUInt32BE(parts.reduce((value, part) => crc32(part, value), 0))
  return digest
}
