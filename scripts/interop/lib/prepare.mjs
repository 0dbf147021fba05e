import { execFileSync, spawnSync } from 'node:child_process'
import { cpSync, existsSync, mkdirSync, readFileSync } from 'node:fs'
import { createRequire } from 'node:module'
import { tmpdir } from 'node:os'
import { dirname, join } from 'node:path'
import { fileURLToPath } from 'node:url'

const folder = fileURLToPath(new URL('..', import.meta.url))
const cache = process.env.INTEROP_CACHE ?? join(tmpdir(), 'fastify-tus-interop')

/**
 * Installs and builds a client, outside of the repository.
 *
 * Resolves to the command that runs it, its version, and that of its language; to `null` where the language is not installed.
 */
export async function prepare ({ name, needs }) {
  if (spawnSync(needs, [needs === 'go' ? 'version' : '--version']).status !== 0) return null
  if (needs === 'node') return prepareNode(name)
  const home = join(cache, name)
  mkdirSync(home, { recursive: true })
  cpSync(join(folder, name), home, { recursive: true })
  switch (needs) {
    case 'python3': return preparePython(home)
    case 'mvn': return prepareJava(home)
    case 'go': return prepareGo(home)
    case 'cargo': return prepareRust(home)
    case 'curl': return prepareCurl(home)
  }
}

/** These are installed with the project. */
function prepareNode (name) {
  const module = name === 'uppy' ? '@uppy/tus' : name
  return { command: [process.execPath, join(folder, name, 'client.mjs')], version: readVersion(module), runtime: `Node ${process.versions.node}` }
}

function readVersion (module) {
  let place = dirname(createRequire(import.meta.url).resolve(module))
  while (!existsSync(join(place, 'package.json')) || !('version' in readPackage(place))) place = dirname(place)
  return readPackage(place).version
}

function readPackage (place) {
  return JSON.parse(readFileSync(join(place, 'package.json'), 'utf8'))
}

function preparePython (home) {
  const python = join(home, 'venv/bin/python')
  if (!existsSync(python)) run('python3', ['-m', 'venv', 'venv'], home)
  run(python, ['-m', 'pip', 'install', '--quiet', '--disable-pip-version-check', '-r', 'requirements.txt'], home)
  return {
    command: [python, join(home, 'client.py')],
    version: /tuspy==(\S+)/.exec(readFileSync(join(home, 'requirements.txt'), 'utf8'))[1],
    runtime: run(python, ['--version'], home).trim()
  }
}

function prepareJava (home) {
  run('mvn', ['-q', '-B', 'compile', 'dependency:copy-dependencies'], home)
  return {
    command: ['java', '-cp', `${join(home, 'target/classes')}:${join(home, 'target/dependency')}/*`, 'Client'],
    version: /tus-java-client<\/artifactId>\s*<version>([^<]+)/.exec(readFileSync(join(home, 'pom.xml'), 'utf8'))[1],
    runtime: `Java ${/[\d.]+/.exec(run('java', ['--version'], home))[0]}`
  }
}

function prepareGo (home) {
  run('go', ['build', '-o', 'client', '.'], home)
  return {
    command: [join(home, 'client')],
    version: /github\.com\/(?:bdragon300\/tusgo|eventials\/go-tus) v(\S+)/.exec(readFileSync(join(home, 'go.mod'), 'utf8'))?.[1] ?? 'interop version 6',
    runtime: `Go ${/go([\d.]+)/.exec(run('go', ['version'], home))[1]}`
  }
}

function prepareRust (home) {
  run('cargo', ['build', '--quiet', '--locked', '--release', '-j1'], home)
  return {
    command: [join(home, 'target/release/client')],
    version: /name = "tus_client"\nversion = "([^"]+)/.exec(readFileSync(join(home, 'Cargo.lock'), 'utf8'))[1],
    runtime: `Rust ${/[\d.]+/.exec(run('rustc', ['--version'], home))[0]}`
  }
}

function prepareCurl (home) {
  return {
    command: ['bash', join(home, 'client.sh')],
    version: /[\d.]+/.exec(run('curl', ['--version'], home))[0],
    runtime: `Bash ${/[\d.]+/.exec(run('bash', ['--version'], home))[0]}`
  }
}

function run (command, args, cwd) {
  return execFileSync(command, args, { cwd, encoding: 'utf8', stdio: ['ignore', 'pipe', 'inherit'] })
}
