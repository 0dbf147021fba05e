import { cp, mkdir, readFile, symlink } from 'node:fs/promises'
import { join, resolve } from 'node:path'
import t from 'tap'
import { UsageError, parseServeFlags } from '../../lib/cli/flags.js'
import { makeDirectory } from '../support/app.js'
import { BYTES, TUS, until } from '../support/http-tus.js'
import { findPort } from '../support/ports.js'
import { ServerProcess, spawnNode, waitForLine } from '../support/server-process.js'

/** Stores five bytes, over a connection of its own. */
async function upload (url: string): Promise<void> {
  const response = await fetch(url, { method: 'POST', headers: { ...TUS, ...BYTES, 'upload-length': '5', connection: 'close' }, body: 'hello' })
  if (response.status !== 201) throw new Error(`POST was answered with ${response.status}`)
}

/** The series of a metric: its labels, and its value. */
async function read (url: string, name: string): Promise<Map<string, number>> {
  const response = await fetch(url, { headers: { connection: 'close' } })
  if (!response.headers.get('content-type')!.startsWith('text/plain; version=0.0.4')) throw new Error('No metrics')
  const series = (await response.text()).matchAll(new RegExp(`^${name}(?:\\{(.*)\\})? (\\S+)$`, 'gm'))
  return new Map(Array.from(series, ([, labels = '', value]) => [labels, Number(value)]))
}

function sum (series: Map<string, number>): number {
  return [...series.values()].reduce((sum, value) => sum + value, 0)
}

t.test('flags', async t => {
  t.strictSame(parseServeFlags([], {}).metrics, { needed: false, port: null, tusd: false })
  t.strictSame(parseServeFlags(['--metrics'], {}).metrics, { needed: true, port: null, tusd: false })
  t.strictSame(parseServeFlags(['--metrics-tusd'], {}).metrics, { needed: true, port: null, tusd: true })
  t.strictSame(parseServeFlags([], { FASTIFY_TUS_METRICS_PORT: '9090' }).metrics, { needed: true, port: 9090, tusd: false })
  for (const args of [['--no-metrics'], ['--prefix', '/metrics/']]) t.equal(parseServeFlags(args, {}).metrics, null)
  t.throws(() => parseServeFlags(['--no-metrics', '--metrics-tusd'], {}), new UsageError('--no-metrics excludes all other flags of metrics'))
  for (const port of ['0', 'x', '65536']) t.throws(() => parseServeFlags(['--metrics-port', port], {}), new UsageError(`--metrics-port must be a number from 1 to 65535, not '${port}'`))
})

for (const flags of [[], ['--metrics-tusd']]) {
  t.test(`${flags[0] ?? 'without a flag, it'} answers at the port of the uploads`, async t => {
    const server = await ServerProcess.start(t, { flags })
    const url = new URL('/metrics', server.url).href
    await upload(server.url)
    t.equal(sum(await read(url, 'fastify_tus_uploads_finished_total')), 1)
    t.equal(sum(await read(url, 'tusd_uploads_finished')), flags.length)
    t.ok(sum(await read(url, 'process_resident_memory_bytes')) > 0)
  })
}

t.test('with --no-metrics there are none', async t => {
  const server = await ServerProcess.start(t, { flags: ['--no-metrics'] })
  t.equal((await fetch(new URL('/metrics', server.url))).status, 404)
})

t.test('--metrics-port answers at a port of its own', async t => {
  const port = await findPort(t)
  const server = await ServerProcess.start(t, { flags: ['--metrics-port', String(port)] })
  await upload(server.url)
  t.equal(sum(await read(`http://127.0.0.1:${port}/metrics`, 'fastify_tus_uploads_created_total')), 1)
  t.equal((await fetch(`http://127.0.0.1:${port}/files`)).status, 404)
  t.equal((await fetch(new URL('/metrics', server.url))).status, 404)
  t.match(await server.kill('SIGTERM'), { code: 0 })
})

for (const own of [false, true]) {
  t.test(`several workers answer with the metrics of all, ${own ? 'at a port of its own' : 'whichever is asked'}`, async t => {
    const port = own ? await findPort(t) : null
    const server = await ServerProcess.start(t, { flags: ['--workers', '2', ...port === null ? [] : ['--metrics-port', String(port)]] })
    const url = port === null ? new URL('/metrics', server.url).href : `http://127.0.0.1:${port}/metrics`
    for (let n = 0; n < 10; n++) await upload(server.url)
    const series = await read(url, 'fastify_tus_uploads_created_total')
    t.strictSame([...series.keys()], ['worker="1"', 'worker="2"'])
    t.equal(sum(series), 10)

    const [dead] = server.getWorkers()
    process.kill(dead!, 'SIGKILL')
    await until('there is another', async () => (await read(url, 'fastify_tus_uploads_created_total').catch(() => new Map())).has('worker="3"'))
    const after = await read(url, 'fastify_tus_uploads_created_total')
    t.equal(after.size, 2)
    t.equal(after.get('worker="3"'), 0, 'a new worker begins a new series')
    t.match(await server.kill('SIGTERM'), { code: 0 })
  })
}

t.test('where prom-client is not installed, there are none, and who asks for them is told what to do', async t => {
  const project = await makeDirectory(t)
  await cp('dist', join(project, 'dist'), { recursive: true })
  await cp('package.json', join(project, 'package.json'))
  await mkdir(join(project, 'node_modules/@fastify'), { recursive: true })
  const { dependencies } = JSON.parse(await readFile('package.json', 'utf8'))
  for (const name of [...Object.keys(dependencies), 'fastify']) await symlink(resolve('node_modules', name), join(project, 'node_modules', name))
  const start = (flags: string[]) => spawnNode([join(project, 'dist/lib/cli/main.js'), 'serve', '--port', '0', '--dir', join(project, 'uploads'), ...flags])
  const server = start([])
  t.teardown(() => { server.kill('SIGKILL') })
  const url = (await waitForLine(server, /listening on/)).split(' ').at(-1)!
  t.equal((await fetch(new URL('/metrics', url))).status, 404)
  const run = async (flags: string[]) => {
    const child = start(flags)
    let stderr = ''
    child.stderr!.on('data', text => { stderr += text })
    const code = await new Promise(resolve => child.once('close', resolve))
    return { code, stderr }
  }
  t.match(await run(['--metrics']), { code: 1, stderr: '--metrics needs the package prom-client: npm install prom-client' })
})
