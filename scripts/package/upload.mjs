import { createHash, randomBytes } from 'node:crypto'

/**
 * Sends a file in two pieces to an application that listens at `url`, reads it back, and compares.
 *
 * @throws Error where anything is not as it was sent
 */
export async function upload (url) {
  const bytes = randomBytes(300_001)
  const headers = { 'tus-resumable': '1.0.0', 'content-type': 'application/offset+octet-stream' }
  const created = await fetch(url, { method: 'POST', headers: { ...headers, 'upload-length': String(bytes.length) }, body: bytes.subarray(0, 100_000) })
  expect(created.status, 201)
  const address = created.headers.get('location')
  const appended = await fetch(address, { method: 'PATCH', headers: { ...headers, 'upload-offset': '100000' }, body: bytes.subarray(100_000) })
  expect(appended.status, 204)
  const downloaded = await fetch(address)
  expect(hash(Buffer.from(await downloaded.arrayBuffer())), hash(bytes))
}

function expect (actual, expected) {
  if (actual !== expected) throw new Error(`${actual} instead of ${expected}`)
}

function hash (bytes) {
  return createHash('sha256').update(bytes).digest('hex')
}
