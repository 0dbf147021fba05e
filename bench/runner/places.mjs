import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { existsSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { getFilesystem } from './machine.mjs'
import { createBucket } from './s3.mjs'

const sink = fileURLToPath(new URL('../../scripts/s3-servers/sink.mjs', import.meta.url))
const build = fileURLToPath(new URL('../build/', import.meta.url))

/**
 * Where a server stores.
 *
 * @typedef {object} Place
 * @property {string} name
 * @property {string} directory of this run alone
 * @property {string} filesystem
 * @property {boolean} flushes whether what lies there should be written before time is taken
 * @property {Record<string, string>} environment for the process of the server
 * @property {() => number | null} countSyncs how often servers in Node synced so far; null where nobody counts
 * @property {() => void} close
 */

/**
 * Opens the place of a workload.
 *
 * @param {'memory' | 'disk' | 's3' | 'sink'} name
 * @param {{ dir?: string, disk?: string }} flags
 * @returns {Promise<Place | null>} null if there is no such place here
 */
export async function openPlace (name, flags, { syncs }) {
  const parent = name === 'disk' ? flags.disk ?? build : flags.dir ?? (existsSync('/dev/shm') ? '/dev/shm' : tmpdir())
  if (name === 's3' && !process.env.S3_ENDPOINT) return null
  const directory = mkdtempSync(join(parent, 'fastify-tus-bench-'))
  const filesystem = getFilesystem(directory)
  const remove = () => rmSync(directory, { recursive: true, force: true })
  const place = { name, directory, filesystem, flushes: filesystem !== 'tmpfs', environment: {}, countSyncs: () => null, close: remove }
  try {
    if (name === 'disk') return { ...place, ...countSyncs(directory, syncs) }
    if (name === 's3') return { ...place, filesystem: 'S3', environment: { BENCH_S3_BUCKET: await createBucket(process.env.S3_ENDPOINT) } }
    if (name === 'sink') return { ...place, filesystem: 'S3', ...await openSink(remove) }
    return place
  } catch (error) {
    remove()
    throw error
  }
}

/** Counts by a library that stands between Node and the C library. */
function countSyncs (directory, library) {
  const file = join(directory, 'syncs')
  writeFileSync(file, Buffer.alloc(8))
  return { environment: { LD_PRELOAD: library, BENCH_SYNCS: file }, countSyncs: () => Number(readFileSync(file).readBigUInt64LE()) }
}

async function openSink (remove) {
  const child = spawn(process.execPath, [sink], { stdio: ['ignore', 'pipe', 'inherit'] })
  process.once('exit', () => child.kill())
  const [line] = await once(child.stdout.setEncoding('utf8'), 'data')
  return {
    environment: { S3_ENDPOINT: line.trim(), BENCH_S3_BUCKET: 'bench', AWS_ACCESS_KEY_ID: 'any', AWS_SECRET_ACCESS_KEY: 'any' },
    close: () => {
      child.kill()
      remove()
    }
  }
}
