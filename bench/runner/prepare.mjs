import { spawnSync } from 'node:child_process'
import { randomBytes } from 'node:crypto'
import { existsSync, mkdirSync, readdirSync, statSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'

const bench = fileURLToPath(new URL('../', import.meta.url))
const build = join(bench, 'build')
const data = join(build, 'data')

/** What a run needs is not there, and `message` tells what to do. */
export class Unprepared extends Error {}

/**
 * Makes what a run needs and what is missing: the peers, the load generator and the bytes that it sends.
 *
 * @returns {{ load: string, syncs: string, data: string }} paths of the program, of a library that counts syncs, and of the data
 * @throws Unprepared
 */
export function prepare () {
  mkdirSync(build, { recursive: true })
  checkBuild()
  if (isOlder(join(bench, 'node_modules/.package-lock.json'), [join(bench, 'package-lock.json')])) installPeers()
  // No divisor of the sizes in use: a server that mixes up two places of an upload gets another hash.
  if (!existsSync(data)) writeFileSync(data, randomBytes(4 * 1024 * 1024 + 17 * 4096))
  return { load: compile('load', ['-lm']), syncs: compile('load/syncs', ['-shared', '-fPIC', '-ldl']), data }
}

function checkBuild () {
  if (!existsSync(join(bench, '../dist/lib/index.js'))) throw new Unprepared("There is no dist/: run 'npm run build' first")
}

function installPeers () {
  const { status } = spawnSync('npm', ['ci', '--no-audit', '--no-fund'], { cwd: bench, stdio: ['ignore', 'inherit', 'inherit'], shell: process.platform === 'win32' })
  if (status !== 0) throw new Unprepared("'npm ci' failed in bench/")
}

/** Compiles all C files of a folder where one of them changed, and returns the path of the result. */
function compile (folder, flags) {
  const from = join(bench, folder)
  const binary = join(build, folder.replaceAll('/', '-') + '.bin')
  const files = readdirSync(from).filter(name => /\.[ch]$/.test(name)).map(name => join(from, name))
  if (!isOlder(binary, files)) return binary
  const compiler = process.env.CC || 'cc'
  const { error, status } = spawnSync(compiler, ['-O2', '-Wall', '-o', binary, ...files.filter(name => name.endsWith('.c')), ...flags], { stdio: 'inherit' })
  if (error) throw new Unprepared(`The load generator is a C program for Linux, and there is no compiler '${compiler}': install one, or set CC`)
  if (status !== 0) throw new Unprepared(`'${compiler}' could not compile bench/${folder}`)
  return binary
}

/** Whether something that was made is missing, or older than what it was made from. */
function isOlder (made, from) {
  return !existsSync(made) || from.some(path => statSync(made).mtimeMs < statSync(path).mtimeMs)
}
