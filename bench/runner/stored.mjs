import { createHash } from 'node:crypto'
import { copyFileSync, createReadStream, readFileSync, statSync, truncateSync, writeFileSync } from 'node:fs'
import { hashSent } from './checksum.mjs'

/**
 * Puts files where a contestant serves files from, with the bytes of uploads.
 *
 * @returns {import('./load.mjs').Stored[]}
 */
export function placeFiles (tools, server, contestant, { uploadSize, uploads }) {
  return Array.from({ length: uploads }, (_, index) => {
    const name = `file-${uploadSize}-${index}`
    placeFile(tools, contestant.stored(server.directory, name), uploadSize)
    return { path: `${server.url.pathname}${name}`, first: 0 }
  })
}

function placeFile ({ data }, file, size) {
  const bytes = readFileSync(data)
  copyFileSync(data, file)
  for (let there = bytes.length; there < size; there += bytes.length) writeFileSync(file, bytes, { flag: 'a' })
  truncateSync(file, size)
}

/**
 * Compares what a server stored with what was sent.
 *
 * @throws if a file has another length or other bytes
 */
export async function checkStored ({ data }, server, contestant, { uploadSize }, stored) {
  if (!contestant.stored) return
  const bytes = readFileSync(data)
  for (const { path, first } of stored) {
    const file = contestant.stored(server.directory, path.slice(path.lastIndexOf('/') + 1))
    const { size } = statSync(file)
    if (size !== uploadSize) throw new Error(`${contestant.name} stored ${size} of ${uploadSize} bytes`)
    if (await hash(createReadStream(file, { highWaterMark: 1024 * 1024 })) !== hashSent(bytes, first, size)) throw new Error(`${contestant.name} stored other bytes than it was sent`)
  }
}

/**
 * Compares what a server serves with what it was sent.
 *
 * @throws if it has another length or other bytes
 */
export async function checkServed ({ data }, server, contestant, { uploadSize, range }, [{ path, first }]) {
  const bytes = readFileSync(data)
  const from = range ? 3 * 4096 : 0
  const response = await fetch(new URL(path, server.url), { headers: range ? { range: `bytes=${from}-${from + range - 1}` } : {} })
  const expected = hashSent(bytes, (first + from) % bytes.length, range ?? uploadSize)
  if (!response.ok || await hash(response.body) !== expected) throw new Error(`${contestant.name} served other bytes than it was sent`)
}

async function hash (chunks) {
  const hash = createHash('sha256')
  for await (const chunk of chunks) hash.update(chunk)
  return hash.digest('hex')
}
