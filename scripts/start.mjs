// `npm start -- <flags>` is `fastify-tus serve <flags>`, built first where the sources are newer.
import { spawnSync } from 'node:child_process'
import { existsSync, readdirSync, statSync } from 'node:fs'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'

const root = fileURLToPath(new URL('..', import.meta.url))
const main = join(root, 'dist/lib/cli/main.js')

if (!existsSync(main) || getNewest('lib', 'adapters', 'package.json', 'tsconfig.build.json') > statSync(main).mtimeMs) {
  const tsc = join(root, 'node_modules/@typescript/native/bin/tsc')
  const { status } = spawnSync(process.execPath, [tsc, '-p', join(root, 'tsconfig.build.json')], { stdio: 'inherit', cwd: root })
  if (status !== 0) process.exit(status ?? 1)
}

process.argv = [process.execPath, main, 'serve', ...process.argv.slice(2)]
await import(main)

/** The time of the last change below these places, in ms. */
function getNewest (...places) {
  return Math.max(...places.map(place => {
    const path = join(root, place)
    const stat = statSync(path)
    if (!stat.isDirectory()) return stat.mtimeMs
    return Math.max(stat.mtimeMs, ...readdirSync(path).map(name => getNewest(join(place, name))))
  }))
}
