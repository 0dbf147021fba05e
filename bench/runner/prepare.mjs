import { spawnSync } from 'node:child_process'
import { randomBytes } from 'node:crypto'
import { existsSync, mkdirSync, statSync, writeFileSync } from 'node:fs'
import { fileURLToPath } from 'node:url'

const bench = new URL('../', import.meta.url)
const source = new URL('load/load.c', bench)
const binary = new URL('build/load', bench)
const data = new URL('build/data', bench)

/** What a run needs is not there, and `message` tells what to do. */
export class Unprepared extends Error {}

/**
 * Makes what a run needs and what is missing: the peers, the load generator and the bytes that it sends.
 *
 * @returns {{ load: string, data: string }} paths of the program and of its data
 * @throws Unprepared
 */
export function prepare () {
  mkdirSync(new URL('build/', bench), { recursive: true })
  checkBuild()
  if (!existsSync(new URL('node_modules/', bench))) installPeers()
  if (isOlder(binary, source)) compile()
  // No divisor of the sizes in use: a server that mixes up two places of an upload gets another hash.
  if (!existsSync(data)) writeFileSync(data, randomBytes(4 * 1024 * 1024 + 17 * 4096))
  return { load: fileURLToPath(binary), data: fileURLToPath(data) }
}

function checkBuild () {
  if (!existsSync(new URL('../dist/lib/index.js', bench))) throw new Unprepared("There is no dist/: run 'npm run build' first")
}

function installPeers () {
  const { status } = spawnSync('npm', ['ci', '--no-audit', '--no-fund'], { cwd: fileURLToPath(bench), stdio: ['ignore', 'inherit', 'inherit'], shell: process.platform === 'win32' })
  if (status !== 0) throw new Unprepared("'npm ci' failed in bench/")
}

function compile () {
  const compiler = process.env.CC || 'cc'
  const { error, status } = spawnSync(compiler, ['-O2', '-Wall', '-o', fileURLToPath(binary), fileURLToPath(source)], { stdio: 'inherit' })
  if (error) throw new Unprepared(`The load generator is a C program for Linux, and there is no compiler '${compiler}': install one, or set CC`)
  if (status !== 0) throw new Unprepared(`'${compiler}' could not compile bench/load/load.c`)
}

function isOlder (made, from) {
  return !existsSync(made) || statSync(made).mtimeMs < statSync(from).mtimeMs
}
