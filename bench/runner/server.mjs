import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { mkdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { connect, createServer } from 'node:net'
import { createInterface } from 'node:readline'
import { setTimeout as pause } from 'node:timers/promises'
import { fileURLToPath } from 'node:url'

const script = fileURLToPath(new URL('../servers/start.mjs', import.meta.url))
const START_LIMIT = 20_000
const STOP_LIMIT = 5_000

/** Those that have to end when this program does. */
const running = new Set()
process.once('exit', () => running.forEach(child => child.kill('SIGTERM')))

/**
 * A contestant in a process of its own, or several.
 *
 * @typedef {object} RunningServer
 * @property {URL} url where uploads are created
 * @property {string} directory
 * @property {() => number[]} getPids
 * @property {() => number} getPeakMemory the most memory that was resident since it was forgotten, in bytes; the sum over its processes
 * @property {() => void} forgetPeakMemory
 * @property {() => Promise<void>} stop
 */

/**
 * Starts a contestant on a directory that is emptied before.
 *
 * @returns {Promise<RunningServer>} when it listens
 */
export async function startServer (contestant, directory, options) {
  rmSync(directory, { recursive: true, force: true })
  mkdirSync(directory, { recursive: true })
  const { child, url } = contestant.command ? await startProgram(contestant, directory, options) : await startScript(contestant, directory, options)
  const getPids = () => [child.pid, ...getChildren(child.pid)]
  return {
    url,
    directory,
    getPids,
    getPeakMemory: () => getPids().reduce((sum, pid) => sum + readPeakMemory(pid), 0),
    forgetPeakMemory: () => getPids().forEach(forgetPeakMemory),
    stop: () => stopServer(child, directory)
  }
}

async function startScript ({ name }, directory, { nodeOptions, environment }) {
  const env = { ...process.env, ...environment }
  const child = spawn(process.execPath, [...nodeOptions, script, name, directory], { stdio: ['ignore', 'pipe', 'inherit'], env })
  const lines = createInterface({ input: child.stdout })
  return await untilStarted(name, child, directory, async () => {
    const [line] = await Promise.race([once(lines, 'line'), once(lines, 'close')])
    return line === undefined ? null : new URL(line)
  })
}

async function startProgram (contestant, directory, { environment }) {
  const port = await findFreePort()
  const { program, args, url } = contestant.command(directory, port)
  const child = spawn(program, args, { stdio: ['ignore', 'ignore', 'inherit'], env: { ...process.env, ...environment } })
  return await untilStarted(contestant.name, child, directory, async () => {
    while (!await isOpen(port)) {
      if (child.exitCode !== null || child.signalCode !== null) return null
      await pause(20)
    }
    return new URL(url)
  })
}

/** @param {() => Promise<URL | null>} listening resolves to null if the process ended */
async function untilStarted (name, child, directory, listening) {
  running.add(child)
  const timer = setTimeout(() => child.kill('SIGKILL'), START_LIMIT)
  try {
    const url = await listening()
    if (url) return { child, url }
  } finally {
    clearTimeout(timer)
  }
  await stopServer(child, directory)
  throw new Error(`${name} ended before it listened, or did not listen within ${START_LIMIT} ms`)
}

async function findFreePort () {
  const server = createServer().listen(0, '127.0.0.1')
  await once(server, 'listening')
  const { port } = server.address()
  server.close()
  await once(server, 'close')
  return port
}

function isOpen (port) {
  return new Promise(resolve => {
    const socket = connect(port, '127.0.0.1')
    socket.once('connect', () => resolve(true)).once('error', () => resolve(false)).once('connect', () => socket.destroy())
  })
}

async function stopServer (child, directory) {
  if (child.exitCode === null && child.signalCode === null) {
    const timer = setTimeout(() => child.kill('SIGKILL'), STOP_LIMIT)
    child.kill('SIGTERM')
    await once(child, 'exit')
    clearTimeout(timer)
  }
  running.delete(child)
  rmSync(directory, { recursive: true, force: true })
}

function getChildren (pid) {
  return readFileSync(`/proc/${pid}/task/${pid}/children`, 'utf8').split(' ').filter(Boolean).map(Number)
}

function readPeakMemory (pid) {
  const [, kibibytes] = /^VmHWM:\s+(\d+) kB$/m.exec(readFileSync(`/proc/${pid}/status`, 'utf8'))
  return Number(kibibytes) * 1024
}

/** From proc(5): writing 5 "resets the peak resident set size". */
function forgetPeakMemory (pid) {
  try {
    writeFileSync(`/proc/${pid}/clear_refs`, '5')
  } catch {
    // A kernel without it leaves the peak since the start of the process.
  }
}
