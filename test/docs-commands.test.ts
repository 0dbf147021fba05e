import { execFile, spawnSync } from 'node:child_process'
import { readFile, readdir } from 'node:fs/promises'
import { basename, dirname, join } from 'node:path'
import { promisify } from 'node:util'
import t from 'tap'
import { listPages, readBlocks } from './support/pages.js'

// What the pages tell people to type: commands, flags, variables and files are there, and the shell understands them.

const run = promisify(execFile)
const pages = await Promise.all((await listPages()).map(async page => ({ page, text: await readFile(page, 'utf8') })))
const blocks = (await Promise.all((await listPages()).map(readBlocks))).flat().filter(({ language }) => language === 'sh')
const { scripts, name, dependencies, devDependencies } = JSON.parse(await readFile('package.json', 'utf8')) as Record<'scripts' | 'dependencies' | 'devDependencies', Readonly<Record<string, string>>> & { name: string }
const packages = new Set([name, ...Object.keys(dependencies), ...Object.keys(devDependencies)])
const { stdout: help } = await run(process.execPath, ['dist/lib/cli/main.js', '--help'])
const sources = await readSources(['test', 'scripts', 'bench/runner', 'lib'])

/** Programs of others, and the flags of theirs that pages name: they are not tried here. */
const FOREIGN: Readonly<Record<string, readonly string[]>> = {
  docker: ['--tag', '--publish', '--volume', '--env'],
  go: [],
  cargo: ['--version'],
  'apt-get': [],
  node: ['--inspect'],
  curl: ['--data-binary', '--dump-header', '--retry']
}

t.test('sh: the shell understands it', { skip: spawnSync('bash', ['--version']).status !== 0 && 'there is no bash' }, async t => {
  t.ok(blocks.length > 10)
  for (const { place, code } of blocks) t.equal(spawnSync('bash', ['-n'], { input: code, encoding: 'utf8' }).stderr, '', place)
  t.not(spawnSync('bash', ['-n'], { input: 'npm run $(' }).status, 0, 'and would say so')
})

t.test('sh: names programs, scripts, flags and files that are there', async t => {
  for (const { place, code } of blocks) {
    for (const command of code.trim().split(/\n|&&/).map(line => line.replace(/(?:^|\s)#.*$/, '').trim()).filter(line => line !== '')) {
      for (const problem of await check(command)) t.fail(`${place}: ${problem}`)
      t.pass(command)
    }
  }
  for (const wrong of [
    'npm run chaoss', 'npm install fastify fastify-tsu', 'npm run chaos -- --minute 10', 'npx tap --disable-coverag test/docs.test.ts', 'npx tap test/missing.test.ts', 'npx fastify-tuss upload a', 'npx fastify-tus uplod a',
    'npx fastify-tus upload a --too b', 'npx fastify-tus upload a --max-size 5', 'fastify-tus adopt --form tusd', 'node bench/running.mjs', 'node bench/run.mjs --quik', 'frobnicate', 'docker run --env FASTIFY_TUS_MAXSIZE=1 x', 'RACE=1 npx tap', 'docker run --publich 1:1 x'
  ]) t.ok((await check(wrong)).length > 0, `finds what is wrong with: ${wrong}`)
})

t.test('in a line of text: names commands, flags and files that are there', async t => {
  let count = 0
  for (const { page, text } of pages) {
    for (const [, code] of text.matchAll(/`((?:npx|npm (?:run|install)|fastify-tus (?:serve|upload|adopt)|node [\w/]+\.mjs) ?[^`\n]*)`/g)) {
      for (const problem of await check(code!.replace(/[[\]]/g, ''))) t.fail(`${page}: ${code}: ${problem}`)
      count++
    }
  }
  t.ok(count > 10)
})

t.test('every flag that a page names is one of a program that it speaks of', async t => {
  const known = new Set([...await listFlags('fastify-tus'), ...(await Promise.all(Object.keys(RUNNERS).map(name => listFlags(name)))).flat(), ...Object.values(FOREIGN).flat(), ...TAP_FLAGS, ...SCRIPT_FLAGS])
  for (const { page, text } of pages) {
    const named = [...text.matchAll(/(?<![\w-])--[a-z][a-z\d-]*/g)].map(([flag]) => flag)
    t.same(named.filter(flag => !known.has(flag)), [], page)
  }
})

t.test('every variable that a page names is read somewhere', async t => {
  for (const { page, text } of pages) {
    const named = [...text.matchAll(/\b(?:FASTIFY_TUS|S3|AZURE|AWS)_[A-Z\d_]+\b/g), ...text.matchAll(/\b([A-Z]{3,})(?==\S)/g)].map(([name]) => name)
    for (const name of new Set(named)) t.ok(await isVariable(name), `${page}: ${name}`)
  }
})

t.test('every file of the project that a page names is there', async t => {
  // What a build or an installation makes.
  const made = new Set(['bench/build', 'bench/node_modules', 'page/licences.txt'])
  for (const { page, text } of pages) {
    const named = [...text.matchAll(/`([^`\n]*)`/g)].flatMap(([, code]) => code!.match(/(?<![\w./:-])(?:test|scripts|example|docs|lib|bench|adapters|page|\.ci|\.github)\/[\w./*-]*[\w*]/g) ?? [])
    for (const name of new Set(named)) if (!made.has(name)) t.ok((await find(name)).length > 0, `${page}: ${name}`)
  }
})

/** What is wrong with a line of shell. */
async function check (line: string): Promise<string[]> {
  const words = line.match(/'[^']*'|\$\([^)]*\)|\S+/g)!
  const variables = words.splice(0, words.findIndex(word => !/^[A-Z][A-Z\d_]*=/.test(word))).map(word => word.split('=')[0]!)
  const problems: string[] = []
  for (const name of variables) if (!await isVariable(name)) problems.push(`nobody reads ${name}`)
  const [program, ...args] = words[0] === 'npx' ? words.slice(1) : words
  if (program === 'export') {
    const [file] = args[0]!.replace(/^\$\(|\)$/g, '').split(' ')
    return (await find(file!)).length > 0 ? problems : [`there is no ${file}`]
  }
  for (const file of args.filter(arg => /^[\w.]+\/.*\.(?:m?[jt]s|sh|md|conf)$/.test(arg))) if ((await find(file)).length === 0) problems.push(`there is no ${file}`)
  const given = args.filter(arg => arg.startsWith('--') && arg !== '--').map(arg => arg.split('=')[0]!)
  const script = program === 'npm' ? (args[0] === 'run' ? args[1]! : args[0]!) : null
  if (script === 'install') return [...problems, ...args.slice(1).filter(name => !packages.has(name)).map(name => `nobody knows the package ${name}`)]
  if (script !== null && script !== 'ci' && !(script in scripts)) problems.push(`there is no script ${script}`)
  const known = script !== null
    ? await listFlags(script)
    : program === 'tap' ? TAP_FLAGS : program === 'fastify-tus' ? await listFlags('fastify-tus', args[0]) : program === 'node' && args[0]! in RUNNER_OF ? await listFlags(RUNNER_OF[args[0]!]!) : FOREIGN[program!]
  if (program === 'fastify-tus' && known!.length === 0) return [...problems, `there is no command ${args[0]}`]
  if (known === undefined) return [...problems, `nobody knows ${program}`]
  for (const flag of given) if (!known.includes(flag)) problems.push(`${program} has no ${flag}`)
  for (const [, name] of line.matchAll(/--env (\w+)/g)) if (!await isVariable(name!)) problems.push(`nobody reads ${name}`)
  return problems
}

/** The flags of the command, of one of its commands, or of a script of package.json that has some. */
async function listFlags (name: string, command = ''): Promise<string[]> {
  if (name === 'fastify-tus') {
    const usage = command === '' ? help : new RegExp(`^  fastify-tus ${command} [^]*?(?=^  fastify-tus|^$)`, 'm').exec(help)?.[0] ?? ''
    return [...usage.matchAll(/--[a-z][a-z\d-]*/g)].map(([flag]) => flag)
  }
  const file = RUNNERS[name]
  if (file === undefined) return []
  const options = /options(?: = |: )\{\n([\s\S]*?)^ {0,2}\},?$/m.exec(await readFile(file, 'utf8'))![1]!
  return [...options.matchAll(/^ +'?([a-z][a-z\d-]*)'?: \{/gm)].map(([, flag]) => `--${flag}`)
}

/** Whether something reads a variable of the environment. */
async function isVariable (name: string): Promise<boolean> {
  const flag = name.replace(/^FASTIFY_TUS_/, '--').toLowerCase().replaceAll('_', '-')
  if (name.startsWith('FASTIFY_TUS_') && (await listFlags('fastify-tus')).includes(flag)) return true
  return OF_OTHERS.has(name) || new RegExp(`\\b${name}\\b`).test(sources)
}

/** The files of a name in which `*` stands for anything. */
async function find (pattern: string): Promise<string[]> {
  const name = new RegExp(`^${basename(pattern).replaceAll('.', '\\.').replaceAll('*', '.*')}$`)
  return (await readdir(dirname(pattern)).catch(() => [])).filter(file => name.test(file))
}

async function readSources (folders: readonly string[]): Promise<string> {
  const names = (await Promise.all(folders.map(async folder => (await readdir(folder, { recursive: true })).map(name => join(folder, name))))).flat()
  const files = names.filter(name => /\.(?:m?[jt]s|sh)$/.test(name) && !name.endsWith('docs-commands.test.ts') && !name.includes('node_modules'))
  return (await Promise.all(files.map(name => readFile(name, 'utf8')))).join('\n')
}

const RUNNERS: Readonly<Record<string, string>> = {
  chaos: 'test/faults/chaos/flags.mjs', fuzz: 'test/faults/fuzz/main.ts', soak: 'test/faults/soak/main.mjs', bench: 'bench/runner/flags.mjs', million: 'bench/million.mjs'
}
const RUNNER_OF: Readonly<Record<string, string>> = { 'bench/run.mjs': 'bench', 'bench/million.mjs': 'million' }
/** Those that pages name. */
const TAP_FLAGS = ['--disable-coverage', '--timeout']
const SCRIPT_FLAGS = ['--sink', '--only', '--outage']
/** Read by the SDK of AWS, by Node, and by the desktop's conventions. */
const OF_OTHERS = new Set(['AWS_ACCESS_KEY_ID', 'AWS_SECRET_ACCESS_KEY'])
