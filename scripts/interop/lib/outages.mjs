import { existsSync, readdirSync, readFileSync, readlinkSync } from 'node:fs'
import { setTimeout as pause } from 'node:timers/promises'
import { startBehindNginx, startBehindPlainNginx, startLocked, startOnS3, startWorkers } from './outage-servers.mjs'

/** In bytes a second: when half has passed, the first part, of 5 MiB, is stored, also where the machine is busy. */
const SLOW_S3 = 3 * 1024 ** 2

/**
 * What happens in the middle of an upload, in the order of the table. `start` makes the server, on a directory; `act` is
 * called with it, the proxy of the client, and the port from which that proxy reaches the server. `lasts` is in ms, `rate` in bytes a
 * second.
 */
export const outages = [
  { name: 's3-1.5s', title: 'S3 away for 1.5 s', start: startOnS3, rate: SLOW_S3, ...refuse(1500) },
  { name: 's3-8s', title: 'S3 away for 8 s', start: startOnS3, rate: SLOW_S3, ...refuse(8000) },
  { name: 'restart', title: 'workers restarted', start: startWorkers, lasts: 0, act: restartWorkers },
  { name: 'kill', title: 'worker killed', start: startWorkers, lasts: 0, act: killWorker },
  { name: 'locked', title: '423 for 3 s', start: startLocked, lasts: 3000, act: server => server.hold(3000) },
  { name: 'reset', title: 'connection reset', start: startWorkers, lasts: 0, act: (server, proxy) => proxy.reset() },
  { name: '502-plain', title: 'nginx: 502 for 3 s', nginx: true, start: startBehindPlainNginx, ...refuse(3000) },
  { name: '504-plain', title: 'nginx: 504 for 3 s', nginx: true, start: startBehindPlainNginx, ...freeze(3000) },
  { name: '502', title: 'nginx, mended: 502', nginx: true, start: startBehindNginx, ...refuse(3000) },
  { name: '504', title: 'nginx, mended: 504', nginx: true, start: startBehindNginx, ...freeze(3000) }
]

function refuse (lasts) {
  return { lasts, act: ({ gate }) => gate.refuse(lasts) }
}

function freeze (lasts) {
  return { lasts, act: ({ gate }) => gate.freeze(lasts) }
}

/** Lets the upload crawl until every worker has been replaced, so that it meets that. */
async function restartWorkers ({ child }, proxy) {
  const { rate } = proxy
  const workers = getWorkers(child)
  proxy.rate = SLOW
  child.kill('SIGHUP')
  while (workers.some(pid => existsSync(`/proc/${pid}`))) await pause(50)
  proxy.rate = rate
}

/** Kills the process that has the connection from a port, as Linux tells. */
function killWorker ({ child, port }, proxy, from) {
  const [local, remote] = [port, from].map(number => number.toString(16).toUpperCase().padStart(4, '0'))
  const connections = readFileSync('/proc/net/tcp', 'utf8').split('\n')
  const connection = connections.find(line => line.includes(`:${local} 0100007F:${remote} `))
  const socket = `socket:[${connection.trim().split(/\s+/)[9]}]`
  const isOpenIn = pid => readdirSync(`/proc/${pid}/fd`).some(name => readLink(`/proc/${pid}/fd/${name}`) === socket)
  process.kill(Number(getWorkers(child).find(isOpenIn)), 'SIGKILL')
}

function getWorkers ({ pid }) {
  return readFileSync(`/proc/${pid}/task/${pid}/children`, 'utf8').trim().split(' ')
}

function readLink (path) {
  try {
    return readlinkSync(path)
  } catch {
    return '' // closed in the meantime
  }
}

/** In bytes a second. */
const SLOW = 256 * 1024
