// Runs the test suite on several versions of Node, which come from the npm package `node`.
//
//   node scripts/test-nodes.mjs [--quick] [VERSION ...]        default: 20.19.0 22 24 26
//
// With --quick, without the tests that kill processes or take minutes: those of the folders e2e and faults, and most of S3 and Azure.
import { spawnSync } from 'node:child_process'
import { mkdirSync, readdirSync, writeFileSync } from 'node:fs'
import { delimiter, join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { parseArgs } from 'node:util'

const root = fileURLToPath(new URL('..', import.meta.url))
const { values: { quick }, positionals } = parseArgs({ options: { quick: { type: 'boolean', default: false } }, allowPositionals: true })
const versions = positionals.length > 0 ? positionals : ['20.19.0', '22', '24', '26']
const tests = quick ? listQuickTests() : []

run('npm', ['run', '--silent', 'build'], process.env)
const failed = versions.filter(version => !test(version))
console.log(failed.length > 0 ? `failed on Node ${failed.join(', ')}` : `passed on Node ${versions.join(', ')}`)
process.exit(failed.length > 0 ? 1 : 0)

/** Whether the suite passes on that version. */
function test (version) {
  const bin = install(version)
  const env = { ...process.env, PATH: `${bin}${delimiter}${process.env.PATH}` }
  console.log(`\nNode ${spawnSync(join(bin, 'node'), ['--version'], { encoding: 'utf8' }).stdout.trim()}`)
  return run(join(bin, 'node'), [join(root, 'node_modules/.bin/tap'), '--disable-coverage', '--reporter=terse', ...tests], env)
}

/** The test files of all folders but those that take minutes. */
function listQuickTests () {
  return readdirSync(join(root, 'test'), { recursive: true })
    .filter(name => name.endsWith('.test.ts') && !/^(?:e2e|faults|adapters\/(?:s3|azure)-)/.test(name))
    .map(name => join('test', name))
}

/** Puts that version below node_modules/.cache, and gives the folder of its executable. */
function install (version) {
  const folder = join(root, 'node_modules/.cache/nodes', version)
  mkdirSync(folder, { recursive: true })
  writeFileSync(join(folder, 'package.json'), '{"private":true}')
  const installed = run('npm', ['install', '--silent', '--no-package-lock', '--prefix', folder, `node@${version}`], process.env)
  if (!installed) throw new Error(`Node ${version} can not be installed`)
  return join(folder, 'node_modules/node/bin')
}

function run (command, args, env) {
  return spawnSync(command, args, { cwd: root, env, stdio: 'inherit' }).status === 0
}
