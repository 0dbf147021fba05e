// `npm start -- <flags>` is `fastify-tus serve <flags>`, built first where the sources are newer.
import { spawnSync } from 'node:child_process'
import { existsSync, readdirSync, statSync } from 'node:fs'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'

const root = fileURLToPath(new URL('..', import.meta.url))
const main = join(root, 'dist/lib/cli/main.js')
const page = join(root, 'dist/lib/cli/page/index.html')

if (isOlder(main, 'lib', 'adapters', 'package.json', 'tsconfig.build.json')) run('node_modules/@typescript/native/bin/tsc', '-p', 'tsconfig.build.json')
if (isOlder(page, 'page', 'package.json', 'scripts/build-page.mjs')) run('scripts/build-page.mjs')

// Whoever ends npm ends the server: the shell in between dies of the signal without passing it on.
if (process.env.npm_lifecycle_event === 'start') {
  const shell = process.ppid
  setInterval(() => { if (process.ppid !== shell) process.kill(process.pid, 'SIGTERM') }, 200).unref()
}

process.argv = [process.execPath, main, 'serve', ...process.argv.slice(2)]
await import(main)

function isOlder (built, ...sources) {
  return !existsSync(built) || getNewest(...sources) > statSync(built).mtimeMs
}

function run (script, ...args) {
  const { status } = spawnSync(process.execPath, [join(root, script), ...args], { stdio: 'inherit', cwd: root })
  if (status !== 0) process.exit(status ?? 1)
}

/** The time of the last change below these places, in ms. */
function getNewest (...places) {
  return Math.max(...places.map(place => {
    const path = join(root, place)
    const stat = statSync(path)
    if (!stat.isDirectory()) return stat.mtimeMs
    return Math.max(stat.mtimeMs, ...readdirSync(path).map(name => getNewest(join(place, name))))
  }))
}
