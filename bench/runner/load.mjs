import { execFile } from 'node:child_process'
import { createHash } from 'node:crypto'
import { createReadStream, readFileSync, statSync } from 'node:fs'
import { promisify } from 'node:util'

const run = promisify(execFile)
const TIMEOUT = 120

/**
 * What one run of the load generator came to. Times are in seconds; processor times are sums over all threads.
 *
 * @typedef {object} LoadResult
 * @property {number} seconds
 * @property {number} serverCpu
 * @property {number} generatorCpu
 * @property {number} machineCpu of everything that ran meanwhile, in steps of 10 ms
 * @property {number} uploads
 * @property {number} requests
 * @property {number} bytes
 * @property {number} reconnects connections that the server closed behind a response
 * @property {Array<{ path: string, first: number }>} stored the first uploads, and where in the data each begins
 */

/**
 * Sends uploads to a server, and checks status and offset of every answer.
 *
 * @returns {Promise<LoadResult>}
 * @throws at the first wrong answer
 */
export async function sendUploads ({ load, data }, server, workload, amount) {
  const { stdout } = await runProgram(load, [
    '--port', server.url.port, '--path', server.url.pathname, '--pid', server.pid, '--data', data, '--timeout', TIMEOUT,
    '--connections', workload.connections, '--upload-size', workload.uploadSize, '--patch-size', workload.patchSize,
    ...workload.withBody ? ['--with-body'] : [],
    ...'uploads' in amount ? ['--uploads', amount.uploads] : ['--seconds', amount.seconds]
  ].map(String))
  return JSON.parse(stdout)
}

/** @throws with what the program said */
async function runProgram (path, args) {
  try {
    return await run(path, args, { timeout: 2 * TIMEOUT * 1000 })
  } catch (error) {
    throw new Error(error.stderr?.trim() || error.message)
  }
}

/**
 * Compares what a server stored with what was sent.
 *
 * @throws if a file has another length or other bytes
 */
export async function checkStored ({ data }, server, contestant, workload, { stored }) {
  if (!contestant.stored) return
  const bytes = readFileSync(data)
  for (const { path, first } of stored) {
    const file = contestant.stored(server.directory, path.slice(path.lastIndexOf('/') + 1))
    const { size } = statSync(file)
    if (size !== workload.uploadSize) throw new Error(`${contestant.name} stored ${size} of ${workload.uploadSize} bytes`)
    if (await hashFile(file) !== hashSent(bytes, first, size)) throw new Error(`${contestant.name} stored other bytes than it was sent`)
  }
}

async function hashFile (path) {
  const hash = createHash('sha256')
  for await (const chunk of createReadStream(path, { highWaterMark: 1024 * 1024 })) hash.update(chunk)
  return hash.digest('hex')
}

/** The load generator sends the data from `first` on, and begins anew at its end. */
function hashSent (data, first, size) {
  const hash = createHash('sha256')
  for (let position = first, rest = size; rest > 0; position = 0) {
    const part = data.subarray(position, position + rest)
    hash.update(part)
    rest -= part.length
  }
  return hash.digest('hex')
}
