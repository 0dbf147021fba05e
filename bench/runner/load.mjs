import { execFile } from 'node:child_process'
import { promisify } from 'node:util'
import { getChecksum } from './checksum.mjs'

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
 * @property {number} uploads or downloads
 * @property {number} requests
 * @property {number} bytes
 * @property {number} reconnects connections that the server closed behind a response
 * @property {Latency} latency of requests with a body, or of GET or HEAD where these are measured
 * @property {Latency} probe of a HEAD beside other requests
 * @property {Stored[]} stored the first uploads
 */

/** From the first byte of a request to the last of its response. @typedef {{ count: number, p50: number, p99: number, longest: number }} Latency */

/** An upload, and where in the data it begins. @typedef {{ path: string, first: number }} Stored */

/**
 * Sends uploads to a server, and checks status and offset of every answer.
 *
 * @param {string} [probe] path of an upload to ask for with HEAD meanwhile
 * @returns {Promise<LoadResult>}
 * @throws at the first wrong answer
 */
export function sendUploads (tools, server, contestant, workload, amount, probe) {
  const puts = contestant.does.includes('put')
  return runLoad(tools, server, [
    '--mode', puts ? 'put' : 'tus',
    // A second run would replace the files of the first.
    '--path', puts ? `${server.url.pathname}${performance.now().toFixed(0)}` : server.url.pathname,
    ...getShape(workload), '--patch-size', workload.patchSize ?? workload.uploadSize,
    ...workload.withBody ? ['--with-body'] : [],
    ...workload.abandon ? ['--abandon'] : [],
    ...workload.checksum ? ['--checksum', getChecksum(tools, workload)] : [],
    ...workload.rate ? ['--rate', workload.rate] : [],
    ...probe ? ['--probe', probe] : [],
    ...getAmount(amount)
  ])
}

/**
 * Asks for uploads that are there, with GET or HEAD.
 *
 * @param {Stored[]} stored
 * @returns {Promise<LoadResult>}
 * @throws at the first wrong answer
 */
export function readUploads (tools, server, workload, stored, amount) {
  return runLoad(tools, server, [
    '--mode', workload.kind,
    ...getShape(workload),
    ...workload.range ? ['--range', workload.range] : [],
    ...stored.flatMap(({ path }) => ['--target', path]),
    ...getAmount(amount)
  ])
}

function getShape ({ connections, uploadSize }) {
  return ['--connections', connections, '--upload-size', uploadSize]
}

function getAmount (amount) {
  return 'uploads' in amount ? ['--uploads', amount.uploads] : ['--seconds', amount.seconds]
}

/** @throws with what the program said */
async function runLoad ({ load, data }, server, args) {
  const all = ['--port', server.url.port, '--data', data, '--timeout', TIMEOUT, ...server.getPids().flatMap(pid => ['--pid', pid]), ...args]
  try {
    const { stdout } = await run(load, all.map(String), { timeout: 2 * TIMEOUT * 1000 })
    return JSON.parse(stdout)
  } catch (error) {
    throw new Error(error.stderr?.trim() || error.message)
  }
}
