import { spawn } from 'node:child_process'
import { createHash, randomBytes } from 'node:crypto'
import { once } from 'node:events'
import { createReadStream, existsSync } from 'node:fs'
import { mkdtemp, readdir, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { createInterface } from 'node:readline'
import { fileURLToPath } from 'node:url'
import { startProxy } from './proxy.mjs'

const MIB = 1024 ** 2
/** The built command. */
export const SERVER = fileURLToPath(new URL('../../../dist/lib/cli/main.js', import.meta.url))

/**
 * Uploads 20 MiB with a client, whole and with a cut behind 10 MiB. Resolves to what came of each: `same bytes`, or what went wrong.
 *
 * @param command the client; the URL and the file follow
 */
export async function tryClient (command) {
  const directory = await mkdtemp(join(tmpdir(), 'fastify-tus-interop-'))
  try {
    const file = join(directory, 'file.bin')
    await writeFile(file, randomBytes(20 * MIB))
    return { whole: await upload(command, file, directory, Infinity), cut: await upload(command, file, directory, 10 * MIB) }
  } finally {
    await rm(directory, { recursive: true, force: true })
  }
}

async function upload (command, file, directory, cutAt) {
  const uploads = join(directory, `cut-${cutAt}`)
  const server = await startServer(['--dir', uploads])
  const proxy = await startProxy(server.port, { at: cutAt })
  try {
    const { code, errors } = await runToEnd(command, [`http://127.0.0.1:${proxy.port}/files/`, file])
    if (code !== 0) return `it ended with ${code}: ${errors.trim().split('\n').at(-1)}`
    if (cutAt !== Infinity && proxy.cuts !== 1) return `${proxy.cuts} connections were cut`
    const names = (await readdir(uploads)).filter(name => existsSync(join(uploads, `${name}.json`)))
    if (names.length !== 1) return `it made ${names.length} uploads`
    return await hash(join(uploads, names[0])) === await hash(file) ? 'same bytes' : 'other bytes'
  } finally {
    proxy.close()
    await server.close()
  }
}

/** Starts `serve` on a port of its own. */
export async function startServer (flags, variables) {
  const child = start([process.execPath, SERVER, 'serve', '--port', '0', '--log-level', 'error', ...flags], variables)
  const exited = once(child, 'exit')
  child.stderr.resume()
  const [line] = await once(createInterface({ input: child.stdout }), 'line')
  return { child, port: Number(new URL(/http\S+/.exec(line)[0]).port), close }

  async function close () {
    child.kill()
    await exited
  }
}

/** Runs a program; resolves to the code or signal that it ended with, and the end of what it wrote to standard error. */
export async function runToEnd (command, args, variables = {}, deadline = 120_000) {
  const child = start([...command, ...args], variables)
  const timer = setTimeout(() => child.kill('SIGKILL'), deadline)
  let errors = ''
  child.stderr.on('data', text => { errors = (errors + text).slice(-4000) })
  child.stdout.resume()
  const [code, signal] = await once(child, 'close')
  clearTimeout(timer)
  return { code: code ?? signal, errors }
}

function start ([program, ...args], variables = {}) {
  const { NODE_OPTIONS, ...env } = process.env
  return spawn(program, args, { env: { ...env, ...variables }, stdio: ['ignore', 'pipe', 'pipe'] })
}

export async function hash (path) {
  const sum = createHash('sha256')
  for await (const chunk of createReadStream(path)) sum.update(chunk)
  return sum.digest('hex')
}
