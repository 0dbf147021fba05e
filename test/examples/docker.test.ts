import { execFile, execFileSync } from 'node:child_process'
import { access, readFile } from 'node:fs/promises'
import { promisify } from 'node:util'
import t from 'tap'
import { ServerProcess } from '../support/server-process.js'

// No image is built here. What can be tried without is tried: what is copied, who runs it, and what tells that it is well.

const run = promisify(execFile)
const dockerfile = await readFile('Dockerfile', 'utf8')
const last = dockerfile.slice(dockerfile.lastIndexOf('\nFROM '))

t.test('Dockerfile: copies what is there, and .dockerignore lets it pass', async t => {
  const ignored = await readFile('.dockerignore', 'utf8')
  const sources = [...dockerfile.matchAll(/^COPY (?!--from)(.+) \S+$/gm)].flatMap(([, names]) => names!.split(' '))
  t.ok(sources.length >= 6)
  for (const name of new Set(sources)) {
    await t.resolves(access(name))
    t.match(ignored, new RegExp(`^!${name.replaceAll('.', '\\.')}$`, 'm'), name)
  }
  t.same([...ignored.matchAll(/^!(\S+)$/gm)].map(([, name]) => name).sort(), [...new Set(sources)].sort(), 'and nothing else does: no secret of a checkout gets into an image')
})

t.test('Dockerfile: what runs is the command of the package, not as root, and stopped as it wants to be', async t => {
  const { bin } = JSON.parse(await readFile('package.json', 'utf8'))
  const [, entry] = /^ENTRYPOINT (\[.*\])$/m.exec(last)!
  t.same(JSON.parse(entry!), ['node', bin['fastify-tus'].replace('./', '')])
  t.same(JSON.parse(/^CMD (\[.*\])$/m.exec(last)![1]!), ['serve'])
  t.match(last, /^USER node\n[^]*^ENTRYPOINT/m)
  t.match(last, /^STOPSIGNAL SIGTERM$/m)
  t.notMatch(dockerfile, /secret|token|password|_KEY/i)
})

t.test('Dockerfile: the base is a Node that the package supports', async t => {
  const bases = [...dockerfile.matchAll(/^FROM (\S+)/gm)].map(([, name]) => name)
  t.equal(new Set(bases).size, 1)
  t.ok(Number(/^node:(\d+)-/.exec(bases[0]!)![1]) >= 22)
})

t.test('Dockerfile: the health check tells a server that answers from one that does not', async t => {
  const [command, ...args] = JSON.parse(/^HEALTHCHECK .* CMD (\[.*\])$/m.exec(last)![1]!) as [string, ...string[]]
  t.equal(command, 'node')
  const server = await ServerProcess.start(t)
  const check = () => run(process.execPath, args, { env: { FASTIFY_TUS_PORT: String(server.port) } })
  await t.resolves(check())
  await server.kill('SIGTERM')
  await t.rejects(check(), { code: 1 })
})

t.test('Dockerfile: the environment that it sets is understood', async t => {
  const flags = execFileSync(process.execPath, ['dist/lib/cli/main.js', '--help'], { encoding: 'utf8' })
  const names = [...last.matchAll(/FASTIFY_TUS_(\w+)=/g)].map(([, name]) => `--${name!.toLowerCase().replaceAll('_', '-')}`)
  t.same(names, ['--host', '--port', '--dir'])
  for (const name of names) t.match(flags, name)
})
