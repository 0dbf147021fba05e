// What npm would publish, as users get it: packed, looked at by publint and are-the-types-wrong, installed into empty projects, and run there.
import { execFile } from 'node:child_process'
import { cp, mkdir, mkdtemp, readFile, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join, resolve } from 'node:path'
import { promisify } from 'node:util'

const run = promisify(execFile)
const { dependencies, devDependencies } = JSON.parse(await readFile('package.json', 'utf8'))
const fastify = `fastify@${devDependencies.fastify}`
const sources = resolve('scripts/package')
const folder = await mkdtemp(join(tmpdir(), 'fastify-tus-package-'))

try {
  const tarball = await pack()
  await Promise.all([check(tarball), tryProjects(tarball), tryNest(tarball)])
} catch (error) {
  console.error(`${error.message}\n${error.stdout ?? ''}`)
  process.exitCode = 1
} finally {
  await rm(folder, { recursive: true })
}

async function pack () {
  const { stdout } = await run('npm', ['pack', '--json', '--pack-destination', folder])
  return join(folder, Object.values(JSON.parse(stdout.slice(stdout.search(/^[[{]/m))))[0].filename)
}

async function check (tarball) {
  await step('publint', 'npx', ['--yes', 'publint@0.3.25', '--strict', tarball])
  // ESM alone, for Node 20.19 and newer: require() works there (the project `commonjs` shows it), and older resolutions are not served.
  await step('are-the-types-wrong', 'npx', ['--yes', '@arethetypeswrong/cli@0.18.5', '--profile', 'esm-only', tarball])
}

async function tryProjects (tarball) {
  await tryProject('esm', [tarball, fastify], { type: 'module' }, ['esm.mjs'], [['node', '--test', 'esm.mjs'], ['npx', '--no', 'fastify-tus', '--help']])
  await tryProject('commonjs', [tarball, fastify], {}, ['commonjs.cjs'], [['node', '--test', 'commonjs.cjs']])
  const compilers = [devDependencies['@typescript/native'].replace('npm:', ''), `@types/node@${devDependencies['@types/node']}`, `@aws-sdk/client-s3@${devDependencies['@aws-sdk/client-s3']}`]
  await tryProject('typescript', [tarball, fastify, ...compilers], { type: 'module' }, ['typescript.mts', 'typescript.cts'], [
    compile('bundler', 'esnext', 'typescript.mts', '--noEmit'),
    compile('node16', 'node16', 'typescript.mts', '--noEmit'),
    compile('nodenext', 'nodenext', 'typescript.mts', 'typescript.cts'),
    ['node', '--test', 'typescript.mjs'],
    ['node', 'typescript.cjs']
  ])
}

/**
 * As its users write it, with the compilers and the options that new applications of these versions had. The first has another copy of Fastify than Nest,
 * as an application has after `npm install fastify`.
 */
async function tryNest (tarball) {
  const common = [tarball, fastify, `tus-js-client@${dependencies['tus-js-client']}`, `@types/node@${devDependencies['@types/node']}`, 'reflect-metadata@0.2.2', 'rxjs@7.8.2']
  const modules = ['common', 'core', 'platform-fastify']
  const files = ['nest.mjs', 'nest-beside.ts', ['../../example/nestjs.ts', 'nestjs.ts']]
  const steps = [['npx', '--no', 'tsc'], ['node', '--test', 'nest.mjs']]
  await tryProject('nest-11', [...common, 'typescript@5.9.3', ...modules.map(name => `@nestjs/${name}@11.2.8`)], {}, [...files, ['nest-11.json', 'tsconfig.json']], steps)
  await tryProject('nest-12', [...common, 'typescript@6.0.3', ...modules.map(name => `@nestjs/${name}@12.5.0`)], {}, [...files, ['nest-12.json', 'tsconfig.json']], [
    ...steps, ['npm', 'pkg', 'set', 'type=module'], ...steps
  ])
}

/** With the declarations of the package checked as well. */
function compile (resolution, module, ...rest) {
  return ['npx', '--no', 'tsc', '--', '--ignoreConfig', '--strict', '--exactOptionalPropertyTypes', '--target', 'es2023', '--lib', 'es2023,esnext.disposable', '--types', 'node', '--moduleResolution', resolution, '--module', module, ...rest]
}

/** An empty project that installs the package and runs commands. */
async function tryProject (name, dependencies, manifest, files, commands) {
  const project = join(folder, name)
  await mkdir(project)
  await writeFile(join(project, 'package.json'), JSON.stringify({ private: true, ...manifest }))
  for (const [from, to = from] of [...files, 'upload.mjs'].map(file => [file].flat())) await cp(join(sources, from), join(project, to))
  await step(`${name}: npm install`, 'npm', ['install', '--no-audit', '--no-fund', '--prefer-offline', ...dependencies], project)
  for (const [command, ...args] of commands) await step(`${name}: ${[command, ...args].join(' ')}`, command, args, project)
}

async function step (name, command, args, cwd = '.') {
  const start = performance.now()
  await run(command, args, { cwd })
  console.log(`ok: ${name} (${((performance.now() - start) / 1000).toFixed(1)} s)`)
}
