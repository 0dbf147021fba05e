import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { mkdirSync, readFileSync, rmSync } from 'node:fs'
import { createInterface } from 'node:readline'
import { fileURLToPath } from 'node:url'

const script = fileURLToPath(new URL('../servers/start.mjs', import.meta.url))
const START_LIMIT = 20_000
const STOP_LIMIT = 5_000

/**
 * A contestant in a process of its own.
 *
 * @typedef {object} RunningServer
 * @property {number} pid
 * @property {URL} url where uploads are created
 * @property {string} directory
 * @property {() => number} getPeakMemory the most memory that was resident so far, in bytes
 * @property {() => Promise<void>} stop
 */

/**
 * Starts a contestant on a directory that is emptied before.
 *
 * @returns {Promise<RunningServer>} when it listens
 */
export async function startServer (contestant, directory, nodeOptions) {
  rmSync(directory, { recursive: true, force: true })
  mkdirSync(directory, { recursive: true })
  const child = spawn(process.execPath, [...nodeOptions, script, contestant.name, directory], { stdio: ['ignore', 'pipe', 'inherit'] })
  const stop = () => stopServer(child, directory)
  try {
    const url = new URL(await readFirstLine(child, contestant.name))
    return { pid: child.pid, url, directory, getPeakMemory: () => readPeakMemory(child.pid), stop }
  } catch (error) {
    await stop()
    throw error
  }
}

async function readFirstLine (child, name) {
  const timer = setTimeout(() => child.kill('SIGKILL'), START_LIMIT)
  try {
    const lines = createInterface({ input: child.stdout })
    const line = await Promise.race([once(lines, 'line'), once(lines, 'close')])
    if (line.length === 0) throw new Error(`${name} ended before it listened, or did not listen within ${START_LIMIT} ms`)
    return line[0]
  } finally {
    clearTimeout(timer)
  }
}

async function stopServer (child, directory) {
  if (child.exitCode === null && child.signalCode === null) {
    const timer = setTimeout(() => child.kill('SIGKILL'), STOP_LIMIT)
    child.kill('SIGTERM')
    await once(child, 'exit')
    clearTimeout(timer)
  }
  rmSync(directory, { recursive: true, force: true })
}

function readPeakMemory (pid) {
  const [, kibibytes] = /^VmHWM:\s+(\d+) kB$/m.exec(readFileSync(`/proc/${pid}/status`, 'utf8'))
  return Number(kibibytes) * 1024
}
